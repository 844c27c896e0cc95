"""Dispatches that go out once more: back into the queue behind all that is new, under the ids that they had."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.audit import Log
from service.engine import closing, doorbell, dossier, outbox, reach, tasks
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.engine.store.rows import REPLAY
from service.models import Dispatch, QueueItem, table_of
from workflows import replay, silence
from workflows.terms import Actor, Channel, DispatchKind, DispatchState, Fact

_DISPATCHES = table_of(Dispatch)
_QUEUE = table_of(QueueItem)
# Any number: whoever else replays waits here for the commit, so that no two take the same instants.
_LOCK = 5_402_043

Row = Mapping[str, Any]


def chain(row: Row) -> str:
    """Return the chain that facts about a dispatch belong to."""
    return audit.request_chain(row["request_id"]) if row["request_id"] else audit.tenant_chain(row["tenant"])


async def put_back(conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, rows: Sequence[Row]) -> None:
    """Let dispatches wait for delivery once more; ``log`` holds their chains, and they were read under its locks.

    They keep their order and their ids, so that a receiver that has one knows it again. One endpoint gets at most
    ``replay.PER_SECOND`` of them a second, behind what is replayed to it already, whoever asked for that. The task that
    a dispatch was given up with is resolved by it.
    """
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(_LOCK, sa.BigInteger))))
    found = await dossier.load(conn, {row["request_id"] for row in rows if row["request_id"]})
    inboxes = [row for row in rows if row["channel"] is Channel.PULL]
    positions = await outbox.inbox_positions(conn, [(row["participant_id"], row["endpoint_id"]) for row in inboxes])
    ids = [row["id"] for row in rows]
    waiting = {"state": DispatchState.PENDING, "settled_at": None, "replayed_at": log.at}
    await conn.execute(sa.update(_DISPATCHES).where(_DISPATCHES.c.id.in_(ids)).values(**waiting))
    for row in inboxes:
        # Behind what its reader has seen already: a cursor never goes back.
        moved = sa.update(_DISPATCHES).where(_DISPATCHES.c.id == row["id"])
        await conn.execute(moved.values(position=positions[row["endpoint_id"]].pop(0)))
    await db.insert_rows(conn, _QUEUE, _items(rows, found, await _free_from(conn, rows, log.at)))
    await doorbell.announce(conn, {row["participant_id"] for row in inboxes})
    for row in rows:
        log.record(
            chain(row),
            Fact.DISPATCH_REPLAYED,
            actor,
            row["tenant"],
            request_id=row["request_id"],
            dispatch_id=str(row["first_id"] or row["id"]),
            kind=str(row["kind"]),
            message_type=row["message_type"],
            order_id=str(row["order_id"]) if row["order_id"] else None,
            participant_id=row["participant_id"],
            channel=str(row["channel"]),
            before=str(row["state"]),
        )
    buried = {row["id"]: chain(row) for row in rows if row["state"] is DispatchState.DEAD}
    for request_id in await tasks.dug_up(conn, log, actor, buried):
        await closing.close_if_done(conn, hub, log, found[request_id])


async def _free_from(conn: AsyncConnection, rows: Sequence[Row], at: datetime) -> dict[UUID, datetime]:
    """Return from when on each endpoint of these dispatches is free for more."""
    endpoints = {row["endpoint_id"] for row in rows}
    last = (
        sa.select(_QUEUE.c.endpoint_id, sa.func.max(_QUEUE.c.run_at))
        .where(_QUEUE.c.endpoint_id.in_(endpoints), _QUEUE.c.priority == REPLAY)
        .group_by(_QUEUE.c.endpoint_id)
    )
    taken = {endpoint: until + _apart() for endpoint, until in (await conn.execute(last)).all()}
    return {endpoint: max(at, taken.get(endpoint, at)) for endpoint in endpoints}


def _items(
    rows: Sequence[Row], found: Mapping[UUID, Dossier], free_from: Mapping[UUID, datetime]
) -> list[dict[str, Any]]:
    before: Counter[UUID] = Counter()
    items = []
    for row in rows:
        if row["channel"] is Channel.PULL:
            continue
        endpoint = row["endpoint_id"]
        items.append(
            {
                "tenant": row["tenant"],
                "dispatch_id": row["id"],
                "endpoint_id": endpoint,
                "priority": REPLAY,
                "run_at": free_from[endpoint] + before[endpoint] * _apart(),
                "leased": False,
                "attempt": row["attempts"],
                "order_key": _order_key(row, found),
            }
        )
        before[endpoint] += 1
    return items


def _apart() -> timedelta:
    return timedelta(seconds=1) / replay.PER_SECOND


def _order_key(row: Row, found: Mapping[UUID, Dossier]) -> int | None:
    about = found.get(row["request_id"])
    if about is None or row["kind"] is not DispatchKind.ORDER or row["message_type"] == silence.MESSAGE_TYPE:
        return None
    return reach.order_key(about.hold_case_id, about.targets[row["target_id"]]["value_index"], row["endpoint_id"])
