"""The hub of the demonstration: a process of its own, as in real life, started and stopped by the scene."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

from adapters.base import DeliveryFailed
from adapters.transport import HubClient
from service import clock
from service.settings import Settings
from service.web import front

_READY_WITHIN = 60.0
_STOP_WITHIN = 30.0


class HubDied(Exception):
    """The hub's process ended, or was not ready in time."""


def check_port(settings: Settings) -> None:
    """Raise ``HubDied`` where something listens on the hub's port already: it would answer in the hub's place."""
    try:
        front.bound(settings.host, settings.port).close()
    except front.PortTaken as taken:
        raise HubDied(str(taken)) from None


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """Start ``hoatoc serve`` with these settings; return when it is ready; stop it with SIGTERM at the end."""
    environment = {
        **os.environ,
        "HOATOC_DATA_DIR": str(settings.data_dir),
        "HOATOC_PROFILE": settings.profile,
        "HOATOC_HOST": settings.host,
        "HOATOC_PORT": str(settings.port),
        "HOATOC_POLICY": settings.policy,
        "HOATOC_LOG_LEVEL": "warning",
    }
    log = (settings.data_dir / "hub.log").open("ab")
    # In a session of its own: Ctrl-C reaches the scene alone, which then stops the hub in order.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", "serve", env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        await _ready(process, settings)
        yield
    finally:
        log.close()
        await _stop(process)


async def _ready(process: asyncio.subprocess.Process, settings: Settings) -> None:
    client = HubClient(settings.address, timeout=2.0)
    until = clock.monotonic() + _READY_WITHIN
    try:
        while clock.monotonic() < until:
            if process.returncode is not None:
                raise HubDied(f"the hub ended with {process.returncode}: see {settings.data_dir / 'hub.log'}")
            with contextlib.suppress(DeliveryFailed):
                if (await client.get("/readyz", headers={})).status == 200:
                    return
            await asyncio.sleep(0.1)
        raise HubDied(f"the hub was not ready in {_READY_WITHIN:.0f} s: see {settings.data_dir / 'hub.log'}")
    finally:
        await client.aclose()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()
