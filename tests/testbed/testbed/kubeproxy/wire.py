"""One end of an HTTP/1.1 connection: h11's state machine on asyncio's streams."""

import asyncio
from collections.abc import AsyncIterator

import h11

READ_BYTES = 65_536


class Disconnected(Exception):
    """The other side went away in the middle of something."""


class Peer:
    """Reads and writes messages. With h11.SERVER the other side is a client, with h11.CLIENT a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: h11.Connection):
        self._reader = reader
        self._writer = writer
        self._connection = connection

    async def request(self) -> tuple[h11.Request, bytes] | None:
        """The next request with its body, or None when the client has closed. Raises Disconnected or h11.ProtocolError."""
        event = await self._event()
        if isinstance(event, h11.ConnectionClosed):
            return None
        if not isinstance(event, h11.Request):
            raise Disconnected
        if self._connection.they_are_waiting_for_100_continue:
            await self.send(h11.InformationalResponse(status_code=100, headers=[]))
        return event, b"".join([data async for data in self.body()])

    async def response(self) -> h11.Response:
        """The head of the final response. Raises Disconnected or h11.ProtocolError."""
        while not isinstance(event := await self._event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise Disconnected
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """The body's pieces as they come. Raises Disconnected when it ends early."""
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Disconnected
            yield bytes(event.data)

    async def send(self, *events: h11.Event) -> None:
        """Writes events and waits until they are on their way. Raises OSError."""
        for event in events:
            if data := self._connection.send(event):
                self._writer.write(data)
        await self._writer.drain()

    async def left(self) -> None:
        """Returns when the other side has closed. What it sends meanwhile (the next request) is kept."""
        while data := await self._reader.read(READ_BYTES):
            self._connection.receive_data(data)

    def ended(self) -> bool:
        """Whether the other side is known to have closed."""
        return self._reader.at_eof() or self._writer.is_closing()

    def next_cycle(self) -> bool:
        """Prepares for another message on the connection; False when it has to be closed."""
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
            return True
        return False

    def close(self) -> None:
        """Ends the connection after what was written."""
        self._writer.close()

    def abort(self) -> None:
        """Resets the connection."""
        self._writer.transport.abort()

    async def _event(self) -> h11.Event:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError as error:
                raise Disconnected from error
            self._connection.receive_data(data)
        if event is h11.PAUSED:
            raise Disconnected
        return event
