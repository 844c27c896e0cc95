"""The worker has connections of its own: what the doors take keeps neither a deadline nor a delivery waiting."""

import asyncio
import contextlib

import pytest
from builders import Builder
from rigs import FastForward, Speaker

from adapters.transport import Transport
from service import db, outages
from service.engine import firing
from service.engine.hub import Hub
from service.metrics import REGISTRY
from service.models import Deadline, Order
from service.worker import Worker
from workflows.terms import DeadlineState, OrderState, Stage


def waits(of: str) -> float:
    return REGISTRY.get_sample_value("hoatoc_database_wait_seconds_count", {"of": of}) or 0.0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_rush_at_the_doors_delays_no_deadline(
    hub: Hub, build: Builder, fast_forward: FastForward, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await build.placed("bank-a")
    await fast_forward(minutes=30)
    fired, real, speaker = asyncio.Event(), firing.fire_once, Speaker()

    async def watched(of: Hub, aside: firing.Aside) -> firing.FireResult:
        result = await real(of, aside)
        if result.fired:
            fired.set()
        return result

    monkeypatch.setattr(firing, "fire_once", watched)
    worker = Worker(hub, speaker, Transport())
    before = waits("worker"), waits("doors")
    async with contextlib.AsyncExitStack() as rush:
        for _ in range(hub.settings.database_pool):
            await outages.take_time(await rush.enter_async_context(hub.database.read(db.HUB)))
        async with asyncio.timeout(60):
            await worker.start()
            await fired.wait()
            await speaker.reached(placed.endpoint_id)
    await worker.stop()
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    missed = await build.rows(Deadline, subject_id=placed.order_id, stage=Stage.RECEIPT, rung=0)
    assert [each.state for each in missed] == [DeadlineState.MISSED]
    assert waits("worker") > before[0]
    assert waits("doors") >= before[1] + hub.settings.database_pool


async def test_what_the_worker_commits_wakes_whoever_waits_at_the_doors(hub: Hub) -> None:
    worker = Worker(hub, Speaker(), Transport())
    hub.writer.wake.clear()
    await worker._hub.writer.run(db.now, reach=db.HUB)
    assert hub.writer.wake.is_set()
    assert worker._hub.writer.doorbell is hub.writer.doorbell
    assert (worker._hub.database is hub.database) is hub.settings.embedded
    await worker._hub.database.close()
