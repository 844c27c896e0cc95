"""The nodes: a dead one loses its work in seconds, a doubtful one lets go by itself, and a leaving one hands over."""

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import structlog
from builders import Builder, Placed, make_hub
from rigs import FastForward, Rig, Speaker
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.transport import Transport
from service import audit, clock, db, log
from service.engine import completing, firing, housekeeping, outbox
from service.engine.auditor import Auditor
from service.engine.hub import Hub
from service.engine.node import AlreadyRunning, Node
from service.models import (
    Attempt,
    ConsoleSession,
    Dispatch,
    IdempotencyKey,
    Order,
    QueueItem,
    SpentIdentifier,
)
from service.models import Node as NodeRow
from service.worker import Worker
from workflows.entry_terms import Way
from workflows.terms import DispatchState, OrderState, Role

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock, "monotonic", made)
    return made


@on_postgresql
async def test_a_live_node_takes_over_from_a_dead_one(
    hub: Hub, build: Builder, rig: Rig, tmp_path: Path, fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a")
    other_hub = make_hub(hub.settings.database_url, tmp_path, node="node-b")
    dying = await Rig(other_hub).start()
    dying.speaker.hang(placed.endpoint_id)
    assert await dying.delivery.claim_once() == 1
    await dying.die()
    await rig.node.beat()
    assert await rig.node.sweep() == 0
    await fast_forward(seconds=6)
    await rig.node.beat()
    assert await rig.node.sweep() == 1
    assert await rig.round() == 1
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    assert (await build.row(Attempt)).attempt == 2
    await dying.node.stop()
    await other_hub.database.close()


@on_postgresql
async def test_a_slow_answer_of_the_database_is_no_offset_of_the_clock(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.die()
    real, late = clock.utc_now, iter([timedelta(), timedelta(seconds=3)])
    monkeypatch.setattr(clock, "utc_now", lambda: real() + next(late))
    await rig.node.beat()
    assert rig.node.offset == 0.0
    assert rig.node.may_work()


@on_postgresql
async def test_a_node_that_was_not_seen_lets_go_before_others_take_its_work(
    build: Builder, rig: Rig, monotonic: Clock
) -> None:
    placed = await build.placed("bank-a")
    await rig.die()
    await rig.node.beat()
    rig.speaker.hang(placed.endpoint_id)
    boot = rig.node.boot
    assert await rig.delivery.claim_once() == 1
    await rig.speaker.reached(placed.endpoint_id)
    monotonic.seconds += 4.1
    assert not rig.node.may_work()
    assert rig.node.boot != boot
    assert "node.unseen" in rig.node.faults()
    assert await rig.delivery.claim_once() == 0
    await rig.delivery.drain(1)
    assert (await build.row(QueueItem)).lease_id == boot
    await rig.node.beat()
    assert rig.node.may_work()


@on_postgresql
async def test_an_old_result_does_not_pass_for_the_end_of_the_call_that_followed(
    build: Builder, rig: Rig, monotonic: Clock
) -> None:
    placed = await build.placed("bank-a")
    await rig.die()
    await rig.node.beat()
    assert await rig.delivery.claim_once() == 1
    await rig.speaker.reached(placed.endpoint_id)
    # Its result waits to be settled when the node is found out, and its row is taken over and sent anew.
    monotonic.seconds += 4.1
    assert not rig.node.may_work()
    await rig.node.beat()
    rig.speaker.hang(placed.endpoint_id)
    (item,) = await build.rows(QueueItem)
    await build.change(QueueItem, item.id, leased=False, lease_id=None, node=None, lease_until=None)
    assert await rig.delivery.claim_once() == 1
    await rig.delivery.settle_once()
    assert await rig.delivery.drain(0) == 1
    item = await build.row(QueueItem)
    assert (item.leased, item.attempt) == (False, 2)


@on_postgresql
async def test_a_node_whose_clock_is_off_stops_and_then_is_not_ready(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.die()
    rig.node.tick()
    real = clock.utc_now
    for seconds, works, ready in ((0.5, True, True), (2.0, False, True), (6.0, False, False)):
        monkeypatch.setattr(clock, "utc_now", lambda by=seconds: real() + timedelta(seconds=by))
        await rig.node.beat()
        assert (rig.node.may_work(), rig.node.faults() == []) == (works, ready)


@on_postgresql
async def test_lanes_are_shared_by_the_nodes_that_are_alive(hub: Hub, build: Builder, rig: Rig, tmp_path: Path) -> None:
    slow = await build.placed("bank-a")
    for _ in range(9):
        await build.placed("bank-a", slow.endpoint_id)
    gate = rig.speaker.hang(slow.endpoint_id)
    other_hub = make_hub(hub.settings.database_url, tmp_path, node="node-b")
    other = await Rig(other_hub, rig.speaker).start()
    await rig.node.beat()
    assert await rig.delivery.claim_once() == 4
    assert await other.delivery.claim_once() == 4
    gate.set()
    await rig.delivery.settled()
    await other.delivery.settled()
    await other.stop()
    assert len(await build.rows(NodeRow)) == 1
    await other_hub.database.close()


@on_sqlite
async def test_an_embedded_database_refuses_a_second_process(hub: Hub, rig: Rig, tmp_path: Path) -> None:
    second = make_hub(None, tmp_path)
    with pytest.raises(AlreadyRunning, match="another process"):
        await Node(second).start()
    await rig.stop()
    taken = Node(second)
    await taken.start()
    await taken.stop()
    await second.database.close()


@on_sqlite
async def test_at_start_every_lease_of_an_embedded_database_is_stale(hub: Hub, build: Builder) -> None:
    placed = await build.placed("bank-a")
    first = await Rig(hub).start()
    first.speaker.hang(placed.endpoint_id)
    assert await first.delivery.claim_once() == 1
    await first.die()
    assert first.node._lock is not None
    first.node._lock.close()
    second = await Rig(hub).start()
    assert await second.round() == 1
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    await second.stop()


async def test_a_node_that_leaves_hands_back_what_it_could_not_finish(build: Builder, rig: Rig) -> None:
    hanging, prompt = await build.placed("bank-a"), await build.placed("bank-b")
    rig.speaker.hang(hanging.endpoint_id)
    assert await rig.delivery.claim_once() == 2
    await rig.delivery.settle_once()
    rig.node.stop_claiming()
    assert await rig.delivery.drain(0) == 1
    item = await build.row(QueueItem)
    # Its call was begun: nobody can tell whether it arrived.
    assert (item.dispatch_id, item.leased, item.attempt) == (hanging.dispatch_id, False, 1)
    assert (await build.row(Order, id=prompt.order_id)).state is OrderState.DELIVERED
    assert await rig.delivery.claim_once() == 0


async def test_a_call_that_a_leaving_node_broke_off_may_have_arrived(hub: Hub, build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.hang(placed.endpoint_id)
    await rig.delivery.claim_once()
    await rig.speaker.reached(placed.endpoint_id)
    await rig.delivery.drain(0)
    assert await _perhaps_reached(hub, placed) == {placed.order_id}


async def test_what_was_sent_and_could_not_be_settled_may_have_arrived_when_its_node_leaves(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await build.placed("bank-a")

    async def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(completing, "settle", broken)
    await rig.round()
    assert (await build.row(QueueItem)).leased
    await rig.delivery.drain(0)
    assert await _perhaps_reached(hub, placed) == {placed.order_id}


async def _perhaps_reached(hub: Hub, placed: Placed) -> set[UUID]:
    """Return what is left to be lifted where an order is withdrawn now."""

    async def unit(conn: AsyncConnection) -> set[UUID]:
        return await outbox.cancel(conn, await db.now(conn), [placed.order_id])

    return await hub.writer.run(unit)


async def test_a_claim_whose_commit_got_lost_is_made_good(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await build.placed("bank-a")
    await rig.die()
    await rig.node.beat()
    real = hub.database.write

    async def committed_but_not_told(unit: db.Unit[object], reach: db.Reach) -> object:
        await real(unit, reach)
        raise ConnectionResetError

    monkeypatch.setattr(hub.database, "write", committed_but_not_told)
    with pytest.raises(ConnectionResetError):
        await rig.delivery.claim_once()
    monkeypatch.undo()
    assert (await build.row(QueueItem)).leased
    assert await rig.round() == 1
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    # The first claim never came to a call.
    assert (await build.row(Attempt)).attempt == 1


async def test_the_auditor_sees_late_deadlines_stalled_rows_and_lost_work(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    auditor = Auditor(hub)
    assert (await auditor.look()).codes == []
    placed, lost = await build.placed("bank-a"), await build.placed("bank-b")
    assert (await auditor.look()).codes == []
    (item,) = await build.rows(QueueItem, dispatch_id=lost.dispatch_id)
    await hub.database.write(lambda conn: conn.execute(QueueItem.__table__.delete().where(QueueItem.id == item.id)))  # type: ignore[attr-defined]
    await fast_forward(minutes=2)
    await auditor.look()
    holes = await auditor.look()
    assert holes.codes == ["deadlines.late", "queue.stalled", "dispatches.lost"]
    assert (holes.late_deadlines, holes.stalled_rows, holes.lost_dispatches) == (2, 1, 1)
    assert 59 < holes.latest_seconds < 90
    await build.change(Dispatch, lost.dispatch_id, state=DispatchState.CANCELLED)
    assert (await auditor.look()).codes == ["deadlines.late", "queue.stalled"]
    await auditor.look()
    assert placed.dispatch_id != lost.dispatch_id
    # One fact each time that something else is wrong, not one each time that it is looked at.
    assert await build.facts(audit.node_chain(hub.settings.node)) == ["hub.hole_found"] * 3


async def test_housekeeping_deletes_only_what_has_served_its_time(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    await build.participant("agency-a")
    now = clock.utc_now()
    key = {"client_id": "client-a", "tenant": "agency-a", "body_sha256": "0" * 64, "answer": {}, "created_at": now}
    await build.write(IdempotencyKey, key="first", **key)
    await build.write(SpentIdentifier, issuer="client-a", identifier="j1", expires_at=now + timedelta(minutes=5))
    session = {"tenant": "agency-a", "person": "p", "role": Role.COORDINATOR, "started_at": now, "seen_at": now}
    session |= {"id": uuid4(), "way": Way.LINK, "browser": "other-other"}
    await build.write(ConsoleSession, digest=b"d", expires_at=now + timedelta(hours=8), **session)
    assert sum((await housekeeping.tidy(hub)).values()) == 0
    await fast_forward(hours=71)
    assert (await housekeeping.tidy(hub))["idempotency_keys"] == 0
    await fast_forward(hours=2)
    await housekeeping.tidy(hub)
    for model in (IdempotencyKey, SpentIdentifier, ConsoleSession):
        assert await build.rows(model) == []


async def test_a_worker_delivers_by_itself_and_leaves_nothing_behind(hub: Hub, build: Builder) -> None:
    speaker = Speaker()
    worker = Worker(hub, speaker, Transport())
    await worker.start()
    assert worker.faults() == []
    placed = await build.placed("bank-a")
    async with asyncio.timeout(10):
        await speaker.reached(placed.endpoint_id)
    await worker.stop()
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    assert await build.rows(NodeRow) == []
    assert worker.faults() == ["node.stopping"]


async def test_a_loop_that_dies_is_started_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = asyncio.Event()
    results = iter([RuntimeError("a defect")])

    async def fire_once(_hub: Hub, _aside: firing.Aside) -> firing.FireResult:
        for error in results:
            raise error
        fired.set()
        return firing.FireResult(0, False, None)

    monkeypatch.setattr(firing, "fire_once", fire_once)
    worker = Worker(hub, Speaker(), Transport())
    await worker.start()
    async with asyncio.timeout(10):
        await fired.wait()
    await worker.stop()


async def test_a_node_without_a_tick_is_not_ready(rig: Rig, monotonic: Clock) -> None:
    await rig.die()
    await rig.node.beat()
    rig.node.tick()
    assert rig.node.faults() == []
    monotonic.seconds += 10.1
    assert "worker.no_tick" in rig.node.faults()


@on_postgresql
async def test_a_blocked_database_makes_a_node_look_dead(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def blocked(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("service.engine.node.BEAT_WITHIN", 0.01)
    monkeypatch.setattr(rig.node, "_be_seen", blocked)
    with pytest.raises(TimeoutError):
        await rig.node.beat()


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    root, before, raises = logging.getLogger(), structlog.get_config(), logging.raiseExceptions
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level, logging.raiseExceptions = handlers, level, raises
    structlog.configure(**before)


@pytest.mark.usefixtures("logs_as_before")
def test_a_log_line_is_json_in_vietnamese_and_shows_nobodys_account(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure()
    logger = log.get("test")
    try:
        raise ValueError("account 0123456789 of Nguyễn Văn Thử")
    except ValueError:
        logger.exception("dispatch.failed", note="Hỏa Tốc gọi 0912 345 678 hoặc an@bank.example", holder="Thử")
    logging.getLogger("library").warning("statement with %s", "whsec_c2VjcmV0")
    written = capsys.readouterr().err
    ours, theirs = [json.loads(line) for line in written.splitlines()]
    assert "Hỏa Tốc gọi" in written
    assert ours["note"] == "Hỏa Tốc gọi [redacted] hoặc [redacted]"
    assert (ours["holder"], ours["error"], ours["event"]) == ("[redacted]", "builtins.ValueError", "dispatch.failed")
    assert theirs["event"] == "statement with [redacted]"
    assert "0123456789" not in json.dumps(ours)


def test_a_uuid_survives_redaction() -> None:
    shown = str(clock.new_id())
    assert log.redact(None, "", {"dispatch_id": shown}) == {"dispatch_id": shown}
