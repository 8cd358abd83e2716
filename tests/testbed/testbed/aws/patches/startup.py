"""What LocalStack does at its start that a bed has no use for: a certificate for TLS listeners (the bed speaks plain HTTP), and reports."""


def apply() -> None:
    """Serves without TLS and skips what calls home."""
    from localstack.runtime.runtime import LocalstackRuntime

    def _init_gateway_server(self) -> None:
        self.components.runtime_server.register(self.components.gateway, self.config.GATEWAY_LISTEN, None)

    LocalstackRuntime._init_gateway_server = _init_gateway_server
