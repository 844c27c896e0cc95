"""One kept connection of a client, as cheap as it can be: what the load costs, the hub does not get."""

import asyncio
from typing import cast

ANSWER_WITHIN = 60.0


class Line(asyncio.Protocol):
    """One connection with one call under way at a time; the hub hangs up on those that rest, so it is opened anew."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        # Of uvloop's transports none is of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits is told."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the hub hung up"))

    def data_received(self, data: bytes) -> None:
        """Give the answer to whoever waits, once it is whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length and self._answer is not None and not self._answer.done():
            self._buffer = b""
            self._answer.set_result((int(head[9:12]), body))

    async def ask(self, call: bytes) -> tuple[int, bytes]:
        """Send a call and return status and body of its answer."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            self._buffer = b""
            await loop.create_connection(lambda: self, self._host, self._port)
        assert self._transport is not None
        self._answer = loop.create_future()
        self._transport.write(call)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._answer
        except TimeoutError:
            # What comes too late would be taken for the answer to the next call.
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
