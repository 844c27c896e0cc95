"""A real server behind the real guards, on loopback, and clients that speak to it byte by byte."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp

from service.web import front, guards
from service.web.connections import Gate

# Nothing on a loopback takes this long; a test that waits so long has failed.
LONG = 10.0
HEAD = b"Host: hub.test\r\n"
POST = b"POST /v1/echo HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the test run."""
        yield


@dataclass
class Served:
    """A running server: where it listens, and its gate."""

    port: int
    gate: Gate
    app: Any

    async def connect(self, source: str = "127.0.0.1", receive_buffer: int | None = None) -> "Line":
        """Open a connection from an address of the loopback."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return Line(*await asyncio.open_connection(sock=sock))

    async def ask(self, raw: bytes, source: str = "127.0.0.1") -> "Answer":
        """Send bytes on a connection of their own and return the first answer."""
        line = await self.connect(source)
        try:
            await line.send(raw)
            return await line.answer()
        finally:
            line.close()


@dataclass(frozen=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem in it; whatever lacks one fails the test."""
        assert self.headers["content-type"] == "application/problem+json", self
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status and found["title"] != found["title_vi"]
        return found

    @property
    def code(self) -> str:
        """Status and code, as in ``408 head.incomplete``."""
        return f"{self.status} {self.problem['code']}"


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, raw: bytes) -> None:
        """Send bytes."""
        self.writer.write(raw)
        await self.writer.drain()

    async def drip(self, raw: bytes, every: float = 0.02) -> None:
        """Send one byte after the other, again and again from the beginning, until the other side ends it."""
        with contextlib.suppress(ConnectionError):
            while raw and not self.reader.at_eof():
                for at in range(len(raw)):
                    await self.send(raw[at : at + 1])
                    await asyncio.sleep(every)
                    if self.reader.at_eof():
                        return

    async def answer(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(LONG):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(head[0].split(" ")[1]), headers, body)

    async def rest(self) -> bytes:
        """Read until the other side ends the connection, in whatever way."""
        read = b""
        async with asyncio.timeout(LONG):
            with contextlib.suppress(ConnectionError):
                while more := await self.reader.read(65_536):
                    read += more
        return read

    def close(self) -> None:
        """End it."""
        self.writer.close()


async def until(seen: Callable[[], bool]) -> None:
    """Let others go on until it is so; fail after a long time."""
    end = asyncio.get_running_loop().time() + LONG
    while not seen():
        assert asyncio.get_running_loop().time() < end, "it never was so"
        await asyncio.sleep(0.01)


def small_app() -> FastAPI:
    """Return an application of four routes behind all guards; ``state.calls`` counts what came through."""
    app = FastAPI(openapi_url=None)
    app.state.calls, app.state.gone_on = [], asyncio.Event()

    @app.post("/v1/echo")
    async def echo(request: Request) -> dict[str, Any]:
        app.state.calls.append("echo")
        return {"json": request.state.json}

    @app.get("/v1/hello")
    async def hello(request: Request) -> dict[str, str]:
        app.state.calls.append("hello")
        return {"from": request.client.host if request.client else ""}

    @app.get("/v1/later")
    async def later() -> str:
        app.state.calls.append("later")
        await app.state.gone_on.wait()
        return "done"

    @app.get("/v1/large")
    async def large() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(512):
                yield b"x" * 65_536

        return StreamingResponse(chunks())

    guards.install(app, per_address=100_000)
    return app


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, gate: Gate, *, keep_alive: int = 5) -> AsyncIterator[Served]:
    """Run the application on the server of production, on a free port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    server = _Server(front.config(app, gate, "127.0.0.1", 0, keep_alive=keep_alive))
    task = asyncio.create_task(server.serve([sock]))
    try:
        await until(lambda: server.started)
        yield Served(sock.getsockname()[1], gate, app)
    finally:
        server.should_exit = True
        async with asyncio.timeout(2 * LONG):
            await task
