"""What LocalStack does at its start that a bed has no use for, or pays for each time: a certificate for TLS listeners (the bed speaks
plain HTTP), and an index of all of botocore's services, built in seconds and kept between beds here.
"""

import os
import uuid
from pathlib import Path

from testbed.aws import settings


def apply() -> None:
    """Serves without TLS, and keeps the index in the bed's cache."""
    _no_tls()
    _keep_index()


def _no_tls() -> None:
    from localstack.runtime.runtime import LocalstackRuntime

    def _init_gateway_server(self) -> None:
        self.components.runtime_server.register(self.components.gateway, self.config.GATEWAY_LISTEN, None)

    LocalstackRuntime._init_gateway_server = _init_gateway_server


def _keep_index() -> None:
    from localstack import config
    from localstack.aws import spec

    config.dirs.cache = str(settings.cache_directory())
    save = spec.save_service_index_cache

    def save_service_index_cache(index, file_path):
        # Beds may start side by side: none may read what another is still writing.
        unfinished = f"{file_path}.{uuid.uuid4().hex}"
        try:
            built = save(index, unfinished)
            os.replace(unfinished, file_path)
            return built
        finally:
            Path(unfinished).unlink(missing_ok=True)

    spec.save_service_index_cache = save_service_index_cache
    # Now rather than at the first call: who asks whether the endpoint is ready may call it then.
    spec.get_service_catalog()
