"""How a hold ends at a participant: the lift message of an order that lapsed, was withdrawn or answered too late."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.audit import Log
from service.engine import messages, order_keys, outbox, owing, reach, settling, tasks, timers
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import Order, table_of
from workflows import deadlines, lift, states
from workflows.terms import (
    ONCE,
    Action,
    Actor,
    DispatchKind,
    Event,
    Fact,
    OrderState,
    Stage,
    SubjectKind,
    TaskKind,
)

_ORDERS = table_of(Order)


async def next_sequences(conn: AsyncConnection, orders: Sequence[UUID]) -> dict[UUID, int]:
    """Raise the sequence of each order by one and return it: what is said next about that hold carries it."""
    raised = (
        sa.update(_ORDERS)
        .where(_ORDERS.c.id.in_(orders))
        .values(sequence=_ORDERS.c.sequence + 1)
        .returning(_ORDERS.c.id, _ORDERS.c.sequence)
    )
    return {row.id: row.sequence for row in (await conn.execute(raised)).all()} if orders else {}


async def lapse(
    conn: AsyncConnection, hub: Hub, log: Log, dossier: Dossier, orders: Sequence[Row], reason: str
) -> None:
    """End what has come to its end: no request, no signer. What was never delivered is final, the rest is lifted.

    A recall or a disclosure that lapses holds nothing: its end stands in the order, and no lift follows.
    """
    for order in orders:
        states.advance(order["state"], Event.LAPSE)
    ids = [order["id"] for order in orders]
    await _move(conn, ids, OrderState.LAPSED, log.at)
    await settling.cancel(conn, log.at, ids)
    for order in orders:
        log.record(
            dossier.chain,
            Fact.ORDER_LAPSED,
            hub.actor,
            dossier.tenant,
            request_id=dossier.id,
            order_id=str(order["id"]),
            participant_id=order["participant_id"],
            reason=reason,
        )
    reached = await _reached(conn, log.at, orders)
    if dossier.request["action"] not in ONCE:
        await send_lifts(conn, hub, log, dossier, reached, reason)


async def withdraw(conn: AsyncConnection, log: Log, actor: Actor, dossier: Dossier, orders: Sequence[Row]) -> list[Row]:
    """Withdraw orders that nobody executed yet and return those that their participant has, or may have."""
    for order in orders:
        states.advance(order["state"], Event.WITHDRAW)
    ids = [order["id"] for order in orders]
    await _move(conn, ids, OrderState.WITHDRAWN, log.at)
    await settling.cancel(conn, log.at, ids)
    reached = await _reached(conn, log.at, orders)
    for order in orders:
        log.record(
            dossier.chain,
            Fact.ORDER_WITHDRAWN,
            actor,
            dossier.tenant,
            request_id=dossier.id,
            order_id=str(order["id"]),
            participant_id=order["participant_id"],
        )
    return reached


async def _reached(conn: AsyncConnection, at: datetime, orders: Sequence[Row]) -> list[Row]:
    """Cancel what is still to be sent of these orders; return those that the participant has, or may have."""
    perhaps = await outbox.cancel(conn, at, [order["id"] for order in orders if not was_delivered(order)])
    await outbox.cancel_over(conn, at, [order["id"] for order in orders])
    return [order for order in orders if was_delivered(order) or order["id"] in perhaps]


def was_delivered(order: Row) -> bool:
    """Tell whether the participant ever got the order: our dispatch arrived, or its answer proves it."""
    return lift.was_delivered(order["delivered_at"], order["answered_at"])


async def send_lifts(
    conn: AsyncConnection, hub: Hub, log: Log, dossier: Dossier, orders: Sequence[Row], reason: str
) -> None:
    """Send each participant the lift of its own order, with the clocks of a lift; the order keeps its id."""
    if not orders:
        return
    at = log.at
    ids = [order["id"] for order in orders]
    endpoints = await reach.order_endpoints(conn, {order["participant_id"] for order in orders})
    sequences = await next_sequences(conn, ids)
    generations = await timers.next_generations(conn, ids, tuple(Stage))
    # A lift that is sent once more (a late answer) does not give the participant its time once more.
    running = await settling.waiting(conn, ids)
    outgoing: list[outbox.Outgoing] = []
    clocks: list[timers.Timer] = []
    lost: list[tasks.NewTask] = []
    for order in orders:
        endpoint = endpoints.get(order["participant_id"])
        if endpoint is None:
            lost.append(_unreachable(dossier, order))
            continue
        limits = [
            (limit.stage, deadlines.due(limit, at))
            for limit in deadlines.limits_for(
                Action.LIFT,
                dossier.targets[order["target_id"]]["kind"],
                endpoint.sector,
                participant_id=order["participant_id"],
                legal_basis=dossier.request["legal_basis"],
                overrides=dossier.policy.limit_overrides,
            )
        ]
        if order["id"] not in running:
            clocks += [
                timers.Timer(
                    tenant=dossier.tenant,
                    subject_kind=SubjectKind.ORDER,
                    subject_id=order["id"],
                    chain=dossier.chain,
                    stage=stage,
                    started_at=at,
                    due_at=due_at,
                    request_id=dossier.id,
                    participant_id=order["participant_id"],
                    generation=generations[order["id"], stage],
                )
                for stage, due_at in limits
            ]
        outgoing.append(_outgoing(hub, dossier, order, endpoint, sequences[order["id"]], limits, reason, at))
    since = sa.func.coalesce(_ORDERS.c.letting_go_since, sa.literal(at, _ORDERS.c.changed_at.type))
    told = sa.update(_ORDERS).where(_ORDERS.c.id.in_(ids))
    await timers.start(conn, clocks)
    owed = owing.due(conn, letting_go_since=since)
    await conn.execute(told.values(lift_ordered=True, letting_go_since=since, changed_at=at, **owed))
    await outbox.enqueue(conn, hub.vault, at, outgoing)
    await tasks.open_tasks(conn, log, hub.actor, at, lost)


def _unreachable(dossier: Dossier, order: Row) -> tasks.NewTask:
    return tasks.NewTask(
        tenant=dossier.tenant,
        kind=TaskKind.UNREACHABLE_PARTICIPANT,
        chain=dossier.chain,
        participant_id=order["participant_id"],
        request_id=dossier.id,
        order_id=order["id"],
        within=tasks.within(dossier.policy),
        data={"action": str(Action.LIFT)},
    )


def _outgoing(
    hub: Hub,
    dossier: Dossier,
    order: Row,
    endpoint: reach.EndpointRow,
    sequence: int,
    limits: Sequence[tuple[Any, datetime]],
    reason: str,
    at: datetime,
) -> outbox.Outgoing:
    target = dossier.targets[order["target_id"]]
    body = messages.order_body(
        hub.vault,
        dossier.keys,
        request=dossier.request,
        case_number=dossier.case_number,
        agency=dossier.agency,
        officer=dossier.officer,
        second_officer=dossier.second_officer,
        target=target,
        order_id=order["id"],
        participant_id=order["participant_id"],
        action=Action.LIFT,
        sequence=sequence,
        amount=order["amount"],
        whole_account=dossier.request["whole_account"],
        ends_at=order["ends_at"],
        deadlines=limits,
        drill=hub.settings.drill,
        lifts=order["id"],
        lifts_action=dossier.hold_action,
        reason=reason,
    )
    return outbox.Outgoing(
        tenant=dossier.tenant,
        participant_id=order["participant_id"],
        kind=DispatchKind.ORDER,
        endpoint_id=endpoint.id,
        channel=endpoint.channel,
        message_type=messages.order_type(Action.LIFT),
        subject=str(order["id"]),
        sequence=sequence,
        body=body,
        signature=order_keys.sign(hub, str(order["id"]), body, at),
        identity=("lift", order["id"], sequence),
        request_id=dossier.id,
        key=dossier.keys.get(dossier.id),
        order_id=order["id"],
        urgent=True,
        order_key=reach.order_key(dossier.hold_case_id, target["value_index"], endpoint.id),
        deadline_at=max((due for _, due in limits), default=None),
    )


async def _move(conn: AsyncConnection, ids: Sequence[UUID], state: OrderState, at: datetime) -> None:
    await conn.execute(sa.update(_ORDERS).where(_ORDERS.c.id.in_(ids)).values(state=state, changed_at=at))
