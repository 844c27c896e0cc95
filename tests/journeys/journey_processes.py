"""Hubs and commands as real processes, with a deadline on everything and a log that a failure shows."""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from adapters.base import DeliveryFailed
from adapters.transport import HubClient
from service import clock
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 60.0
# PROMISES P23: a node that is told to stop has gone within half a minute.
STOP_WITHIN = 30.0
POLL = 0.05


@functools.cache
def _bytecode() -> str:
    """A folder for compiled modules: a node starts as fast as an installed one, even where none may be written."""
    folder = tempfile.mkdtemp(prefix="hoatoc-bytecode-")
    atexit.register(shutil.rmtree, folder, True)
    return folder


def environment(settings: Settings) -> dict[str, str]:
    """Return what a process needs to be a node with these settings."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if sys.dont_write_bytecode:
        kept["PYTHONPYCACHEPREFIX"] = _bytecode()
    chosen = {
        "HOATOC_DATA_DIR": str(settings.data_dir),
        "HOATOC_DATABASE_URL": settings.database_url or "",
        "HOATOC_PROFILE": settings.profile,
        "HOATOC_HOST": settings.host,
        "HOATOC_PORT": str(settings.port),
        "HOATOC_ISSUER": settings.issuer,
        "HOATOC_POLICY": settings.policy,
        "HOATOC_NODE": settings.node,
        "HOATOC_LOG_LEVEL": settings.log_level,
        "HOATOC_PROXIES": json.dumps(settings.proxies),
        "HOATOC_ADDRESS_PER_SECOND": str(settings.address_per_second),
        "HOATOC_LEAVE_WITHIN": str(settings.leave_within),
    }
    return kept | {name: value for name, value in chosen.items() if value}


class Process:
    """One ``hoatoc`` command; its output goes to ``log``."""

    def __init__(
        self, settings: Settings, *command: str, name: str = "", more: Mapping[str, str] | None = None
    ) -> None:
        self.settings, self.command = settings, command or ("serve",)
        # Variables beyond the settings.
        self.more = dict(more or {})
        self.log = settings.data_dir / f"{name or settings.node}-{self.command[0]}.log"
        self.child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self.child is not None
        return self.child.pid

    @property
    def text(self) -> str:
        """All that it and its predecessors with this log wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def start(self) -> None:
        """Start it; nothing is waited for."""
        with self.log.open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.cli", *self.command),
                env=environment(self.settings) | self.more,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ready(self) -> float:
        """Wait until the node says that it may get work; return how many seconds that took."""
        began = clock.monotonic()
        client = HubClient(f"http://{self.settings.host}:{self.settings.port}", timeout=2.0)

        async def is_ready() -> bool:
            assert self.child is not None and self.child.returncode is None, f"it ended:\n{self.text[-2000:]}"
            with contextlib.suppress(DeliveryFailed):
                return (await client.get("/readyz", headers={})).status == 200
            return False

        try:
            await until(is_ready, READY_WITHIN, lambda: f"the node is not ready:\n{self.text[-2000:]}")
        finally:
            await client.aclose()
        return clock.monotonic() - began

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.child is not None
        self.child.send_signal(number)

    async def kill(self) -> None:
        """``kill -9``."""
        assert self.child is not None
        self.child.kill()
        await self.child.wait()

    async def ended(self, within: float = STOP_WITHIN) -> int:
        """Wait for its end and return the exit code."""
        assert self.child is not None
        try:
            return await asyncio.wait_for(self.child.wait(), within)
        except TimeoutError:
            raise AssertionError(f"{self.command} has not ended within {within:.0f} s:\n{self.text[-2000:]}") from None

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop and return its exit code."""
        assert self.child is not None
        if self.child.returncode is None:
            self.child.send_signal(number)
        return await self.ended()

    @contextlib.asynccontextmanager
    async def running(self, *, wait: bool = True) -> AsyncIterator["Process"]:
        """Run it; whatever happens, it is gone afterwards."""
        await self.start()
        try:
            if wait:
                await self.ready()
            yield self
        finally:
            if self.child is not None and self.child.returncode is None:
                self.child.kill()
                await self.child.wait()


async def until(
    seen: Callable[[], Awaitable[bool]], within: float, what: Callable[[], str] | str, every: float = POLL
) -> None:
    """Ask again and again until it is so; fail after ``within`` seconds."""
    end = clock.monotonic() + within
    while not await seen():
        if clock.monotonic() > end:
            raise AssertionError(f"not within {within:.0f} s: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(every)
