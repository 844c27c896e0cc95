"""What became of requests at each participant: how many orders in which state, how much is held, and since when."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Acknowledgement, Order, table_of
from service.queries import refusals, visibility
from service.security.principals import Principal
from workflows import amounts, extend, lift
from workflows.terms import Action, OrderState, Outcome, RefusalCode

_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_ORDERS = table_of(Order)


@dataclass(slots=True)
class Result:
    """The orders of one request at one participant; ``at`` is when the latest of them came to what it is now.

    That is when it was said to be executed as far as it is, when it was refused, or when its end came; what is only
    confirmed later changes nothing. ``executed_at`` is when the first of them was said to be executed.
    """

    participant_id: str
    action: Action
    at: datetime
    states: Counter[OrderState] = field(default_factory=Counter)
    asked: int | None = None
    done: int | None = None
    refusal: RefusalCode | None = None
    executed_at: datetime | None = None


async def of_requests(conn: AsyncConnection, principal: Principal, ids: Sequence[UUID]) -> dict[UUID, list[Result]]:
    """Return the results of each request, the participants in the order in which they were asked."""
    executed = sa.select(sa.func.min(_ACKNOWLEDGEMENTS.c.received_at)).where(
        _ACKNOWLEDGEMENTS.c.order_id == _ORDERS.c.id, _ACKNOWLEDGEMENTS.c.outcome == Outcome.EXECUTED
    )
    # A balance that filled up was held, or sent back, as far as it is now by a later answer than the first.
    as_far = [
        _ACKNOWLEDGEMENTS.c[name].is_not_distinct_from(_ORDERS.c[name]) for name in ("amount_held", "amount_returned")
    ]
    columns = ("id", "request_id", "participant_id", "action", "state", "amount", "amount_held", "amount_returned")
    query = (
        sa.select(
            *(_ORDERS.c[name] for name in (*columns, "ends_at", "answered_at", "changed_at")),
            executed.scalar_subquery().label("executed_at"),
            executed.where(*as_far).scalar_subquery().label("reached_at"),
        )
        .where(_ORDERS.c.request_id.in_(ids), visibility.orders(principal))
        .order_by(_ORDERS.c.placed_at, _ORDERS.c.id)
    )
    rows = (await conn.execute(query)).all()
    refused = await refusals.of_orders(conn, [row.id for row in rows if row.state is OrderState.REFUSED])
    found: dict[UUID, dict[str, Result]] = {}
    for row in rows:
        at = _since(row)
        members = found.setdefault(row.request_id, {})
        result = members.setdefault(row.participant_id, Result(row.participant_id, row.action, at))
        result.states[row.state] += 1
        result.at = max(result.at, at)
        result.refusal = refused.get(row.id) or result.refusal
        result.executed_at = min(filter(None, (result.executed_at, row.executed_at)), default=None)
        result.asked = _sum(result.asked, row.amount)
        result.done = _sum(result.done, amounts.done(row.action, row.amount_held, row.amount_returned))
    return {request_id: list(members.values()) for request_id, members in found.items()}


def _since(row: Any) -> datetime:
    """Return when an order came to what it is: its row also changes when the same is said once more."""
    match row.state:
        case OrderState.EXECUTED:
            said: datetime | None = row.reached_at or row.answered_at
        case OrderState.REFUSED:
            said = row.answered_at
        case OrderState.LAPSED:
            said = None if row.ends_at is None else min(row.ends_at, row.changed_at)
        case _:
            said = None
    return said or row.changed_at


async def participants(conn: AsyncConnection, principal: Principal, request_id: UUID, action: Action) -> list[str]:
    """Return to whom a lift or an extension (``action``) of a request would go now."""
    columns = ("participant_id", "state", "lift_ordered", "delivered_at", "answered_at")
    query = sa.select(*(_ORDERS.c[name] for name in columns)).where(
        _ORDERS.c.request_id == request_id, visibility.orders(principal)
    )
    return sorted({row.participant_id for row in (await conn.execute(query)).all() if _is_reached(row, action)})


def _is_reached(row: sa.Row[Any], action: Action) -> bool:
    if action is Action.EXTEND:
        return extend.reaches(row.state, lift_ordered=row.lift_ordered)
    return lift.reaches(row.state, was_delivered=lift.was_delivered(row.delivered_at, row.answered_at))


def _sum(before: int | None, more: int | None) -> int | None:
    return before if more is None else (before or 0) + more
