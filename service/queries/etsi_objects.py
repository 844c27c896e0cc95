"""A participant's orders as objects of ETSI TS 103 120: one, the list of them, and what an answer is about."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.etsi import identifiers, instants, showing, terms
from adapters.etsi.papers import Order as Shown
from adapters.etsi.targets import NotSpoken
from service.models import Order, table_of
from service.queries import inbox, visibility
from service.security.principals import Principal
from service.vault import Vault
from workflows.terms import Action

MOST = 200
_ORDERS = table_of(Order)
_ORIGINALS = _ORDERS.alias("originals")
# What was demanded first, whoever lifts or extends it: these make a task.
_MADE_BY: Mapping[str, tuple[Action, ...]] = {
    kind: tuple(action for action in Action if action != "extend" and terms.TASKS.get(action) == kind)
    for kind in terms.STATUS
}
_DEMANDED = sa.func.coalesce(_ORIGINALS.c.action, _ORDERS.c.action)


class Found:
    """An object, and the request whose reading it is."""

    def __init__(self, made: dict[str, Any], order_id: UUID, request_id: UUID) -> None:
        self.made = made
        self.order_id = order_id
        self.request_id = request_id


async def one(conn: AsyncConnection, vault: Vault, principal: Principal, identifier: UUID, source: str) -> Found | None:
    """Return the object with this identifier, or None for one that is unknown, erased or another's."""
    query = _select(principal).where(_ORDERS.c.id.in_(identifiers.orders(identifier)))
    for row in (await conn.execute(query)).all():
        read = await inbox.order(conn, vault, principal, row.id)
        if read is None or read.erased:
            continue
        shown = Shown(read.body, read.signature, source, instants.qualified(row.changed_at.isoformat()))
        try:
            made = showing.find(shown, identifier, str(row.state))
        except (NotSpoken, KeyError, ValueError):
            # Placed by an earlier build, whose orders said less, or about what no task can name.
            continue
        if made is not None:
            return Found(made, row.id, row.request_id)
    return None


async def listed(
    conn: AsyncConnection,
    principal: Principal,
    source: str,
    *,
    kinds: Collection[str] | None,
    since: datetime | None,
    most: int,
) -> list[dict[str, Any]]:
    """Return the lines of a list, what changed last first; ``kinds`` are types of objects, None for all of them."""
    query = _select(principal).order_by(_ORDERS.c.changed_at.desc(), _ORDERS.c.id.desc()).limit(MOST)
    tasks = [each for each in kinds or () if each in _MADE_BY]
    if kinds is not None and tasks == list(kinds):
        # Only tasks of these kinds: what made others is not worth reading.
        query = query.where(_DEMANDED.in_([action for each in tasks for action in _MADE_BY[each]]))
    if since is not None:
        query = query.where(_ORDERS.c.changed_at >= since)
    found: list[dict[str, Any]] = []
    for row in (await conn.execute(query)).all():
        at = instants.qualified(row.changed_at.isoformat())
        task_id = str(row.original_id or row.id)
        found += showing.records(str(row.id), task_id, str(row.demanded), row.sequence, at, source, kinds)
        if len(found) >= most:
            break
    return found[:most]


async def is_about(conn: AsyncConnection, principal: Principal, order_id: UUID, task: UUID | None, kind: str) -> bool:
    """Tell whether an answer fits: the order is the caller's, and it made or changes this task, of this type.

    ``task`` is None for a delivery, which names the order alone.
    """
    row = (await conn.execute(_select(principal).where(_ORDERS.c.id == order_id))).one_or_none()
    if row is None or row.demanded not in _MADE_BY[kind]:
        return False
    return task is None or task in {row.id, row.original_id}


def _select(principal: Principal) -> sa.Select[Any]:
    made = [action for each in _MADE_BY.values() for action in each]
    return (
        sa.select(
            _ORDERS.c.id,
            _ORDERS.c.request_id,
            _ORDERS.c.original_id,
            _ORDERS.c.state,
            _ORDERS.c.sequence,
            _ORDERS.c.changed_at,
            _DEMANDED.label("demanded"),
        )
        .select_from(_ORDERS.outerjoin(_ORIGINALS, _ORIGINALS.c.id == _ORDERS.c.original_id))
        .where(visibility.answerable(principal), _DEMANDED.in_(made))
    )
