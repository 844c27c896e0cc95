"""A participant's pull inbox, and its view of one order."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Acknowledgement, Dispatch, Endpoint, Order, table_of
from service.queries import restorations, visibility
from service.schemas.common import money
from service.schemas.orders import AcknowledgementAnswer, InboxItem, InboxPage, ParticipantOrder
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows import read_back, silence
from workflows.terms import Channel, DispatchKind, DispatchState

_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)
_ENDPOINTS = table_of(Endpoint)
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)


async def page(conn: AsyncConnection, vault: Vault, principal: Principal, *, after: int, limit: int) -> InboxPage:
    """Return the pull dispatches behind the cursor that still wait; ``next`` is the cursor to come back with.

    A restored hub gives none before its release, as it sends none: what waits there may be withdrawn by now.
    """
    if await restorations.is_quarantined(conn):
        return InboxPage(items=[], next=after)
    query = (
        sa.select(_DISPATCHES)
        .where(
            visibility.inbox(principal),
            _DISPATCHES.c.channel == Channel.PULL,
            _DISPATCHES.c.state == DispatchState.PENDING,
            _DISPATCHES.c.position > after,
        )
        .order_by(_DISPATCHES.c.position)
        .limit(limit)
    )
    rows = (await conn.execute(query)).all()
    keys = await subjects.of(conn, *(row.message_sealed for row in rows))
    items = [_item(vault, keys, row) for row in rows]
    return InboxPage(items=items, next=items[-1].position if items else after)


async def newest(conn: AsyncConnection, principal: Principal) -> int:
    """Return the last position that was ever given out in the caller's inbox, 0 before the first."""
    query = sa.select(sa.func.max(_ENDPOINTS.c.inbox_position)).where(_ENDPOINTS.c.tenant == principal.tenant)
    return (await conn.execute(query)).scalar_one() or 0


async def order(conn: AsyncConnection, vault: Vault, principal: Principal, order_id: UUID) -> ParticipantOrder | None:
    """Return one order with its latest message and the answers given, or None when it is not the caller's."""
    found = (
        await conn.execute(sa.select(_ORDERS).where(_ORDERS.c.id == order_id, visibility.orders(principal)))
    ).one_or_none()
    if found is None:
        return None
    message = (await conn.execute(latest(order_id))).one()
    answers = (
        await conn.execute(
            sa.select(_ACKNOWLEDGEMENTS)
            .where(_ACKNOWLEDGEMENTS.c.order_id == order_id)
            .order_by(_ACKNOWLEDGEMENTS.c.received_at, _ACKNOWLEDGEMENTS.c.id)
        )
    ).all()
    keys = await subjects.of(conn, message.message_sealed)
    erased = vault.is_erased(keys.get(found.request_id))
    opened = {"body": {}} if erased else _opened(vault, keys, message)
    return ParticipantOrder(
        id=order_id,
        state=found.state,
        body=opened["body"],
        signature=opened.get("signature"),
        acknowledgements=[_answer(row) for row in answers],
        erased=erased,
    )


def latest(order_id: UUID) -> sa.Select[Any]:
    """Return the dispatch that says what is ordered now: after a hold's end, that of the lift."""
    return (
        sa.select(_DISPATCHES)
        .where(
            _DISPATCHES.c.order_id == order_id,
            _DISPATCHES.c.kind == DispatchKind.ORDER,
            # Neither a question about an order nor the end of its silence says what is ordered.
            _DISPATCHES.c.message_type.not_in((read_back.MESSAGE_TYPE, silence.MESSAGE_TYPE)),
        )
        .order_by(_DISPATCHES.c.created_at.desc(), _DISPATCHES.c.id.desc())
        .limit(1)
    )


def _opened(vault: Vault, keys: Keys, row: sa.Row[Any]) -> dict[str, Any]:
    opened: dict[str, Any] = json.loads(vault.unseal(keys, "dispatches", row.id, row.tenant, row.message_sealed))
    return opened


def _item(vault: Vault, keys: Keys, row: sa.Row[Any]) -> InboxItem:
    message = _opened(vault, keys, row)
    return InboxItem(
        position=row.position,
        id=message["id"],
        type=message["type"],
        subject=message["subject"],
        occurred_at=datetime.fromisoformat(message["occurred_at"]),
        sequence=message["sequence"],
        body=message["body"],
        signature=message.get("signature"),
    )


def _answer(row: sa.Row[Any]) -> AcknowledgementAnswer:
    return AcknowledgementAnswer(
        id=row.id,
        outcome=row.outcome,
        amount_held=money(row.amount_held),
        amount_returned=money(row.amount_returned),
        refusal_code=row.refusal_code,
        received_at=row.received_at,
        contradicts=row.contradicts,
    )
