"""A case as it was at an instant: its requests and orders in the states that the facts had brought them to by then."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, audit
from service.models import AuditEntry, table_of
from service.queries.cases import Whole
from workflows.terms import Action, Fact, OrderState, RequestState

_ENTRIES = table_of(AuditEntry)

_ORDERS: Mapping[str, OrderState] = MappingProxyType(
    {
        Fact.ORDER_PLACED: OrderState.PLACED,
        Fact.ORDER_DELIVERED: OrderState.DELIVERED,
        Fact.ORDER_ACKNOWLEDGED: OrderState.ACKNOWLEDGED,
        Fact.ORDER_EXECUTED: OrderState.EXECUTED,
        Fact.ORDER_PARTLY_EXECUTED: OrderState.EXECUTED,
        Fact.ORDER_REFUSED: OrderState.REFUSED,
        Fact.ORDER_REROUTED: OrderState.REROUTED,
        Fact.ORDER_WITHDRAWN: OrderState.WITHDRAWN,
        Fact.ORDER_LAPSED: OrderState.LAPSED,
        Fact.ORDER_LIFTED: OrderState.LIFTED,
    }
)
_REQUESTS: Mapping[str, RequestState] = MappingProxyType(
    {
        Fact.REQUEST_SUBMITTED: RequestState.AWAITING_APPROVAL,
        Fact.REQUEST_HELD: RequestState.HELD_FOR_CALLBACK,
        Fact.REQUEST_ACTIVATED: RequestState.ACTIVE,
        Fact.REQUEST_REFUSED: RequestState.REFUSED,
        Fact.REQUEST_WITHDRAWN: RequestState.WITHDRAWN,
        Fact.REQUEST_LAPSED: RequestState.LAPSED,
        Fact.REQUEST_CLOSED: RequestState.CLOSED,
    }
)


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
        .where(among.of(conn, _ENTRIES.c.chain, chains), _ENTRIES.c.code.in_([*_ORDERS, *_REQUESTS]))
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
    requests = {event.request_id: _REQUESTS[event.code] for event in past if event.code in _REQUESTS}
    orders: dict[UUID, OrderState] = {}
    said: dict[UUID, Event] = {}
    lifts = {step.id for step in whole.steps if step.action is Action.LIFT}
    for event in past:
        if event.order_id is not None and event.code in _ORDERS:
            orders[event.order_id] = _after(orders.get(event.order_id), event, is_lift=event.order_id in lifts)
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


def _after(before: OrderState | None, event: Event, *, is_lift: bool) -> OrderState:
    """Return the state of an order after a fact: "lifted" is told of the hold, and of the order that lifts it."""
    if before is OrderState.WITHDRAWN:
        return before
    if is_lift and event.code == Fact.ORDER_LIFTED and before is not OrderState.LAPSED:
        return OrderState.EXECUTED
    return _ORDERS[event.code]


def _event(row: sa.Row[Any]) -> Event:
    data = json.loads(row.data)
    order_id = data.get("order_id") if row.code in _ORDERS else None
    return Event(
        row.at,
        row.request_id,
        UUID(order_id) if order_id else None,
        row.code,
        *(None if data.get(name) is None else int(data[name]) for name in ("amount_held", "amount_returned")),
    )
