"""A web server inside a running event loop, beside others and without a hand on the process's signals."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp


class EmbeddedServer:
    """Serves an ASGI application on 127.0.0.1, with TLS where certificate and key files are given."""

    def __init__(self, app: ASGIApp, port: int, files: tuple[str, str] | None = None) -> None:
        """Take port 0 for any free one; nothing is opened before ``start``."""
        self.port = port
        certificate, key = files or (None, None)
        self._config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=1,
        )
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the server accepts connections; raises ``OSError`` (port taken, file unreadable)."""
        if not self._config.loaded:
            self._config.load()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = _Server(self._config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.ready.wait()

    async def stop(self) -> None:
        """Stop accepting, finish what is under way (at most a second) and close; harmless where nothing runs."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._server = self._serving = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The process belongs to whoever runs the loop: Ctrl-C must reach that one.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
