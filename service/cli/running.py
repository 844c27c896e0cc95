"""Commands that run: the hub with its doors, a worker alone, and the demonstration."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI

from service import app as wiring
from service import demo as scene
from service import i18n, log
from service.actions import load_directory
from service.cli import context, health_door, output
from service.engine.hub import Hub
from service.selfcheck import start
from service.selfcheck.check import Check
from service.settings import Settings
from service.web import addresses, front
from service.web.connections import Gate
from service.worker import Worker

_STOPS = (signal.SIGINT, signal.SIGTERM)


def serve(
    worker: Annotated[bool, typer.Option(help="also deliver and fire in this process")] = True,
) -> None:
    """Run the hub; an embedded database is brought to this build's schema and gets the shipped directory."""
    chosen = context.settings()
    log.configure(chosen.log_level)
    if chosen.embedded and not worker:
        raise output.fail("an embedded database is for one process: its worker cannot run elsewhere")
    context.stay(_serve(chosen, with_worker=worker, found=_look(chosen)))


def worker() -> None:
    """Deliver and fire without a door; on PostgreSQL any number of these may run."""
    chosen = context.settings()
    log.configure(chosen.log_level)
    if chosen.embedded:
        raise output.fail("an embedded database is for one process: hoatoc serve has the worker inside")
    context.stay(_work(chosen, found=_look(chosen)))


def demo(
    keep_running: Annotated[bool, typer.Option("--keep-running", help="play the first scene, then stay")] = False,
) -> None:
    """Play the demonstration with seven pretended participants; exit 0 only if each step was seen."""
    chosen = context.settings()
    log.configure("error")
    raise typer.Exit(context.run(scene.run(chosen, keep_running=keep_running)))


def _look(chosen: Settings) -> Sequence[Check]:
    """Look at this node before anything is opened; what is grave ends it, the rest is returned to be said."""
    with context.told():
        try:
            return start.look(chosen)
        except start.NotFit as unfit:
            _say(unfit.found)
            raise output.fail("the hub does not start like this; hoatoc doctor --production shows everything") from None


def _say(found: Sequence[Check]) -> None:
    for check in found:
        output.remark(f"{check.state}: {check.name}: {check.sentence('en')}")


class _Server(uvicorn.Server):
    """Stops at the first Ctrl-C or SIGTERM and lets the hub close what it opened, instead of dying by the signal.

    It is not ready at once, so that the proxy in front sends nothing more, and goes on answering for ``leave_within``
    seconds, in which the proxy finds that out; a second signal ends the waiting.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, leave_within: float) -> None:
        super().__init__(config)
        self._app = app
        self._leave_within = leave_within

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so only then: whoever reads it may call."""
        await super().startup(sockets)
        if self.started:
            output.remark(f"Hỏa Tốc listens on http://{self.config.host}:{self.config.port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave, or, when told again, stop. Who waits at an inbox, or reads its stream, is sent away at once."""
        self._app.state.hub.writer.doorbell.close()
        if self._app.state.is_leaving or not self._leave_within:
            super().handle_exit(sig, frame)
            return
        self._app.state.is_leaving = True
        asyncio.get_running_loop().call_later(self._leave_within, self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in _STOPS:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in _STOPS:
                loop.remove_signal_handler(each)


async def _serve(chosen: Settings, *, with_worker: bool, found: Sequence[Check]) -> None:
    # First of all: what nobody can reach says nothing, opens nothing and delivers nothing.
    door = front.bound(chosen.host, chosen.port)
    try:
        await _open_doors(chosen, door, with_worker=with_worker, found=found)
    finally:
        door.close()


async def _open_doors(chosen: Settings, door: socket.socket, *, with_worker: bool, found: Sequence[Check]) -> None:
    hub = await _open(chosen)
    try:
        _say(found)
        if chosen.drill:
            output.remark(f"{i18n.text('drill.mark', 'en')}: {i18n.text('console.frame.drill', 'en')}")
        worker = wiring.make_worker(hub) if with_worker else None
        app = wiring.create_app(hub, worker)
        gate = Gate(proxies=addresses.networks(chosen.proxies))
        config = front.config(app, gate, chosen.host, chosen.port)
        await _Server(config, app, chosen.leave_within).serve(sockets=[door])
    finally:
        await wiring.close_hub(hub)


async def _open(chosen: Settings) -> Hub:
    # The lock is let go before the worker takes it for good; whoever comes between is found out by the worker.
    with context.locked(chosen):
        hub = await wiring.open_hub(chosen, migrate=chosen.embedded)
        if chosen.embedded:
            try:
                await load_directory.load(hub, context.person())
            except BaseException:
                await wiring.close_hub(hub)
                raise
        return hub


async def _work(chosen: Settings, *, found: Sequence[Check]) -> None:
    # First of all, as the hub's doors do: whoever watches this worker finds it there, or is told why not.
    with health_door.bound(chosen) as door:
        hub = await wiring.open_hub(chosen)
        _say(found)
        worker = wiring.make_worker(hub)
        told_to_stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in _STOPS:
            loop.add_signal_handler(each, told_to_stop.set)
        try:
            # Open until the worker has stopped: it is not ready for as long as that takes.
            async with health_door.opened(wiring.create_health_app(hub, worker), door):
                await _run(worker, told_to_stop, chosen.node)
        finally:
            await wiring.close_hub(hub)


async def _run(worker: Worker, told_to_stop: asyncio.Event, node: str) -> None:
    try:
        await worker.start()
        output.remark(f"worker {node} is running")
        await told_to_stop.wait()
    finally:
        await worker.stop()
