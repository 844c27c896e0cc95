"""What is wrong with the hub is told to people; a node leaves only for what is wrong with itself (ADR 0068)."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
import registry_forms as forms
from builders import Builder
from journey_processes import until
from registry_forms import ADMIN
from rigs import FastForward, Rig, Speaker, refused

from adapters.transport import Transport
from service import audit, clock, db
from service.actions import resume, suspend
from service.engine import firing, store
from service.engine.auditor import Auditor
from service.engine.hub import Hub
from service.metrics import REGISTRY
from service.models import Order, QueueItem, Task
from service.schemas.registry import SuspendedKind
from service.worker import Worker
from workflows.terms import DispatchKind, OrderState, Purpose, TaskKind


async def looked(hub: Hub, fast_forward: FastForward) -> Auditor:
    """Return an auditor that has looked twice at what waits for long."""
    auditor = Auditor(hub)
    await fast_forward(minutes=2)
    await auditor.look()
    await fast_forward(seconds=10)
    await auditor.look()
    return auditor


async def stats(hub: Hub) -> store.Stats:
    async with hub.database.read(db.HUB) as conn:
        return await store.of(hub.database.dialect).stats(conn)


def shown(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def switch(hub: Hub, endpoint: UUID, verb: Any) -> None:
    await verb(hub, ADMIN, "bank-a", forms.stop(SuspendedKind.ENDPOINT, endpoint))


async def open_tasks(build: Builder) -> list[Task]:
    return [task for task in await build.rows(Task, kind=TaskKind.ENDPOINT_DOWN) if task.resolved_at is None]


async def test_what_waits_at_an_endpoint_out_of_use_is_no_hole_and_a_person_is_told(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a")
    await switch(hub, placed.endpoint_id, suspend.suspend)
    assert await rig.round() == 0
    auditor = await looked(hub, fast_forward)
    assert "queue.stalled" not in auditor.holes.codes
    counted = await stats(hub)
    assert (counted.suspended, counted.due, counted.oldest_seconds) == (1, 0, 0.0)
    assert shown("hoatoc_queue_rows", state="suspended") == 1
    assert shown("hoatoc_queue_oldest_seconds") == 0
    (task,) = await open_tasks(build)
    assert (task.participant_id, task.data["endpoint_id"]) == ("bank-a", str(placed.endpoint_id))
    await switch(hub, placed.endpoint_id, resume.resume)
    assert await open_tasks(build) == []
    assert await build.facts(audit.tenant_chain("bank-a")) == [
        *("task.opened", "registry.changed", "task.resolved", "registry.changed")
    ]
    assert await rig.round() == 1
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED


@pytest.mark.parametrize("what", ["nothing waits", "there is another one", "only a call that was cancelled"])
async def test_an_endpoint_out_of_use_that_keeps_nobody_waiting_is_nobodys_task(
    hub: Hub, build: Builder, what: str
) -> None:
    await build.participant("bank-a")
    first = await build.endpoint("bank-a")
    if what == "there is another one":
        await build.placed("bank-a", first)
        await build.endpoint("bank-a", position=1)
    elif what == "only a call that was cancelled":
        placed = await build.placed("bank-a", first)
        (item,) = await build.rows(QueueItem)
        await build.change(QueueItem, item.id, leased=True)
        await hub.database.write(lambda conn: store.cancel(conn, [placed.dispatch_id]))
    await switch(hub, first, suspend.suspend)
    assert await open_tasks(build) == []


async def test_an_endpoint_for_something_else_is_no_other_way(hub: Hub, build: Builder) -> None:
    placed = await build.placed("bank-a")
    await build.endpoint("bank-a", purpose=Purpose.STATUS)
    await switch(hub, placed.endpoint_id, suspend.suspend)
    await switch(hub, placed.endpoint_id, suspend.suspend)
    assert len(await open_tasks(build)) == 1


async def test_no_hole_of_the_hub_makes_a_node_leave(hub: Hub, build: Builder, fast_forward: FastForward) -> None:
    worker = Worker(hub, Speaker(), Transport())
    await worker.node.start()
    lost = await build.placed("bank-b")
    (item,) = await build.rows(QueueItem, dispatch_id=lost.dispatch_id)
    gone = QueueItem.__table__.delete().where(QueueItem.id == item.id)  # type: ignore[attr-defined]
    await hub.database.write(lambda conn: conn.execute(gone), db.HUB)
    await build.placed("bank-a")
    await fast_forward(minutes=2)
    for _ in range(2):
        await worker.auditor.look()
        await fast_forward(seconds=10)
    assert worker.auditor.holes.codes == ["deadlines.late", "queue.stalled", "dispatches.lost"]
    assert shown("hoatoc_deadlines_late_seconds") > 60
    await worker.node.beat(60)
    worker.node.tick()
    assert worker.faults() == []
    await worker.node.stop()


async def test_a_backlog_that_moves_is_not_stalled_whenever_somebody_looks(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a", max_in_flight=1)
    for _ in range(3):
        await build.placed("bank-a", endpoint)
    auditor = Auditor(hub)
    await fast_forward(minutes=2)
    for _ in range(2):
        # Between two calls nothing is leased.
        assert "queue.stalled" not in (await auditor.look()).codes
        assert await rig.round() == 1
        await fast_forward(seconds=10)
    assert (await auditor.look()).stalled_rows == 0
    await fast_forward(seconds=10)
    assert (await auditor.look()).stalled_rows == 1


async def test_the_oldest_that_waits_is_one_that_might_go(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    await build.participant("agency-a")
    await build.participant("bank-a")
    down, up = await build.endpoint("bank-a"), await build.endpoint("bank-a", position=1)
    kind: dict[str, Any] = {"kind": DispatchKind.NOTICE, "urgent": False}
    for _ in range(6):
        await build.dispatch("bank-a", down, **kind)
    rig.speaker.fail(down, refused("connect.timeout"))
    await rig.round()
    # The first of two in a row is tried again later; the second one waits for it.
    for _ in range(2):
        await build.dispatch("bank-a", up, order_key=7, **kind)
    rig.speaker.fail(up, refused("http.503"))
    await rig.round()
    await fast_forward(seconds=3)
    counted = await stats(hub)
    assert (counted.due, counted.resting, counted.later, counted.oldest_seconds) == (0, 6, 2, 0.0)
    await Auditor(hub).look()
    assert shown("hoatoc_open_breakers") == 1
    third = await build.endpoint("bank-a", position=2)
    await build.dispatch("bank-a", third, **kind)
    await fast_forward(seconds=20)
    assert 19 < (await stats(hub)).oldest_seconds < 60


async def test_only_what_opens_or_closes_a_breaker_is_a_move(build: Builder, rig: Rig) -> None:
    await build.participant("agency-a")
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a")
    opened: dict[str, str] = {"participant": "bank-a", "to": "open"}
    before = shown("hoatoc_breaker_moves_total", **opened)
    for _ in range(7):
        await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    gate = rig.speaker.hang(endpoint)
    rig.speaker.fail(endpoint, refused("connect.timeout"))
    assert await rig.delivery.claim_once() == 7
    gate.set()
    await rig.delivery.settled()
    assert shown("hoatoc_breaker_moves_total", **opened) == before + 1
    for _ in range(3):
        # Urgent orders go out while the pause lasts; that they fail is no news.
        await build.placed("bank-a", endpoint)
        assert await rig.round() == 1
    assert shown("hoatoc_breaker_moves_total", **opened) == before + 1


async def test_a_node_whose_own_loop_stands_still_leaves(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()
    seconds = 0.0
    real = clock.monotonic
    monkeypatch.setattr(clock, "monotonic", lambda: real() + seconds)

    async def fire_once(_hub: Hub, _aside: firing.Aside) -> firing.FireResult:
        entered.set()
        await gate.wait()
        return firing.FireResult(1, False, None, 12.0)

    monkeypatch.setattr(firing, "fire_once", fire_once)
    worker = Worker(hub, Speaker(), Transport())
    await worker.start()
    late = shown("hoatoc_fired_late_seconds_sum")
    async with asyncio.timeout(60):
        await entered.wait()
    assert "worker.stuck" not in worker.faults()
    seconds = 31.0
    assert "worker.stuck" in worker.faults()
    gate.set()

    async def goes_on() -> bool:
        return "worker.stuck" not in worker.faults()

    await until(goes_on, 30, "the loop that goes on")
    assert shown("hoatoc_fired_late_seconds_sum") >= late + 12
    await worker.stop()
