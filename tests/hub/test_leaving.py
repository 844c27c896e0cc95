"""A node that is told to stop says first that it is not ready, and goes on answering for as long as it was set."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from service import app as application
from service import clock
from service.cli import running
from service.engine.hub import Hub


class Later:
    """What is to be done later, instead of a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, delay: float, callback: Callable[[], None], *_: Any) -> None:
        """Remember it."""
        self.calls.append((delay, callback))


def server(app: FastAPI, leave_within: float) -> running._Server:
    return running._Server(uvicorn.Config(app), app, leave_within)


def told(serving: running._Server, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Callable[[], None]]]:
    with monkeypatch.context() as patched:
        later = Later(patched)
        serving.handle_exit(signal.SIGTERM, None)
    return later.calls


async def test_a_node_is_not_ready_at_once_and_stops_when_its_time_to_leave_is_over(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application.create_app(hub)
    serving = server(app, 3)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=hub.settings.address) as http:
        assert (await http.get("/readyz")).status_code == 200
        [(delay, stop)] = told(serving, monkeypatch)
        assert (delay, serving.should_exit) == (3, False)
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["faults"]) == (503, ["node.stopping"])
        # It still answers whoever asks.
        assert (await http.get("/healthz")).status_code == 200
    stop()
    assert serving.should_exit


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("seconds", "faults"), [(4, []), (-4, []), (60, ["clock.offset"]), (-60, ["clock.offset"])])
async def test_a_door_without_a_worker_looks_at_its_clock_itself(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, seconds: int, faults: list[str]
) -> None:
    real = clock.utc_now
    monkeypatch.setattr(clock, "utc_now", lambda: real() + timedelta(seconds=seconds))
    app = application.create_app(hub)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=hub.settings.address) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["faults"]) == (503 if faults else 200, faults)


async def test_a_second_signal_ends_the_waiting_and_none_is_waited_for_where_none_is_set(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application.create_app(hub)
    serving = server(app, 3)
    assert told(serving, monkeypatch) and not serving.should_exit
    assert told(serving, monkeypatch) == [] and serving.should_exit
    at_once = server(application.create_app(hub), 0)
    assert told(at_once, monkeypatch) == [] and at_once.should_exit
