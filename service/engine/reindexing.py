"""Replaces the root of the blind indexes, with every index that came from it, while no node works.

Whoever had the old root and has the database finds out whether a number that he knows is in it. The order of
deliveries hangs on an index too, so that nothing may be filed or sent meanwhile: one transaction, on a hub that stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, audit, db, outages
from service.audit import Log
from service.engine import reach, resealing
from service.engine.hub import OPERATOR, Hub
from service.engine.node import TTL
from service.models import ActionRequest, Dispatch, Node, Order, QueueItem, Target, table_of
from service.vault import Erased, Keys, Vault, roots, subjects
from workflows.terms import Actor, DispatchKind, Fact

_TARGETS = table_of(Target)
_ORDERS = table_of(Order)
_DISPATCHES = table_of(Dispatch)
_REQUESTS = table_of(ActionRequest)
_QUEUE = table_of(QueueItem)
_NODES = table_of(Node)
BATCH = 500
_TARGETS_AFTER = sa.select(_TARGETS).where(_TARGETS.c.id > sa.bindparam("after")).order_by(_TARGETS.c.id).limit(BATCH)
# A lift and an extension stand in the order of what they are about.
_ABOUT = _REQUESTS.alias("about")
_WAITING = (
    sa.select(_QUEUE.c.id, _QUEUE.c.order_key, _QUEUE.c.endpoint_id, _ORDERS.c.target_id, _ABOUT.c.case_id)
    .join(_DISPATCHES, _DISPATCHES.c.id == _QUEUE.c.dispatch_id)
    .join(_ORDERS, _ORDERS.c.id == _DISPATCHES.c.order_id)
    .join(_REQUESTS, _REQUESTS.c.id == _ORDERS.c.request_id)
    .join(_ABOUT, _ABOUT.c.id == sa.func.coalesce(_REQUESTS.c.original_id, _REQUESTS.c.id))
    # Statuses to an agency keep an order of their own, which hangs on no index.
    .where(_QUEUE.c.order_key.is_not(None), _DISPATCHES.c.kind == DispatchKind.ORDER)
)


class StillRunning(Exception):
    """A node of the hub was seen a moment ago: the root is replaced only while none works."""


class OrderLost(Exception):
    """A queued delivery stands in an order that its case, target and endpoint do not give: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many rows got another index, or another place in the order of deliveries."""

    targets: int
    orders: int
    queued: int

    def plus(self, more: "Reindexed") -> "Reindexed":
        """Return the sum."""
        return Reindexed(self.targets + more.targets, self.orders + more.orders, self.queued + more.queued)


@dataclass(frozen=True, slots=True)
class _Moved:
    kind: str
    former: bytes
    value: str | None

    def index(self, vault: Vault, scope: str) -> bytes:
        # What was erased answers no guess any more, and keeps its empty index.
        return b"" if self.value is None else vault.blind_index(scope, self.kind, self.value)


async def rotate_root(hub: Hub, actor: Actor) -> Reindexed:
    """Replace the root and recompute the index of every target and order, and the order of what waits to be sent.

    What an earlier build sealed is sealed anew first: it hangs on the root. Afterwards this hub's own vault makes no
    index any more; whoever goes on opens the database again. Raises ``StillRunning`` and ``OrderLost``.
    """
    await resealing.reseal(hub)
    made = await hub.database.write(lambda conn: _rotate(conn, hub, actor), db.HUB)
    hub.vault.close_indexes()
    return made


async def _rotate(conn: AsyncConnection, hub: Hub, actor: Actor) -> Reindexed:
    await outages.take_time(conn)
    if conn.dialect.name == "postgresql":
        # A node that starts meanwhile is seen after this transaction, and finds the new root.
        await conn.execute(sa.text("LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE"))
    chain = audit.tenant_chain(OPERATOR)
    log = await Log.open(conn, None, [chain])
    seen = sa.select(_NODES.c.id).where(_NODES.c.seen_at > log.at - TTL)
    if (await conn.execute(seen.limit(1))).first() is not None:
        raise StillRunning("a node of this hub was seen a moment ago: stop every node first")
    vault = await roots.replace(conn, hub.vault.masters)
    done, after = Reindexed(0, 0, 0), UUID(int=0)
    while rows := (await conn.execute(_TARGETS_AFTER, {"after": after})).all():
        done, after = done.plus(await _reindex(conn, vault, rows)), rows[-1].id
    log.record(chain, Fact.KEY_ROTATED, actor, OPERATOR, what="index", participant_id=OPERATOR)
    await log.flush()
    return done


async def _reindex(conn: AsyncConnection, vault: Vault, rows: Sequence[sa.Row[Any]]) -> Reindexed:
    keys = await subjects.of(conn, *(row.value_sealed for row in rows))
    targets = {row.id: _Moved(row.kind, row.value_index, _value(vault, keys, row)) for row in rows}
    indexes = {row.id: targets[row.id].index(vault, row.tenant) for row in rows}
    await _write(conn, _TARGETS.c.value_index, indexes)
    found = sa.select(_ORDERS.c.id, _ORDERS.c.participant_id, _ORDERS.c.target_id)
    orders = (await conn.execute(found.where(among.of(conn, _ORDERS.c.target_id, targets)))).all()
    of_orders = {row.id: targets[row.target_id].index(vault, row.participant_id) for row in orders}
    await _write(conn, _ORDERS.c.subject_index, of_orders)
    waiting = (await conn.execute(_WAITING.where(among.of(conn, _ORDERS.c.target_id, targets)))).all()
    for row in waiting:
        if row.order_key != reach.order_key(row.case_id, targets[row.target_id].former, row.endpoint_id):
            raise OrderLost("a queued delivery is out of order: nothing was changed")
    places = {row.id: reach.order_key(row.case_id, indexes[row.target_id], row.endpoint_id) for row in waiting}
    await _write(conn, _QUEUE.c.order_key, places)
    return Reindexed(len(targets), len(orders), len(waiting))


async def _write(conn: AsyncConnection, column: sa.Column[Any], values: Mapping[Any, Any]) -> None:
    table = column.table
    changed = sa.update(table).where(table.c.id == sa.bindparam("of")).values({column.name: sa.bindparam("to")})
    if values:
        await conn.execute(changed, [{"of": row, "to": value} for row, value in values.items()])


def _value(vault: Vault, keys: Keys, row: sa.Row[Any]) -> str | None:
    try:
        return vault.unseal(keys, "targets", row.id, row.tenant, row.value_sealed)
    except Erased:
        return None
