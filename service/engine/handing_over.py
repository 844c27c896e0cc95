"""Channels in order: where one endpoint does not take an order, the participant's next one is tried by itself."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, log
from service.audit import Log
from service.engine import answered, definitions, dossier, outbox, reach
from service.engine.hub import Hub
from service.models import Deadline, Dispatch, Endpoint, EndpointState, Order, table_of
from service.queries import maintenance
from service.vault import UNREADABLE
from workflows import channels, read_back, silence
from workflows.channels import Way
from workflows.terms import DispatchKind, DispatchState, Fact, PassedOver, Purpose, Stage

BATCH = 200

_DISPATCHES = table_of(Dispatch)
_DEADLINES = table_of(Deadline)
_ENDPOINTS = table_of(Endpoint)
_ORDERS = table_of(Order)
_STATES = table_of(EndpointState)
_log = log.get(__name__)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Move:
    row: Row
    to: Way
    why: PassedOver

    @property
    def chain(self) -> str:
        return audit.request_chain(self.row["request_id"])


async def hand_over(hub: Hub) -> int:
    """Give orders that their endpoint does not take to the next one of the participant; return how many.

    An endpoint is passed over when it is out of use, when its breaker is open, during a maintenance that was
    announced, or when it did not take the order within the time that its participant has for the receipt. The next one
    carries the same message under the same id, so that a participant that gets it twice knows it again; the one before
    is tried on until either has it. Any node may call it at any time; a request that another transaction holds is left
    for the next call.
    """
    return await hub.writer.run(lambda conn: _hand_over(conn, hub), reach=db.HUB)


async def _hand_over(conn: AsyncConnection, hub: Hub) -> int:
    now = await db.now(conn)
    ways = await _ways(conn, now)
    moves = await _moves(conn, ways, now)
    if not moves:
        return 0
    log = await Log.open(conn, None, {move.chain for move in moves}, wait=False)
    # Looked at once more under the locks: the participant, or another node, may have been first.
    agreed = {(move.row["id"], move.to.endpoint_id) for move in await _moves(conn, ways, log.at)}
    held = [move for move in moves if log.holds(move.chain) and (move.row["id"], move.to.endpoint_id) in agreed]
    carried = await _carry_over(conn, hub, log, held)
    await log.flush()
    return carried


async def _ways(conn: AsyncConnection, now: datetime) -> dict[str, list[Way]]:
    """Return, in their order, the endpoints for orders of each participant that has more than one."""
    query = (
        sa.select(_ENDPOINTS, _STATES.c.open_until, definitions.is_switched_on().label("is_on"))
        .outerjoin(_STATES, _STATES.c.endpoint_id == _ENDPOINTS.c.id)
        .where(_ENDPOINTS.c.purpose == Purpose.ORDERS)
        .order_by(_ENDPOINTS.c.tenant, _ENDPOINTS.c.position, _ENDPOINTS.c.id)
    )
    found: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for row in (await conn.execute(query)).all():
        found[row.tenant].append(row)
    several = {tenant: rows for tenant, rows in found.items() if len(rows) > 1}
    resting = await maintenance.windows(conn, now) if several else []
    return {tenant: [_way(row, resting) for row in rows] for tenant, rows in several.items()}


def _way(row: sa.Row[Any], resting: Sequence[sa.Row[Any]]) -> Way:
    works = row.is_on and row.open_until is None and definitions.is_in_force(dict(row._mapping))
    return Way(row.id, row.channel, works, maintenance.of_endpoint(resting, row.tenant, row.id) is None)


async def _moves(conn: AsyncConnection, ways: Mapping[str, Sequence[Way]], now: datetime) -> list[_Move]:
    latest: dict[UUID, Row] = {}
    tried: dict[UUID, set[UUID]] = defaultdict(set)
    for row in await _families(conn, await _waiting(conn, ways, now)):
        latest[_message(row)] = row
        tried[_message(row)].add(row["endpoint_id"])
    patience = await _patience(conn, {row["order_id"] for row in latest.values()})
    moves = []
    for message, row in latest.items():
        if row["state"] is not DispatchState.PENDING:
            continue
        theirs, within = ways[row["participant_id"]], patience.get(row["order_id"])
        why = channels.passed_over(row["endpoint_id"], theirs, row["replayed_at"] or row["created_at"], within, now)
        to = channels.following([way for way in theirs if _speaks(way, row)], tried[message], why)
        if why is not None and to is not None:
            moves.append(_Move(row, to, why))
    return moves


async def _waiting(conn: AsyncConnection, ways: Mapping[str, Sequence[Way]], now: datetime) -> set[UUID]:
    """Return the messages that nobody took yet, at an endpoint that does not work or rests, or past their receipt.

    Only those that another endpoint is left for: what cannot be passed on takes no other's place in the batch.
    """
    every = [way for theirs in ways.values() for way in theirs]
    working = [way for way in every if way.works]
    if not working:
        return set()
    served = [way for way in working if way.is_served]
    broken, resting = [way for way in every if not way.works], [way for way in working if not way.is_served]
    overdue = sa.exists().where(
        _DEADLINES.c.subject_id == _DISPATCHES.c.order_id,
        _DEADLINES.c.stage == Stage.RECEIPT,
        _DEADLINES.c.rung == 0,
        _DEADLINES.c.due_at <= now,
    )
    query = (
        sa.select(sa.func.coalesce(_DISPATCHES.c.first_id, _DISPATCHES.c.id))
        .where(
            _DISPATCHES.c.state == DispatchState.PENDING,
            _DISPATCHES.c.kind == DispatchKind.ORDER,
            _DISPATCHES.c.participant_id.in_(ways),
            ~answered.was_answered(),
            sa.or_(
                sa.and_(sa.or_(_DISPATCHES.c.endpoint_id.in_(_ids(broken)), overdue), _untried(working)),
                sa.and_(_DISPATCHES.c.endpoint_id.in_(_ids(resting)), _untried(served)),
            ),
        )
        .order_by(_DISPATCHES.c.urgent.desc(), _DISPATCHES.c.created_at, _DISPATCHES.c.id)
        .limit(BATCH)
    )
    return set((await conn.execute(query)).scalars())


def _untried(ways: Sequence[Way]) -> sa.ColumnElement[bool]:
    """Return the condition that the message of a dispatch was not yet given to one of its participant's endpoints."""
    tried, message = _DISPATCHES.alias(), sa.func.coalesce(_DISPATCHES.c.first_id, _DISPATCHES.c.id)
    over_it = sa.exists().where(
        tried.c.endpoint_id == _ENDPOINTS.c.id, sa.or_(tried.c.id == message, tried.c.first_id == message)
    )
    # Two levels down nothing is correlated by itself: any message over that endpoint would count as this one.
    left = sa.not_(over_it.correlate(_DISPATCHES, _ENDPOINTS))
    theirs = (_ENDPOINTS.c.tenant == _DISPATCHES.c.participant_id, _ENDPOINTS.c.id.in_(_ids(ways)), left)
    return sa.exists().where(*theirs).correlate(_DISPATCHES)


def _ids(ways: Sequence[Way]) -> list[UUID]:
    return [way.endpoint_id for way in ways]


async def _families(conn: AsyncConnection, messages: Collection[UUID]) -> list[Row]:
    """Return the dispatches of these messages over whichever endpoint, in the order in which they were tried."""
    if not messages:
        return []
    query = (
        sa.select(_DISPATCHES, _ORDERS.c.target_id)
        .join(_ORDERS, _ORDERS.c.id == _DISPATCHES.c.order_id)
        .where(sa.or_(_DISPATCHES.c.id.in_(messages), _DISPATCHES.c.first_id.in_(messages)))
        .order_by(_DISPATCHES.c.created_at, _DISPATCHES.c.first_id.is_not(None), _DISPATCHES.c.id)
    )
    return [dict(row._mapping) for row in (await conn.execute(query)).all()]


async def _patience(conn: AsyncConnection, orders: Collection[UUID]) -> dict[UUID, timedelta]:
    """Return how long each order's participant has for the receipt of what was said last: each endpoint has as long."""
    query = (
        sa.select(_DEADLINES.c.subject_id, _DEADLINES.c.started_at, _DEADLINES.c.due_at)
        .where(_DEADLINES.c.subject_id.in_(orders), _DEADLINES.c.stage == Stage.RECEIPT, _DEADLINES.c.rung == 0)
        .order_by(_DEADLINES.c.generation)
    )
    return {row.subject_id: row.due_at - row.started_at for row in (await conn.execute(query)).all()} if orders else {}


def _order_key(found: dossier.Dossier, row: Row, endpoint_id: UUID) -> int | None:
    # Neither a question nor the end of a silence stands in anything's way, over whichever endpoint.
    if row["message_type"] in (read_back.MESSAGE_TYPE, silence.MESSAGE_TYPE):
        return None
    return reach.order_key(found.hold_case_id, found.targets[row["target_id"]]["value_index"], endpoint_id)


def _speaks(way: Way, row: Row) -> bool:
    return row["message_type"] != silence.MESSAGE_TYPE or silence.speaks(way.channel)


def _message(row: Row) -> UUID:
    """Return the first dispatch of a message, by which all of them are known."""
    return row["first_id"] or row["id"]  # type: ignore[no-any-return]


async def _carry_over(conn: AsyncConnection, hub: Hub, log: Log, moves: Sequence[_Move]) -> int:
    about = await dossier.load(conn, {move.row["request_id"] for move in moves})
    outgoing = []
    for move in moves:
        row, found = move.row, about[move.row["request_id"]]
        try:
            message = hub.vault.unseal(found.keys, "dispatches", row["id"], row["tenant"], row["message_sealed"])
        except UNREADABLE:
            # It cannot be sent either; what can be is carried over all the same.
            _log.error("handing_over.unreadable", dispatch_id=str(row["id"]))
            continue
        stored = json.loads(message)
        outgoing.append(
            outbox.Outgoing(
                tenant=row["tenant"],
                participant_id=row["participant_id"],
                kind=row["kind"],
                endpoint_id=move.to.endpoint_id,
                channel=move.to.channel,
                message_type=row["message_type"],
                subject=stored["subject"],
                sequence=stored["sequence"],
                body=stored["body"],
                signature=stored.get("signature"),
                request_id=row["request_id"],
                key=found.keys.get(found.id),
                order_id=row["order_id"],
                urgent=row["urgent"],
                order_key=_order_key(found, row, move.to.endpoint_id),
                deadline_at=row["deadline_at"],
                first_id=_message(row),
                occurred_at=datetime.fromisoformat(stored["occurred_at"]),
            )
        )
        log.record(
            found.chain,
            Fact.DISPATCH_HANDED_OVER,
            hub.actor,
            found.tenant,
            request_id=found.id,
            dispatch_id=str(_message(row)),
            order_id=str(row["order_id"]),
            participant_id=row["participant_id"],
            channel=str(move.to.channel),
            before=str(row["channel"]),
            why=str(move.why),
        )
    await outbox.enqueue(conn, hub.vault, log.at, outgoing)
    return len(outgoing)
