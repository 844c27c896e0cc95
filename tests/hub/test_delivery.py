"""Delivery: what is placed arrives, what fails comes back on its schedule, and a lost lease changes nothing."""

import asyncio
import math
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from builders import AGENCY, SECRET, Builder, Placed
from opening import opened
from rigs import FastForward, Rig, refused
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import DeliveryFailed
from adapters.transport import Transport
from service import audit, clock, db, errors
from service.engine import completing, delivery, outbox, sending, settlement, store
from service.engine.hub import Hub
from service.metrics import REGISTRY
from service.models import Attempt, Deadline, Dispatch, Endpoint, Order, QueueItem, Task
from workflows import read_back, silence
from workflows.terms import (
    Channel,
    DeadlineState,
    DispatchKind,
    DispatchState,
    OrderState,
    Purpose,
    Stage,
    TaskKind,
)


async def wait_of(build: Builder, placed: Placed) -> float:
    """Return the seconds between the end of the last attempt and the next one."""
    item = await build.row(QueueItem, dispatch_id=placed.dispatch_id)
    *_, last = sorted(await build.rows(Attempt, dispatch_id=placed.dispatch_id), key=lambda attempt: attempt.attempt)
    return float((item.run_at - last.started_at).total_seconds() - last.latency_ms / 1000)


async def test_a_placed_order_is_delivered_and_everything_tells_so(hub: Hub, build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    assert await rig.round() == 1
    order = await build.row(Order, id=placed.order_id)
    assert (order.state, order.delivered_at is not None) == (OrderState.DELIVERED, True)
    dispatch = await build.row(Dispatch, id=placed.dispatch_id)
    assert (dispatch.state, dispatch.attempts) == (DispatchState.DELIVERED, 1)
    assert dispatch.delivered_at == dispatch.settled_at == order.delivered_at
    receipt = await build.row(Deadline, subject_id=placed.order_id, stage=Stage.RECEIPT)
    assert receipt.state is DeadlineState.MET
    assert await build.facts(placed.chain) == ["request.submitted", "order.delivered", "deadline.met"]
    assert await build.rows(QueueItem) == []


async def test_an_attempt_is_kept_with_its_answer_under_seal(hub: Hub, build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.answer = "đã nhận".encode()
    await rig.round()
    attempt = await build.row(Attempt, dispatch_id=placed.dispatch_id)
    assert (attempt.attempt, attempt.status, attempt.error, attempt.superseded) == (1, 202, None, False)
    assert attempt.lease_id == rig.node.boot
    sealed = attempt.answer_head_sealed
    assert await opened(hub, "attempts", placed.dispatch_id, AGENCY, sealed) == "đã nhận"


async def test_every_attempt_sends_the_same_message(build: Builder, rig: Rig, fast_forward: FastForward) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.fail(placed.endpoint_id, refused())
    await rig.round()
    await fast_forward(seconds=5)
    rig.speaker.heal(placed.endpoint_id)
    await rig.round()
    first, second = rig.speaker.to(placed.endpoint_id)
    assert first == second
    assert first.id == f"msg_{placed.dispatch_id.hex}"
    assert first.body["order_id"] == str(placed.order_id)


async def test_an_acknowledgement_may_overtake_our_own_delivered(hub: Hub, build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    gate = rig.speaker.hang(placed.endpoint_id)
    await rig.delivery.claim_once()
    await rig.speaker.reached(placed.endpoint_id)
    await build.change(Order, placed.order_id, state=OrderState.EXECUTED)
    gate.set()
    await rig.delivery.settled()
    order = await build.row(Order, id=placed.order_id)
    assert (order.state, order.delivered_at is not None) == (OrderState.EXECUTED, True)
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.DELIVERED


async def test_an_urgent_order_is_retried_on_its_schedule(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.fail(placed.endpoint_id, refused("connect.timeout"))
    # The breaker would hold the order back from the fifth failure on, except that an urgent one is its probe.
    for attempt, base in enumerate((2, 5, 10, 20, 40, 60, 60), start=1):
        assert await rig.round() == 1
        assert 0.8 * base - 0.01 < await wait_of(build, placed) < 1.2 * base + 0.01
        item = await build.row(QueueItem, dispatch_id=placed.dispatch_id)
        assert (item.priority, item.attempt, item.leased) == (2, attempt, False)
        assert await rig.round() == 0
        await fast_forward(seconds=1.2 * base)
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.PLACED
    assert (await build.row(Dispatch, id=placed.dispatch_id)).attempts == 7


async def test_only_a_new_error_is_a_new_fact(build: Builder, rig: Rig, fast_forward: FastForward) -> None:
    placed = await build.placed("bank-a")
    for code in ("connect.timeout", "connect.timeout", "http.503", "http.503", "connect.timeout"):
        rig.speaker.fail(placed.endpoint_id, refused(code))
        assert await rig.round() == 1
        await fast_forward(minutes=2)
    facts = await build.facts(placed.chain)
    assert facts.count("dispatch.failed") == 3
    assert len(await build.rows(Attempt, dispatch_id=placed.dispatch_id)) == 5


@pytest.mark.parametrize(("asked", "least", "most"), [(0.0, 3.9, 6.1), (7.0, 3.9, 8.1), (3600.0, 7.0, 12.1)])
async def test_the_receiver_may_ask_for_up_to_twice_the_wait(
    asked: float, least: float, most: float, hub: Hub, build: Builder, rig: Rig
) -> None:
    placed = await build.placed("bank-a", urgent=False)
    rig.speaker.fail(placed.endpoint_id, refused("http.429", retry_after=asked))
    await rig.round()
    assert least - 0.01 < await wait_of(build, placed) < most + 0.01


async def test_a_dispatch_is_dead_after_seventy_two_hours_and_a_person_is_told(
    build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.fail(placed.endpoint_id, refused("connect.timeout"))
    await rig.round()
    await fast_forward(hours=71, minutes=59)
    assert await rig.round() == 1
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.PENDING
    await fast_forward(minutes=11)
    assert await rig.round() == 1
    dispatch = await build.row(Dispatch, id=placed.dispatch_id)
    assert (dispatch.state, dispatch.settled_at is not None) == (DispatchState.DEAD, True)
    assert await build.rows(QueueItem) == []
    task = await build.row(Task, kind=TaskKind.DEAD_DISPATCH)
    assert (task.order_id, task.participant_id) == (placed.order_id, "bank-a")
    assert (await build.facts(placed.chain))[-2:] == ["dispatch.dead", "task.opened"]


async def test_what_no_retry_can_cure_is_dead_at_once(build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.fail(placed.endpoint_id, refused("message.too_large", retryable=False))
    await rig.round()
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.DEAD


async def test_a_stale_lease_completes_nothing(build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    gate = rig.speaker.hang(placed.endpoint_id)
    await rig.delivery.claim_once()
    await rig.speaker.reached(placed.endpoint_id)
    (item,) = await build.rows(QueueItem)
    taken_over = clock.new_id()
    await build.change(QueueItem, item.id, lease_id=taken_over, attempt=2)
    gate.set()
    await rig.delivery.settled()
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.PLACED
    assert (await build.row(Attempt, dispatch_id=placed.dispatch_id)).superseded
    assert (await build.row(QueueItem, id=item.id)).lease_id == taken_over
    assert await build.facts(placed.chain) == ["request.submitted"]


async def test_a_dispatch_cancelled_while_it_is_under_way_stays_cancelled(hub: Hub, build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    gate = rig.speaker.hang(placed.endpoint_id)
    await rig.delivery.claim_once()
    await rig.speaker.reached(placed.endpoint_id)

    async def unit(conn: AsyncConnection) -> None:
        await outbox.cancel(conn, await db.now(conn), [placed.order_id])

    await hub.writer.run(unit)
    gate.set()
    await rig.delivery.settled()
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.CANCELLED
    assert (await build.row(Attempt, dispatch_id=placed.dispatch_id)).superseded


@pytest.mark.parametrize("ends", [None, refused(), refused("message.too_large", retryable=False)])
async def test_a_lift_waits_until_the_call_of_its_freeze_has_ended_however_it_does(
    hub: Hub, build: Builder, rig: Rig, ends: DeliveryFailed | None
) -> None:
    placed = await build.placed("bank-a", order_key=77)
    gate = rig.speaker.hang(placed.endpoint_id)
    await rig.delivery.claim_once()
    await rig.speaker.reached(placed.endpoint_id)

    async def unit(conn: AsyncConnection) -> set[UUID]:
        return await outbox.cancel(conn, await db.now(conn), [placed.order_id])

    assert await hub.writer.run(unit) == {placed.order_id}
    lift = await build.dispatch("bank-a", placed.endpoint_id, kind=DispatchKind.NOTICE, order_key=77)
    # The freeze is on the wire: whatever goes now may be there before it.
    assert await rig.delivery.claim_once() == 0
    if ends is not None:
        rig.speaker.fail(placed.endpoint_id, ends)
    gate.set()
    await rig.delivery.settled()
    rig.speaker.heal(placed.endpoint_id)
    assert [row.dispatch_id for row in await build.rows(QueueItem)] == [lift]
    assert await rig.round() == 1
    assert [message.id for message in rig.speaker.to(placed.endpoint_id)] == [
        f"msg_{placed.dispatch_id.hex}",
        f"msg_{lift.hex}",
    ]
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.CANCELLED
    assert (await build.row(Attempt, dispatch_id=placed.dispatch_id)).superseded
    assert await build.rows(QueueItem) == []


async def test_one_hanging_endpoint_does_not_hold_the_others(build: Builder, rig: Rig) -> None:
    slow = await build.placed("bank-a")
    for _ in range(11):
        await build.placed("bank-a", slow.endpoint_id)
    gate = rig.speaker.hang(slow.endpoint_id)
    assert await rig.delivery.claim_once() == 8
    prompt = await build.placed("bank-b")
    assert await rig.delivery.claim_once() == 1
    await rig.delivery.settle_once()
    assert (await build.row(Order, id=prompt.order_id)).state is OrderState.DELIVERED
    assert len(await build.rows(Order, state=OrderState.PLACED)) == 12
    gate.set()
    await rig.delivery.settled()
    assert await rig.round() == 4
    assert len(await build.rows(Order, state=OrderState.DELIVERED)) == 13


@pytest.mark.parametrize("fault", [errors.Unavailable("token.gone"), RuntimeError("nobody expected it")])
async def test_an_answer_that_cannot_be_kept_takes_no_place_of_its_lane(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a", max_in_flight=1)
    first = await build.placed("bank-a", endpoint)
    before = REGISTRY.get_sample_value("hoatoc_logged_errors_total", {"event": "attempt.broke"}) or 0

    def seal(*_: object) -> bytes:
        raise fault

    monkeypatch.setattr(hub.vault, "seal", seal)
    assert await rig.delivery.claim_once() == 1
    await rig.speaker.reached(endpoint)
    async with asyncio.timeout(30):
        await asyncio.gather(*set(rig.delivery._under_way.values()), return_exceptions=True)
        await rig.delivery.settled()
    monkeypatch.undo()
    # Where the token has gone, the call has arrived all the same; of what nobody expected, the lease will end.
    arrived = isinstance(fault, errors.Unavailable)
    broke = REGISTRY.get_sample_value("hoatoc_logged_errors_total", {"event": "attempt.broke"})
    assert broke == before + (not arrived)
    assert ((await build.row(Order, id=first.order_id)).state is OrderState.DELIVERED) is arrived
    assert (rig.delivery._lanes.openings(1).free[endpoint].slots, rig.delivery._under_way) == (1, {})
    second = await build.placed("bank-a", endpoint)
    assert await rig.round() == 1
    assert (await build.row(Order, id=second.order_id)).state is OrderState.DELIVERED


async def test_a_result_that_breaks_its_transaction_fails_alone(
    build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, poisoned, three = [await build.placed(f"bank-{name}") for name in "abc"]
    real = completing._deliver

    async def deliver(
        conn: AsyncConnection, log: audit.Log, actor: object, delivered: tuple[completing.Result, ...]
    ) -> None:
        if any(result.claimed.dispatch_id == poisoned.dispatch_id for result in delivered):
            raise RuntimeError("poisoned")
        await real(conn, log, actor, delivered)  # type: ignore[arg-type]

    monkeypatch.setattr(completing, "_deliver", deliver)
    assert await rig.round() == 3
    states = [(await build.row(Order, id=placed.order_id)).state for placed in (one, poisoned, three)]
    assert states == [OrderState.DELIVERED, OrderState.PLACED, OrderState.DELIVERED]


async def test_results_outlive_an_outage_of_the_database(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await build.placed("bank-a")
    monkeypatch.setattr(settlement, "OUTAGE_PAUSES", (0.0, 0.0, 0.0))
    real, outages = completing.settle, iter([OSError("gone"), OSError("gone")])

    async def settle(*arguments: object) -> completing.Settled:
        for outage in outages:
            raise outage
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(completing, "settle", settle)
    await rig.round()
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    assert len(rig.speaker.sent) == 1


async def test_a_status_is_a_fact_of_its_request_and_a_notice_without_one_of_its_tenant(
    build: Builder, rig: Rig
) -> None:
    request_id = await build.request()
    endpoint = await build.endpoint(AGENCY, purpose=Purpose.STATUS)
    common: dict[str, Any] = {"kind": DispatchKind.STATUS, "message_type": "vn.hoatoc.status.order"}
    await build.dispatch(AGENCY, endpoint, request_id=request_id, **common)
    await build.dispatch(AGENCY, endpoint, kind=DispatchKind.NOTICE, message_type="vn.hoatoc.notice")
    assert await rig.round() == 2
    assert (await build.facts(audit.request_chain(request_id)))[1:] == ["dispatch.sent"]
    assert await build.facts(audit.tenant_chain(AGENCY)) == ["dispatch.sent"]


async def test_the_lift_of_a_hold_that_ended_does_not_deliver_the_order_itself(build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a", message_type="vn.hoatoc.order.lift")
    await build.change(Order, placed.order_id, state=OrderState.LAPSED)
    await rig.round()
    order = await build.row(Order, id=placed.order_id)
    assert (order.state, order.delivered_at) == (OrderState.LAPSED, None)
    assert "dispatch.sent" in await build.facts(placed.chain)


@pytest.mark.parametrize(
    ("message", "met"),
    [("lift", True), ("freeze", False), (read_back.NAME, False), (silence.NAME, False)],
)
async def test_only_the_lift_itself_is_the_receipt_of_a_lift(build: Builder, rig: Rig, message: str, met: bool) -> None:
    placed = await build.placed("bank-a", message_type=f"vn.hoatoc.order.{message}")
    await build.change(Order, placed.order_id, state=OrderState.LAPSED, lift_ordered=True)
    await rig.round()
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.DELIVERED
    receipt = await build.row(Deadline, subject_id=placed.order_id)
    assert receipt.state is (DeadlineState.MET if met else DeadlineState.PENDING)


async def test_a_fault_of_our_own_is_retried(build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    rig.speaker.fail(placed.endpoint_id, ZeroDivisionError("a defect"))
    await rig.round()
    assert (await build.row(Attempt, dispatch_id=placed.dispatch_id)).error == "hub.fault"
    assert (await build.row(QueueItem)).priority == 2


async def test_a_message_that_cannot_be_opened_waits_for_its_key(build: Builder, rig: Rig) -> None:
    placed = await build.placed("bank-a")
    await build.change(Dispatch, placed.dispatch_id, message_sealed=b"\x01" + b"0" * 40)
    await rig.round()
    assert (await build.row(Attempt, dispatch_id=placed.dispatch_id)).error == "message.unreadable"
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.PENDING


@pytest.mark.parametrize("refresh_every", [0.0, math.inf], ids=["read each time", "read once"])
async def test_both_secrets_sign_while_the_old_one_still_counts(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward, refresh_every: float
) -> None:
    rig.delivery = delivery.Delivery(hub, rig.node, rig.speaker, Transport(), refresh_every=refresh_every)
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a", previous_secret_until=clock.utc_now() + timedelta(hours=1))
    await set_previous_secret(hub, build, endpoint)
    for _ in range(2):
        await build.placed("bank-a", endpoint)
        await rig.round()
        await fast_forward(hours=2)
    assert [reached.secrets for _, reached in rig.speaker.sent] == [(SECRET, "whsec_b2xk"), (SECRET,)]


async def test_an_endpoint_is_opened_once_a_reading_and_anew_with_the_next(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = sending.open_endpoint

    def counted(hub: Hub, keys: Any, row: Any, now: Any) -> Any:
        opened.append(row.url)
        return real(hub, keys, row, now)

    monkeypatch.setattr(sending, "open_endpoint", counted)
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a")
    for _ in range(3):
        await build.placed("bank-a", endpoint)
    # Of what is claimed together, all but the first find it open.
    assert (await rig.round(), len(opened)) == (3, 1)
    await build.placed("bank-a", endpoint)
    assert (await rig.round(), len(opened)) == (1, 2)


async def set_previous_secret(hub: Hub, build: Builder, endpoint: UUID) -> None:
    from_before = hub.vault.seal(await build.house("bank-a"), "endpoints", endpoint, "whsec_b2xk")
    await build.change(Endpoint, endpoint, previous_secret_sealed=from_before)


async def test_a_letter_goes_to_the_address_that_was_sealed(build: Builder, rig: Rig) -> None:
    await build.participant("bank-a")
    await build.participant(AGENCY)
    endpoint = await build.endpoint("bank-a", channel=Channel.EMAIL, purpose=Purpose.NOTICES)
    await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, channel=Channel.EMAIL)
    await rig.round()
    assert [reached.url for _, reached in rig.speaker.sent] == ["mailto:duty@bank.example"]


async def test_the_claim_loop_wakes_at_a_commit(build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "POLL", 3600.0)
    placed = await build.placed("bank-a")
    # Before the loop, which may read a row between its being written and its being put in force, and would not send.
    endpoint = await build.endpoint(await build.participant("bank-b"))
    claim, idle = rig.delivery.claim_once, asyncio.Event()

    async def watched() -> int:
        if not (claimed := await claim()):
            idle.set()
        return claimed

    monkeypatch.setattr(rig.delivery, "claim_once", watched)
    loop = asyncio.create_task(rig.delivery.claim_forever())
    try:
        async with asyncio.timeout(60):
            await rig.speaker.reached(placed.endpoint_id)
            await idle.wait()
            await build.placed("bank-b", endpoint)
            await rig.speaker.reached(endpoint)
    finally:
        loop.cancel()
    await rig.delivery.settled()


async def test_the_audit_verifies_after_all_of_it(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    for name in "abcde":
        placed = await build.placed(f"bank-{name}")
        if name in "bd":
            rig.speaker.fail(placed.endpoint_id, refused())
    for _ in range(8):
        await rig.round()
        await fast_forward(minutes=2)
    async with hub.database.read() as conn:
        verdict = await audit.verify(conn)
    assert verdict.findings == ()
    assert verdict.chains == 7


async def test_only_a_claim_after_a_broken_one_hands_rows_back_first(
    build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_back: list[object] = []
    queue: Any = store.of(rig.hub.database.dialect)
    release = type(queue).release

    async def watched(*given: Any, **which: Any) -> int:
        handed_back.append(given)
        return int(await release(*given, **which))

    monkeypatch.setattr(type(queue), "release", watched)
    await build.placed("bank-a")
    assert await rig.round() == 1
    assert handed_back == []

    async def breaks(*_: object) -> None:
        raise OSError("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(type(rig.hub.database), "write", breaks)
        with pytest.raises(OSError, match="gone"):
            await rig.delivery.claim_once()
    await build.placed("bank-a", (await build.rows(Endpoint))[0].id)
    assert await rig.round() == 1
    assert len(handed_back) == 1
