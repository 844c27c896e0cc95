"""A case as it was at an instant: its requests and orders in the states that the facts had brought them to by then."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, audit
from service.models import AuditEntry, table_of
from service.queries.cases import Whole
from workflows import retelling
from workflows.terms import Action, Fact, OrderState

_ENTRIES = table_of(AuditEntry)


@dataclass(frozen=True, slots=True)
class Event:
    """What one fact did: to a request, or to an order of it (``order_id``), with the money that it said."""

    at: datetime
    request_id: UUID
    order_id: UUID | None
    code: str
    held: int | None
    returned: int | None


async def events(conn: AsyncConnection, whole: Whole) -> list[Event]:
    """Return what changed the requests and orders of a case that the caller may see, in order."""
    chains = [audit.request_chain(matter.id) for matter in whole.matters]
    query: sa.Select[Any] = (
        sa.select(_ENTRIES.c.at, _ENTRIES.c.request_id, _ENTRIES.c.code, _ENTRIES.c.data)
        .where(among.of(conn, _ENTRIES.c.chain, chains), _ENTRIES.c.code.in_([*retelling.ORDERS, *retelling.REQUESTS]))
        .order_by(_ENTRIES.c.at, _ENTRIES.c.id)
    )
    return [_event(row) for row in (await conn.execute(query)).all()]


def instants(found: Sequence[Event]) -> list[datetime]:
    """Return when something changed, each instant once, in order."""
    return sorted({event.at for event in found})


def as_of(whole: Whole, found: Sequence[Event], at: datetime) -> Whole:
    """Return the case as it was at an instant: what came later is not in it.

    Nor is a request, with its orders, whose facts until then are archived.
    """
    past = [event for event in found if event.at <= at]
    requests = {event.request_id: retelling.REQUESTS[event.code] for event in past if event.code in retelling.REQUESTS}
    orders: dict[UUID, OrderState] = {}
    said: dict[UUID, Event] = {}
    lifts = {step.id for step in whole.steps if step.action is Action.LIFT}
    for event in past:
        if event.order_id is not None and event.code in retelling.ORDERS:
            before, is_lift = orders.get(event.order_id), event.order_id in lifts
            orders[event.order_id] = retelling.order_after(before, event.code, is_lift=is_lift)
            if event.held is not None or event.returned is not None:
                said[event.order_id] = event
    steps = []
    for step in whole.steps:
        if step.id in orders and step.request_id in requests:
            money = said.get(step.id)
            done = None if money is None else money.returned if step.action is Action.RECALL else money.held
            steps.append(replace(step, state=orders[step.id], done=done))
    matters = [replace(each, state=requests[each.id]) for each in whole.matters if each.id in requests]
    return replace(whole, matters=tuple(matters), steps=tuple(steps))


def archived(whole: Whole, found: Sequence[Event]) -> int:
    """Return of how many requests of the case the first fact is archived: until the next one they are missing."""
    begun = {event.request_id for event in found if event.code == Fact.REQUEST_SUBMITTED}
    return sum(matter.id not in begun for matter in whole.matters)


def _event(row: sa.Row[Any]) -> Event:
    data = json.loads(row.data)
    order_id = data.get("order_id") if row.code in retelling.ORDERS else None
    return Event(
        row.at,
        row.request_id,
        UUID(order_id) if order_id else None,
        row.code,
        *(None if data.get(name) is None else int(data[name]) for name in ("amount_held", "amount_returned")),
    )
