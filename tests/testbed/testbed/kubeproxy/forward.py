"""Passing requests on: one upstream connection per client connection, HTTP/1.1 on both sides."""

import asyncio
import ssl
from dataclasses import dataclass

import h11

from testbed.kubeproxy.request import KubeRequest, parse
from testbed.kubeproxy.rules import Held, Ledger, Rule
from testbed.kubeproxy.wire import Disconnected, Peer

# About one connection, not about the message (RFC 9110, 7.6.1). Each side frames for itself; h11 takes framing from the two others.
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"upgrade"}


@dataclass(frozen=True)
class Upstream:
    """Where kube-apiserver is, and how to trust it."""

    host: str
    port: int
    tls: ssl.SSLContext

    async def connect(self) -> Peer:
        """Raises OSError."""
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        return Peer(reader, writer, h11.Connection(h11.CLIENT))


class Cut(Exception):
    """The client's connection is to be reset."""


class Session:
    """One client connection."""

    def __init__(self, client: Peer, upstream: Upstream, ledger: Ledger):
        self._client = client
        self._upstream = upstream
        self._ledger = ledger
        self._server: Peer | None = None
        self._held: Held | None = None

    async def run(self) -> None:
        """Serves requests until either side ends."""
        try:
            while (message := await self._client.request()) is not None:
                await self._serve(*message)
                if not self._client.next_cycle():
                    break
        except Cut:
            self._client.abort()
        except (Disconnected, OSError, h11.ProtocolError):
            pass
        finally:
            self._client.close()
            self._drop_server()

    async def _serve(self, head: h11.Request, body: bytes) -> None:
        """Runs one exchange, and notices a client that leaves meanwhile: a read (a watch above all) ends with it, while a write that is
        on its way arrives, as it would on a network."""
        request = parse(head.method.decode(), head.target.decode(), _header(head, b"user-agent"))
        exchange = asyncio.create_task(self._exchange(request, head, body))
        leaving = asyncio.create_task(self._client.left())
        try:
            await asyncio.wait({exchange, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not exchange.done():
                if self._held:
                    self._held.client_gone = True
                if not request.is_write:
                    exchange.cancel()
            try:
                await exchange
            except asyncio.CancelledError:
                raise Disconnected from None
        finally:
            exchange.cancel()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    async def _exchange(self, request: KubeRequest, head: h11.Request, body: bytes) -> None:
        rule = self._ledger.decide(request)
        if rule and rule.kind == "cut":
            self._ledger.record(request, "cut")
            raise Cut
        if rule and rule.kind == "hold":
            await self._hold(rule, request, record_drop=True)
        try:
            server = await self._send(head, body)
            response = await server.response()
        except (OSError, Disconnected, h11.ProtocolError):
            self._ledger.record(request, "unreachable")
            raise Cut from None
        self._ledger.record(request, response.status_code)
        if rule and rule.kind in ("holdAfter", "cutAfter"):
            content = b"".join([data async for data in server.body()])
            if rule.kind == "cutAfter":
                raise Cut
            await self._hold(rule, request, record_drop=False)
            await self._client.send(_answer(response), h11.Data(data=content), h11.EndOfMessage())
        else:
            await self._client.send(_answer(response))
            async for data in server.body():
                await self._client.send(h11.Data(data=data))
            await self._client.send(h11.EndOfMessage())
        if not server.next_cycle():
            self._drop_server()

    async def _hold(self, rule: Rule, request: KubeRequest, *, record_drop: bool) -> None:
        """Returns when released. Raises Cut when dropped."""
        self._held = self._ledger.hold(rule, request)
        try:
            go_on = await self._held.released
        finally:
            self._held = None
        if not go_on:
            if record_drop:
                self._ledger.record(request, "dropped")
            raise Cut

    async def _send(self, head: h11.Request, body: bytes) -> Peer:
        if self._server is None or self._server.ended():
            self._drop_server()
            self._server = await self._upstream.connect()
        headers = [(name, value) for name, value in head.headers if name not in HOP_BY_HOP]
        request = h11.Request(method=head.method, target=head.target, headers=headers)
        await self._server.send(request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage())
        return self._server

    def _drop_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def _answer(response: h11.Response) -> h11.Response:
    headers = [(name, value) for name, value in response.headers if name not in HOP_BY_HOP]
    return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)


def _header(head: h11.Request, name: bytes) -> str:
    return next((value.decode(errors="replace") for key, value in head.headers if key == name), "")
