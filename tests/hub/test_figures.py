"""The figures that an operator alarms on: what happens is seen in them, from its first time on."""

import math
import subprocess
import sys

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from service import log, metrics
from service.web import problems
from service.web.crowd import CrowdGuard
from service.web.request_log import RequestLog


def seen(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/things/secret-77", "/things/{thing_id}", "200"),
        ("/nowhere/secret-77", "unmatched", "404"),
        ("/broken", "/broken", "500"),
    ],
)
async def test_each_answer_is_counted_by_its_route_and_status(path: str, route: str, status: str) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/things/{thing_id}")
    async def thing(thing_id: str) -> str:
        return thing_id

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret-77")

    labels = {"method": "GET", "route": route, "status": status}
    before = seen("hoatoc_http_request_seconds_count", **labels)
    transport = httpx.ASGITransport(RequestLog(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.example") as http:
        assert (await http.get(path)).status_code == int(status)
    assert seen("hoatoc_http_request_seconds_count", **labels) == before + 1
    assert b"secret-77" not in metrics.render()


async def test_a_client_that_left_before_its_answer_has_no_status() -> None:
    async def gone(_scope: Scope, _receive: Receive, _send: Send) -> None:
        return None

    async def nothing(*_: object) -> None:
        return None

    labels = {"method": "other", "route": "unmatched", "status": "none"}
    before = seen("hoatoc_http_request_seconds_count", **labels)
    await RequestLog(gone)({"type": "http", "method": "BREW", "path": "/", "headers": []}, nothing, nothing)  # type: ignore[arg-type]
    assert seen("hoatoc_http_request_seconds_count", **labels) == before + 1


async def test_whom_the_crowd_keeps_out_is_counted() -> None:
    app = FastAPI()
    before = seen("hoatoc_shed_requests_total", urgency="crowd")
    transport = httpx.ASGITransport(CrowdGuard(app, most=0))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.example") as http:
        assert (await http.get("/")).status_code == 503
    assert seen("hoatoc_shed_requests_total", urgency="crowd") == before + 1


def test_each_logged_error_is_counted_by_its_code() -> None:
    before = (
        seen("hoatoc_logged_errors_total", event="job.failed"),
        seen("hoatoc_logged_errors_total", event="job.missed"),
    )
    log.get("test").error("job.failed", job="tidy")
    log.get("test").exception("job.missed", exc_info=RuntimeError("it broke"))
    log.get("test").warning("heartbeat.missed")
    after = (
        seen("hoatoc_logged_errors_total", event="job.failed"),
        seen("hoatoc_logged_errors_total", event="job.missed"),
    )
    assert after == (before[0] + 1, before[1] + 1)
    assert metrics.REGISTRY.get_sample_value("hoatoc_logged_errors_total", {"event": "heartbeat.missed"}) is None


def test_a_process_that_has_just_begun_shows_each_figure_and_none_that_nobody_measured() -> None:
    begun = subprocess.run(
        [sys.executable, "-c", "from service import metrics; print(metrics.render().decode())"],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(begun.stdout)
        for sample in family.samples
    }
    # What grows from nothing is seen to grow.
    for name, label in (
        *(("hoatoc_dead_dispatches_total", kind) for kind in ("order", "status", "notice")),
        *(("hoatoc_shed_requests_total", what) for what in ("urgent", "normal", "answer", "crowd", "body")),
        *(("hoatoc_loop_restarts_total", loop) for loop in ("heartbeat", "claim", "settle", "fire")),
        *(("hoatoc_logged_errors_total", event) for event in metrics.ERROR_EVENTS),
    ):
        assert shown[name, label] == 0, name
    # An auditor tells of the whole hub; where none has looked, 0 would be a lie.
    for name in ("queue_oldest_seconds", "open_breakers", "deadlines_late_seconds", "clock_offset_seconds"):
        assert math.isnan(shown[f"hoatoc_{name}",]), name
