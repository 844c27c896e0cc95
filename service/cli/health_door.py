"""The door of a worker that has no other: where the operator's monitoring asks for its health and its figures."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from service.cli import output
from service.settings import Settings
from service.web import front
from service.web.connections import Gate


def bound(settings: Settings) -> contextlib.AbstractContextManager[socket.socket | None]:
    """Return the socket of ``HOATOC_HEALTH_PORT``, or none where that is not set, which is said.

    Raises ``front.PortTaken`` where the address cannot be had.
    """
    if settings.health_port is None:
        output.remark("HOATOC_HEALTH_PORT is not set: the health and the figures of this worker are told nowhere")
        return contextlib.nullcontext()
    return front.bound(settings.host, settings.health_port, "HOATOC_HEALTH_PORT")


@contextlib.asynccontextmanager
async def opened(app: FastAPI, door: socket.socket | None) -> AsyncIterator[None]:
    """Serve ``app`` at the door, where there is one, for as long as the worker behind it runs.

    Raises ``OSError`` where nothing can listen there: another one that was bound to it was faster.
    """
    if door is None:
        yield
        return
    host, port = door.getsockname()[:2]
    server = _Server(front.config(app, Gate(), host, port))
    serving = asyncio.create_task(server.serve(sockets=[door]), name="health")
    listening = asyncio.create_task(server.listens.wait())
    await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if serving.done():
        serving.result()
    try:
        yield
    finally:
        server.should_exit = True
        # A worker that has stopped well has, whatever became of its door.
        await asyncio.gather(serving, return_exceptions=True)


class _Server(uvicorn.Server):
    """Leaves the signals to the worker beside it, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
