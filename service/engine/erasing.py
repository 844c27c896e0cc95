"""Erasure: a request's key is destroyed, and with it goes whatever else could lead back to the people it was about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.audit import Log
from service.engine import evidence, writer
from service.engine.hub import Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    Appeal,
    Approval,
    Attempt,
    Callback,
    Dispatch,
    Erasure,
    IdempotencyKey,
    LegalHold,
    Note,
    Order,
    Target,
    Task,
    table_of,
)
from service.vault import sealing, subjects
from workflows import appeal
from workflows.states import HOLDING
from workflows.terms import ONCE, Action, Actor, DispatchState, Fact, RequestState

_REQUESTS = table_of(ActionRequest)
_ORDERS = table_of(Order)
_DISPATCHES = table_of(Dispatch)
_ERASURES = table_of(Erasure)
_APPEALS = table_of(Appeal)
_APPROVALS = table_of(Approval)
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_TARGETS = table_of(Target)
_TASKS = table_of(Task)
_NOTES = table_of(Note)
_CALLBACKS = table_of(Callback)
_ATTEMPTS = table_of(Attempt)
_SPENT_KEYS = table_of(IdempotencyKey)
_LEGAL_HOLDS = table_of(LegalHold)

_OVER = frozenset({RequestState.CLOSED, RequestState.REFUSED, RequestState.WITHDRAWN, RequestState.LAPSED})
_ON_THE_WAY = (DispatchState.PENDING, DispatchState.WAITING)


@dataclass(frozen=True, slots=True)
class Decided:
    """Why and by whom something is erased: a decision's number or a rule's name, never a person who is concerned."""

    decision: str
    asked_by: str
    asked_at: datetime
    confirmed_by: str


async def family(conn: AsyncConnection, request_id: UUID) -> list[UUID]:
    """Return the request that opened a matter and all that lift or extend it: they are erased together or not at all.

    Empty for an unknown id.
    """
    this = sa.select(sa.func.coalesce(_REQUESTS.c.original_id, _REQUESTS.c.id)).where(_REQUESTS.c.id == request_id)
    root = (await conn.execute(this)).scalar_one_or_none()
    if root is None:
        return []
    query = sa.select(_REQUESTS.c.id).where(sa.or_(_REQUESTS.c.id == root, _REQUESTS.c.original_id == root))
    others = {found for found in (await conn.execute(query)).scalars() if found != root}
    return [root, *sorted(others)]


async def matter(conn: AsyncConnection, name: str) -> tuple[list[UUID], Log]:
    """Find the ``family`` of the request ``name`` (its id or reference) and lock its chains. Raises ``NotFound``."""
    ids = await family(conn, await evidence.find(conn, name))
    return ids, await lock(conn, ids)


async def obstacle(conn: AsyncConnection, ids: Sequence[UUID]) -> str | None:
    """Return the code of what forbids to erase these requests now, or None: something holds, or is still under way."""
    states = sa.select(_REQUESTS.c.state).where(_REQUESTS.c.id.in_(ids))
    holds = sa.select(sa.literal(1)).where(
        _ORDERS.c.request_id.in_(ids),
        # What is lifted or extended holds; the order to lift or to extend it does not, nor does what is done once.
        _ORDERS.c.action.not_in((Action.LIFT, Action.EXTEND, *ONCE)),
        _ORDERS.c.state.in_(HOLDING),
        _ORDERS.c.ends_at > await db.now(conn),
    )
    if not _OVER.issuperset((await conn.execute(states)).scalars()) or (await conn.execute(holds)).first():
        return "erasure.not_ended"
    held = sa.select(sa.literal(1)).where(_LEGAL_HOLDS.c.request_id.in_(ids), _LEGAL_HOLDS.c.released_at.is_(None))
    if (await conn.execute(held)).first() is not None:
        return "erasure.held"
    under_way = (
        sa.select(sa.literal(1)).where(_DISPATCHES.c.request_id.in_(ids), _DISPATCHES.c.state.in_(_ON_THE_WAY)),
        sa.select(sa.literal(1)).where(_TASKS.c.request_id.in_(ids), _TASKS.c.resolved_at.is_(None)),
        sa.select(sa.literal(1)).where(_APPEALS.c.request_id.in_(ids), _APPEALS.c.state.in_(appeal.OPEN)),
    )
    for query in under_way:
        if (await conn.execute(query.limit(1))).first() is not None:
            return "erasure.under_way"
    return None


async def is_erased(conn: AsyncConnection, ids: Sequence[UUID]) -> bool:
    """Tell whether the keys of all these requests are destroyed."""
    keys = await subjects.by_id(conn, ids)
    return all(request_id in keys and keys[request_id].wrapped is None for request_id in ids)


async def lock(conn: AsyncConnection, ids: Sequence[UUID]) -> Log:
    """Lock the chains of the requests: nothing is filed about them, answered or sent meanwhile."""
    return await writer.lock(conn, [audit.request_chain(request_id) for request_id in ids])


async def erase(conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, ids: Sequence[UUID], why: Decided) -> int:
    """Erase a ``family`` whose chains ``log`` has locked and which has no ``obstacle``; return how many keys it took.

    Facts stay: they hold codes and ids, so the chains verify as before. What was erased before is left as it is.
    """
    query = sa.select(_REQUESTS.c.id, _REQUESTS.c.tenant, _REQUESTS.c.client_id, _REQUESTS.c.submitted_at)
    rows = (await conn.execute(query.where(_REQUESTS.c.id.in_(ids)))).all()
    destroyed = 0
    for row in rows:
        # What an earlier build sealed has no key yet: it gets one, to be destroyed like the others.
        key = await subjects.of_request(conn, hub.vault, row.tenant, row.id)
        if key.wrapped is None:
            continue
        destroyed += await subjects.destroy(conn, [row.id], log.at)
        await _overwrite(conn, row.id, sealing.stub(row.id))
        await _unlink(conn, row)
        log.record(
            audit.request_chain(row.id),
            Fact.REQUEST_ERASED,
            actor,
            row.tenant,
            request_id=row.id,
            decision=why.decision,
        )
    if destroyed:
        await _enter(conn, ids[0], rows[0].tenant, why, log.at)
    return destroyed


async def run(hub: Hub, request_id: UUID, actor: Actor, why: Decided) -> int:
    """Erase a request and what belongs to it in a transaction of its own; for the schedule of the retention table.

    Returns how many keys were destroyed: 0 for what is unknown, erased already, or still has an ``obstacle``.
    ``hub.database.wipe`` afterwards takes the last copies out of the database's files.
    """

    async def unit(conn: AsyncConnection) -> int:
        ids = await family(conn, request_id)
        log = await lock(conn, ids)
        if not ids or await obstacle(conn, ids) is not None:
            return 0
        count = await erase(conn, hub, log, actor, ids, why)
        await log.flush()
        return count

    return await hub.writer.run(unit, reach=db.HUB)


async def _enter(conn: AsyncConnection, root: UUID, tenant: str, why: Decided, at: datetime) -> None:
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    carried_out = {"confirmed_by": why.confirmed_by, "erased_at": at}
    asked = {"request_id": root, "tenant": tenant, "decision": why.decision}
    statement = insert(_ERASURES).values(**asked, asked_by=why.asked_by, asked_at=why.asked_at, **carried_out)
    await conn.execute(statement.on_conflict_do_update(index_elements=["request_id"], set_=carried_out))


async def _overwrite(conn: AsyncConnection, request_id: UUID, stub: bytes) -> None:
    """Put a head without a body in the place of each sealed value: a stolen copy of the key would open nothing here."""
    orders = sa.select(_ORDERS.c.id).where(_ORDERS.c.request_id == request_id)
    dispatches = sa.select(_DISPATCHES.c.id).where(_DISPATCHES.c.request_id == request_id)
    for table, concerned in (
        (_REQUESTS, _REQUESTS.c.id == request_id),
        (_TARGETS, _TARGETS.c.request_id == request_id),
        (_DISPATCHES, _DISPATCHES.c.request_id == request_id),
        (_ATTEMPTS, _ATTEMPTS.c.dispatch_id.in_(dispatches)),
        (_ACKNOWLEDGEMENTS, _ACKNOWLEDGEMENTS.c.order_id.in_(orders)),
        (_APPEALS, _APPEALS.c.request_id == request_id),
        (_CALLBACKS, _CALLBACKS.c.request_id == request_id),
        (_TASKS, _TASKS.c.request_id == request_id),
        (_NOTES, _NOTES.c.request_id == request_id),
    ):
        values: dict[str, Any] = {
            column.name: sa.case((column.is_not(None), sa.literal(stub, column.type)))
            for column in table.c
            if column.name.endswith("_sealed")
        }
        await conn.execute(sa.update(table).where(concerned).values(values))


async def _unlink(conn: AsyncConnection, row: sa.Row[Any, Any, Any, Any]) -> None:
    """Clear what is no text and yet answers a guess: blind indexes, digests of bodies, and signatures over them."""
    orders = sa.select(_ORDERS.c.id).where(_ORDERS.c.request_id == row.id)
    dispatches = sa.select(_DISPATCHES.c.id).where(_DISPATCHES.c.request_id == row.id)
    cleared: Sequence[tuple[sa.Table, sa.ColumnElement[bool], Mapping[str, Any]]] = (
        (_TARGETS, _TARGETS.c.request_id == row.id, {"value_index": b"", "sha256": None, "perceptual_hash": None}),
        (_ORDERS, _ORDERS.c.request_id == row.id, {"subject_index": b""}),
        (
            _REQUESTS,
            _REQUESTS.c.id == row.id,
            {"body_sha256": "", "signature": None, "withdrawal_signature": None},
        ),
        (_APPROVALS, _APPROVALS.c.request_id == row.id, {"body_sha256": "", "signature": None}),
        (_ACKNOWLEDGEMENTS, _ACKNOWLEDGEMENTS.c.order_id.in_(orders), {"body_sha256": "", "signature": None}),
        (_APPEALS, _APPEALS.c.request_id == row.id, {"answer_signature": None, "signature": None}),
        # What retention left of a delivered body and of an answer to it.
        (_DISPATCHES, _DISPATCHES.c.request_id == row.id, {"message_sha256": None}),
        (_ATTEMPTS, _ATTEMPTS.c.dispatch_id.in_(dispatches), {"answer_head_sha256": None}),
    )
    for table, concerned, values in cleared:
        await conn.execute(sa.update(table).where(concerned).values(**values))
    filed = (_SPENT_KEYS.c.client_id == row.client_id, _SPENT_KEYS.c.created_at == row.submitted_at)
    await conn.execute(sa.delete(_SPENT_KEYS).where(*filed))
