"""What the hub's own clocks do: a hold's end, its warning, an unreviewed emergency, an acknowledgement that expired."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.audit import Log
from service.engine import closing, dossier, extensions, holding, ladders, lifting, settling, statuses, timers
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import ActionRequest, Order, table_of
from workflows import deadlines, states
from workflows.terms import (
    Action,
    Event,
    Fact,
    OrderState,
    RequestEvent,
    RequestState,
    Stage,
    SubjectKind,
)

_ORDERS = table_of(Order)
_REQUESTS = table_of(ActionRequest)


async def end_orders(
    conn: AsyncConnection, hub: Hub, log: Log, about: Mapping[UUID, Dossier], ended: Sequence[Row], reason: str
) -> None:
    """Lapse the orders whose end has come and that are not final yet, and close what is done with that."""
    orders = await _orders(conn, [row["subject_id"] for row in ended])
    by_request: dict[UUID, list[Row]] = {}
    for order in orders.values():
        if (order["state"], Event.LAPSE) in states.MOVES:
            by_request.setdefault(order["request_id"], []).append(order)
    for request_id, lapsing in by_request.items():
        found = about[request_id]
        if found.request["action"] is Action.EXTEND:
            # It holds nothing itself, so there is nothing to lift: what it would have prolonged ends on its own.
            await lifting.withdraw(conn, log, hub.actor, found, lapsing)
            await closing.close_if_done(conn, hub, log, found)
            continue
        await lifting.lapse(conn, hub, log, found, lapsing, reason)
        news = [
            statuses.News(found, Fact.ORDER_LAPSED, "lapsed", order["id"], order["participant_id"]) for order in lapsing
        ]
        await statuses.tell(conn, hub, log.at, news)
        await closing.close_if_done(conn, hub, log, found)


async def end_requests(
    conn: AsyncConnection, hub: Hub, log: Log, about: Mapping[UUID, Dossier], ended: Sequence[Row]
) -> None:
    """Lapse the requests whose end came before their second officer did, refuse those that were held until then."""
    for row in ended:
        found = about[row["subject_id"]]
        if found.request["state"] is RequestState.HELD_FOR_CALLBACK:
            await holding.refuse(conn, hub, log, hub.actor, found, "end_reached")
            continue
        if found.request["state"] is not RequestState.AWAITING_APPROVAL:
            continue
        state = states.advance_request(found.request["state"], RequestEvent.LAPSE)
        await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(state=state, closed_at=log.at))
        await settling.cancel(conn, log.at, [found.id])
        log.record(found.chain, Fact.REQUEST_LAPSED, hub.actor, found.tenant, request_id=found.id)
        await statuses.tell(conn, hub, log.at, [statuses.News(found, Fact.REQUEST_LAPSED, str(state))])


async def end_unreviewed(
    conn: AsyncConnection, hub: Hub, log: Log, about: Mapping[UUID, Dossier], unreviewed: Sequence[Row]
) -> None:
    """Lift the emergency holds that no second officer reviewed in time, and take back what was to prolong them."""
    for row in unreviewed:
        found = about[row["subject_id"]]
        if found.request["reviewed_at"] is not None or found.request["state"] is not RequestState.ACTIVE:
            continue
        log.record(found.chain, Fact.REQUEST_UNREVIEWED, hub.actor, found.tenant, request_id=found.id)
        orders = await dossier.orders_of(conn, found.id)
        lapsing = [order for order in orders if (order["state"], Event.LAPSE) in states.MOVES]
        prolonging = await extensions.lock(conn, log, found.id)
        await extensions.take_back(conn, hub, log, hub.actor, prolonging, {order["id"] for order in lapsing})
        await lifting.lapse(conn, hub, log, found, lapsing, "unreviewed")
        await statuses.tell(conn, hub, log.at, [statuses.News(found, Fact.REQUEST_UNREVIEWED, "active")])
        await closing.close_if_done(conn, hub, log, found)


async def warn_of_end(
    conn: AsyncConnection, hub: Hub, log: Log, about: Mapping[UUID, Dossier], warned: Sequence[Row]
) -> None:
    """Record that a hold will end soon and tell the agency, so that it can extend in time."""
    news: list[statuses.News] = []
    for row in warned:
        found = about[row["request_id"]]
        log.record(
            found.chain,
            Fact.HOLD_ENDING,
            hub.actor,
            found.tenant,
            request_id=found.id,
            deadline_id=row["id"],
            ends_at=found.request["ends_at"],
        )
        news.append(statuses.News(found, Fact.HOLD_ENDING, str(found.request["state"])))
    await statuses.tell(conn, hub, log.at, news)


async def reopen(
    conn: AsyncConnection, hub: Hub, log: Log, about: Mapping[UUID, ladders.Subject], expired: Sequence[Row]
) -> None:
    """Start the acknowledge clock anew where "received" was said and nothing followed while it was valid."""
    clocks: list[timers.Timer] = []
    orders = [row["subject_id"] for row in expired]
    generations = await timers.next_generations(conn, orders, [Stage.ACKNOWLEDGE])
    for row in expired:
        subject = about[row["subject_id"]]
        order = subject.order
        if order["state"] is not OrderState.ACKNOWLEDGED:
            continue
        log.record(
            row["chain"],
            Fact.ORDER_ACKNOWLEDGEMENT_EXPIRED,
            hub.actor,
            row["tenant"],
            request_id=row["request_id"],
            deadline_id=row["id"],
            order_id=str(order["id"]),
            participant_id=order["participant_id"],
        )
        clocks.append(
            timers.Timer(
                tenant=row["tenant"],
                subject_kind=SubjectKind.ORDER,
                subject_id=order["id"],
                chain=row["chain"],
                stage=Stage.ACKNOWLEDGE,
                started_at=row["due_at"],
                # The same time again as the participant had at first.
                due_at=row["due_at"] + ladders.within(subject, Stage.ACKNOWLEDGE),
                request_id=row["request_id"],
                participant_id=order["participant_id"],
                generation=generations[order["id"], Stage.ACKNOWLEDGE],
            )
        )
    await timers.start(conn, clocks)


async def start_request_clocks(conn: AsyncConnection, log: Log, found: Dossier) -> None:
    """Set the clocks of an active request itself: the warning before its end."""
    ends_at, starts_at = found.request["ends_at"], found.request["starts_at"]
    before = found.within(Stage.END_WARNING, deadlines.END_WARNING_BEFORE)
    warning = deadlines.end_warning(starts_at, ends_at, before) if ends_at else None
    if warning is None or warning <= log.at:
        return
    generations = await timers.next_generations(conn, [found.id], [Stage.END_WARNING])
    await timers.start(
        conn,
        [
            timers.Timer(
                tenant=found.tenant,
                subject_kind=SubjectKind.REQUEST,
                subject_id=found.id,
                chain=found.chain,
                stage=Stage.END_WARNING,
                started_at=warning,
                due_at=warning,
                request_id=found.id,
                generation=generations[found.id, Stage.END_WARNING],
            )
        ],
    )


async def _orders(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Row]:
    rows = (await conn.execute(sa.select(_ORDERS).where(among.of(conn, _ORDERS.c.id, ids)))).all() if ids else []
    return {row.id: dict(row._mapping) for row in rows}
