"""`python -m testbed.aws.launcher`: LocalStack's process, with the bed's patches, provider, enforcement and control endpoint.

The environment says where (see `testbed.aws.settings`). It is ready when the control endpoint's /health answers 200. SIGTERM ends it at
once: nothing here outlives a bed, so there is nothing to shut down in order.
"""

import os
import signal
import sys

from testbed.aws import ACCOUNT_ID, settings


def configure_localstack() -> None:
    """Sets LocalStack's environment. Must come before the first import of localstack: it reads the environment while it is imported."""
    directory = settings.state_directory()
    os.environ.update(
        {
            "GATEWAY_LISTEN": f"127.0.0.1:{settings.gateway_port()}",
            "LOCALSTACK_HOST": f"127.0.0.1:{settings.gateway_port()}",
            "SERVICES": ",".join(settings.SERVICES),
            "STRICT_SERVICE_LOADING": "1",
            "DISABLE_EVENTS": "1",  # LocalStack's own usage reports, not EventBridge
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "PARITY_AWS_ACCESS_KEY_ID": "1",
            "TEST_AWS_ACCOUNT_ID": ACCOUNT_ID,
            # In a container LocalStack writes under /var/lib and /tmp, where two beds would meet.
            "OVERRIDE_IN_DOCKER": "0",
            "FILESYSTEM_ROOT": str(directory),
            "CONFIG_DIR": str(directory),
            "DISABLE_BOTO_RETRIES": "1",
            "SQS_ENDPOINT_STRATEGY": "path",  # queue URLs whose host resolves everywhere
            "GATEWAY_WORKER_COUNT": os.environ.get("GATEWAY_WORKER_COUNT", "200"),
            "TZ": "UTC",
        }
    )
    os.environ.setdefault("LS_LOG", "warning")
    # The endpoint speaks plain HTTP; a CA bundle named here may not exist for LocalStack's own clients.
    os.environ.pop("AWS_CA_BUNDLE", None)


def end_at_once(_signal: int, _frame: object) -> None:
    """Ends the process without waiting for executions, which sleep in threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    configure_localstack()

    from testbed.aws import control, patches, pipeline

    patches.apply()
    pipeline.install()
    register_systems_manager()
    control.serve(settings.control_port())

    from localstack.logging.setup import setup_logging_from_config
    from localstack.runtime import current

    setup_logging_from_config()
    runtime = current.initialize_runtime()
    signal.signal(signal.SIGTERM, end_at_once)
    signal.signal(signal.SIGINT, end_at_once)
    runtime.run()


def register_systems_manager() -> None:
    """Makes the bed's Systems Manager the provider of `ssm`."""
    from testbed.aws import ssm

    ssm.register()


if __name__ == "__main__":
    main()
