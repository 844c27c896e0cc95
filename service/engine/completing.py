"""What follows from attempts that ended: one transaction deletes or re-queues their rows and tells what happened."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, audit, db
from service.engine import answered, messages, outbox, owing, settling, tasks
from service.engine.store import Call, Claimed, QueueStore, Retry
from service.models import Attempt, Dispatch, Order, table_of
from workflows import deadlines, retry, states
from workflows.terms import Actor, DispatchKind, DispatchState, Event, Fact, OrderState, Stage, TaskKind

_ATTEMPTS = table_of(Attempt)
_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)


def call(claimed: Claimed, lease: UUID) -> tuple[UUID, int, int]:
    """Name a call by its lease, row and attempt."""
    return lease, claimed.queue_id, claimed.attempt


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt ended: ``error`` is None for a success; ``latency`` is in seconds, ``ago`` since it began.

    ``retry_after`` is what the receiver asked for, in seconds; ``answer_sealed`` the head of its answer.
    """

    claimed: Claimed
    lease: UUID
    node: str
    latency: float
    error: str | None = None
    retryable: bool = True
    retry_after: float | None = None
    status: int | None = None
    answer_sealed: bytes | None = None
    was_probe: bool = False
    # Of several that went in one call, one stands for the call.
    leads: bool = True

    @property
    def call(self) -> tuple[UUID, int, int]:
        """By which it is known which call it is of: a row that was taken over may be sent here once more meanwhile."""
        return call(self.claimed, self.lease)

    @property
    def chain(self) -> str:
        """The chain that the attempt's fact belongs to."""
        request_id = self.claimed.request_id
        return audit.request_chain(request_id) if request_id else audit.tenant_chain(self.claimed.tenant)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a batch came to: the results by what became of their rows.

    ``answered`` are calls that failed, and whose message their participant has answered all the same.
    """

    delivered: tuple[Result, ...]
    retried: tuple[Result, ...]
    answered: tuple[Result, ...]
    dead: tuple[Result, ...]
    superseded: tuple[Result, ...]


async def settle(
    conn: AsyncConnection, log: audit.Log, actor: Actor, queue: QueueStore, results: Sequence[Result], lease: UUID
) -> Settled:
    """Write what follows from ``results`` of one lease; ``log`` holds their chains.

    A row that is no longer ours (its lease was lost), or that an action cancelled, leaves an attempt marked superseded
    and nothing else.
    """
    broken = [result for result in results if result.error is not None]
    # What cannot be sent at all is for a person to look at, whatever was answered.
    has_it = await answered.held_by(conn, [result.claimed for result in broken if result.retryable])
    waits = {result.claimed.call: _wait(result, log.at) for result in broken} | dict.fromkeys(has_it)
    again = [
        Retry(*result.claimed.call, log.at + wait, result.claimed.urgent)
        for result in broken
        if (wait := waits[result.claimed.call]) is not None
    ]
    handed_back = await queue.retry(conn, again, lease)
    # What was cancelled meanwhile goes with those that have ended.
    ended = [result.claimed.call for result in results if result.claimed.call not in handed_back]
    ours = await queue.complete(conn, ended, lease) | handed_back
    kept = [result for result in results if result.claimed.call in ours]
    settled = Settled(
        delivered=tuple(result for result in kept if result.error is None),
        retried=tuple(result for result in kept if waits.get(result.claimed.call) is not None),
        answered=tuple(result for result in kept if result.claimed.call in has_it),
        dead=tuple(
            result
            for result in kept
            if result.error is not None and waits[result.claimed.call] is None and result.claimed.call not in has_it
        ),
        superseded=tuple(result for result in results if result.claimed.call not in ours),
    )
    failed = (*settled.retried, *settled.answered, *settled.dead)
    last_errors = await _last_errors(conn, failed)
    await _write_attempts(conn, log.at, results, ours)
    await _count(conn, settled.retried, {})
    arrived = _ended(DispatchState.DELIVERED, log.at) | {"delivered_at": log.at}
    await _count(conn, (*settled.delivered, *settled.answered), arrived)
    await _count(conn, settled.dead, _ended(DispatchState.DEAD, log.at))
    for result in failed:
        if last_errors.get(result.claimed.dispatch_id) != result.error:
            wait = waits[result.claimed.call]
            _tell(log, actor, Fact.DISPATCH_FAILED, result, next_in=round(wait.total_seconds(), 3) if wait else None)
    await _bury(conn, log, actor, settled.dead)
    await _deliver(conn, log, actor, settled.delivered)
    await outbox.received(conn, log.at, {result.claimed.message_id for result in settled.answered})
    return settled


def _wait(result: Result, now: datetime) -> timedelta | None:
    """Return the wait until the next attempt, or None for a dispatch that is dead."""
    if not result.retryable:
        return None
    wait = retry.wait_before(
        result.claimed.attempt + 1,
        urgent=result.claimed.urgent,
        placed_at=result.claimed.since,
        now=now,
        deadline_at=result.claimed.deadline_at,
        jitter=random.uniform(-1, 1),  # noqa: S311 - jitter, not a secret
    )
    if wait is None or result.retry_after is None:
        return wait
    return min(max(wait, timedelta(seconds=min(result.retry_after, 86_400))), 2 * wait)


def _ended(state: DispatchState, at: datetime) -> dict[str, Any]:
    return {"state": state, "settled_at": at}


async def _last_errors(conn: AsyncConnection, results: Iterable[Result]) -> dict[UUID, str | None]:
    ids = [result.claimed.dispatch_id for result in results]
    if not ids:
        return {}
    latest = sa.select(sa.func.max(_ATTEMPTS.c.id)).where(
        among.of(conn, _ATTEMPTS.c.dispatch_id, ids), ~_ATTEMPTS.c.superseded
    )
    rows = await conn.execute(
        sa.select(_ATTEMPTS.c.dispatch_id, _ATTEMPTS.c.error).where(
            _ATTEMPTS.c.id.in_(latest.group_by(_ATTEMPTS.c.dispatch_id))
        )
    )
    return {row.dispatch_id: row.error for row in rows.all()}


async def _write_attempts(conn: AsyncConnection, now: datetime, results: Sequence[Result], ours: set[Call]) -> None:
    rows = [
        {
            "tenant": result.claimed.tenant,
            "dispatch_id": result.claimed.dispatch_id,
            "attempt": result.claimed.attempt,
            "node": result.node,
            "lease_id": result.lease,
            "started_at": now - timedelta(seconds=result.latency),
            "latency_ms": round(result.latency * 1000),
            "status": result.status,
            "error": result.error,
            "superseded": result.claimed.call not in ours,
            "answer_head_sealed": result.answer_sealed,
        }
        for result in results
    ]
    await db.insert_rows(conn, _ATTEMPTS, rows)


async def _count(conn: AsyncConnection, results: Sequence[Result], values: dict[str, Any]) -> None:
    """Write the number of attempts and ``values`` to the dispatches, by one statement per number."""
    by_attempt: dict[int, list[UUID]] = defaultdict(list)
    for result in results:
        by_attempt[result.claimed.attempt].append(result.claimed.dispatch_id)
    for attempt, ids in by_attempt.items():
        mine = sa.update(_DISPATCHES).where(among.of(conn, _DISPATCHES.c.id, ids))
        await conn.execute(mine.values(attempts=attempt, **values))


async def _bury(conn: AsyncConnection, log: audit.Log, actor: Actor, dead: Sequence[Result]) -> None:
    new: list[tasks.NewTask] = []
    for result in dead:
        claimed = result.claimed
        _tell(log, actor, Fact.DISPATCH_DEAD, result)
        new.append(
            tasks.NewTask(
                tenant=claimed.tenant,
                kind=TaskKind.DEAD_DISPATCH,
                chain=result.chain,
                participant_id=claimed.participant_id,
                request_id=claimed.request_id,
                order_id=claimed.order_id,
                within=deadlines.DELIVERY_TASK_WITHIN,
                data={"dispatch_id": str(claimed.dispatch_id), "error": result.error, "attempts": claimed.attempt},
            )
        )
    if new:
        await tasks.open_tasks(conn, log, actor, log.at, new)


async def _deliver(conn: AsyncConnection, log: audit.Log, actor: Actor, delivered: Sequence[Result]) -> None:
    ids = [result.claimed.order_id for result in delivered if result.claimed.kind is DispatchKind.ORDER]
    orders: dict[UUID | None, Any] = {}
    if ids:
        chosen = sa.select(
            _ORDERS.c.id, _ORDERS.c.action, _ORDERS.c.state, _ORDERS.c.delivered_at, _ORDERS.c.lift_ordered
        )
        orders = {row.id: row for row in (await conn.execute(chosen.where(among.of(conn, _ORDERS.c.id, ids)))).all()}
    moved: list[UUID] = []
    overtaken: list[UUID] = []
    told: set[UUID] = set()
    has_it: list[UUID] = []
    for result in delivered:
        if result.claimed.message_id in told:
            # Over two endpoints at once: it is one message, and it arrived once.
            continue
        told.add(result.claimed.message_id)
        order = orders.get(result.claimed.order_id)
        if order is not None and messages.is_ordered_now(result.claimed.message_type, order):
            has_it.append(order.id)
        if order is None or result.claimed.message_type != messages.order_type(order.action):
            # The lift at the end of a hold, or what is said about an order: not its own delivery.
            _tell(log, actor, Fact.DISPATCH_SENT, result, **_after(result, log.at))
            continue
        if _may_deliver(order.state):
            moved.append(order.id)
        elif order.delivered_at is None:
            overtaken.append(order.id)
        _tell(log, actor, Fact.ORDER_DELIVERED, result, **_after(result, log.at))
    reached = {"delivered_at": log.at, "changed_at": log.at}
    if moved:
        mine = sa.update(_ORDERS).where(among.of(conn, _ORDERS.c.id, moved))
        owed = owing.due(conn, OrderState.DELIVERED)
        await conn.execute(mine.values(**reached, **owed, state=OrderState.DELIVERED))
    if overtaken:
        await conn.execute(sa.update(_ORDERS).where(among.of(conn, _ORDERS.c.id, overtaken)).values(**reached))
    await settling.meet(conn, log, actor, has_it, (Stage.RECEIPT,))
    # Those that were asked to let go stay in their state: what they owe next is due later all the same.
    await owing.renew(conn, set(has_it) - set(moved) - set(overtaken))
    await outbox.received(conn, log.at, {result.claimed.message_id for result in delivered if result.claimed.order_id})


def _may_deliver(state: OrderState) -> bool:
    """Tell whether "delivered" still moves the order; an answer may have overtaken it."""
    try:
        return states.advance(state, Event.DELIVER) is OrderState.DELIVERED
    except states.IllegalMove:
        return False


def _after(result: Result, at: datetime) -> dict[str, Any]:
    return {
        "latency_ms": round(result.latency * 1000),
        "seconds": round((at - result.claimed.since).total_seconds(), 3),
    }


def _tell(log: audit.Log, actor: Actor, code: Fact, result: Result, **data: Any) -> None:
    claimed = result.claimed
    log.record(
        result.chain,
        code,
        actor,
        claimed.tenant,
        request_id=claimed.request_id,
        dispatch_id=str(claimed.message_id),
        kind=str(claimed.kind),
        message_type=claimed.message_type,
        order_id=str(claimed.order_id) if claimed.order_id else None,
        participant_id=claimed.participant_id,
        channel=str(claimed.channel),
        attempt=claimed.attempt,
        error=result.error,
        status=result.status,
        **data,
    )
