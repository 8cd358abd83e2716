"""Every listener on 127.0.0.1: LocalStack's server gives twisted a port and no interface, which is all of them."""

from twisted.internet import endpoints


def apply() -> None:
    """Makes loopback the default interface of every TCP listener in this process."""
    original = endpoints.TCP4ServerEndpoint.__init__

    def __init__(self, reactor, port, backlog=50, interface=""):
        original(self, reactor, port, backlog, interface or "127.0.0.1")

    endpoints.TCP4ServerEndpoint.__init__ = __init__
