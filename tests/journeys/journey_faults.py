"""A fault proxy of our own: TCP connections that are slow, cut, reset, swallowed, or whose calls come twice."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

CHUNK = 64 * 1024


class Kind(StrEnum):
    """What the proxy does to what passes."""

    PASS = "pass"
    # Each chunk comes `amount` seconds later.
    DELAY = "delay"
    # Of the answers `amount` bytes pass, then the connection ends: what was asked has happened, and nobody is told.
    CUT = "cut"
    # Every connection ends by a reset, old and new.
    RESET = "reset"
    # Nothing passes and nothing ends, until the fault is over: a partition that heals.
    BLACK_HOLE = "black_hole"
    # What was asked is asked a second time, on a connection of its own, after the first answer.
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; ``amount`` are seconds of a delay, or bytes before a cut."""

    kind: Kind = Kind.PASS
    amount: float = 0.0


class FaultProxy:
    """Listens on ``port`` (0: any free one) and passes on to ``target``; ``fault`` may change at any time."""

    def __init__(
        self, port: int = 0, target: int = 0, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.port, self.target, self._sleep = port, target, sleep
        self._fault = Fault()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def fault(self) -> Fault:
        """What is done now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        self._changed.set()
        self._changed = asyncio.Event()
        if fault.kind is Kind.RESET:
            self.reset()

    def reset(self) -> None:
        """End all connections as they are by a reset."""
        for writers in self._connections.values():
            for writer in writers:
                _abort(writer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FaultProxy"]:
        """Listen, and be gone afterwards."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._connections[task] = [writer]
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer, writers)
        except asyncio.CancelledError:
            # Only ``stop`` cancels; the server's own callback would tell it as an error.
            pass
        finally:
            del self._connections[task]
            for each in writers:
                each.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        await self._passable()
        if self._fault.kind is Kind.RESET:
            _abort(writer)
            return
        upstream, onward = await asyncio.open_connection("127.0.0.1", self.target)
        writers.append(onward)
        asked = bytearray()
        ways = (
            asyncio.create_task(self._there(reader, onward, asked)),
            asyncio.create_task(self._back(upstream, writer, asked)),
        )
        try:
            # Whichever end hangs up ends both: no protocol here closes one half alone.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytearray) -> None:
        while chunk := await reader.read(CHUNK):
            await self._passable()
            if self._fault.kind is Kind.DUPLICATE:
                asked += chunk
            writer.write(chunk)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytearray) -> None:
        passed = 0
        while chunk := await reader.read(CHUNK):
            await self._passable()
            is_cut = self._fault.kind is Kind.CUT and passed + len(chunk) >= self._fault.amount
            if is_cut:
                chunk = chunk[: int(self._fault.amount) - passed]
            passed += len(chunk)
            writer.write(chunk)
            await writer.drain()
            if is_cut:
                return
            if asked:
                again, asked[:] = bytes(asked), b""
                await self._ask_again(again)

    async def _ask_again(self, asked: bytes) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
                try:
                    writer.write(asked)
                    await writer.drain()
                    await reader.read(CHUNK)
                finally:
                    writer.transport.abort()

    async def _passable(self) -> None:
        """Wait as long as the fault wants."""
        if self._fault.kind is Kind.DELAY:
            await self._sleep(self._fault.amount)
        while self._fault.kind is Kind.BLACK_HOLE:
            await self._changed.wait()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            # Lingering for no time at all is what makes the kernel send a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
