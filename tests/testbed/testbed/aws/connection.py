"""Cuts the TCP connection of a request that is being served, as a network does."""

from localstack.aws.api import RequestContext
from rolo.serving import twisted as serving

_REQUEST_KEY = "windlass.twisted.request"


def install() -> None:
    """Keeps twisted's own request within reach of the handlers. Must come before the gateway is built."""
    original = serving.update_wsgi_environment

    def update_wsgi_environment(environ: dict, request: object) -> None:
        original(environ, request)
        environ[_REQUEST_KEY] = request

    serving.update_wsgi_environment = update_wsgi_environment


def reset(context: RequestContext) -> None:
    """Sends a TCP reset to the caller; what the handlers answer afterwards goes nowhere."""
    from twisted.internet import reactor
    from twisted.internet.threads import blockingCallFromThread

    request = context.request.environ[_REQUEST_KEY]
    blockingCallFromThread(reactor, lambda: request.channel and request.channel.transport.abortConnection())
