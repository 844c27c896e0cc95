"""The retention table at work: whatever was kept for its time is erased, or reduced to a digest; nothing earlier."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, log
from service.audit import Log
from service.engine import drafts, erasing, erasures, names
from service.engine.erasing import Decided
from service.engine.hub import OPERATOR, Hub
from service.models import ActionRequest, Attempt, Dispatch, LegalHold, SubjectKey, table_of
from service.queries import retention as table
from service.vault import Erased, SealBroken, subjects
from workflows import retention
from workflows.record_terms import RecordKind
from workflows.retention import Term
from workflows.terms import DispatchKind, Fact, RequestState

_REQUESTS = table_of(ActionRequest)
_DISPATCHES = table_of(Dispatch)
_ATTEMPTS = table_of(Attempt)
_HOLDS = table_of(LegalHold)
_KEYS = table_of(SubjectKey)
_log = log.get(__name__)

# Small, so that nobody who files or answers waits for it; what is left comes with the next batch.
BATCH = 50
_MOST_BATCHES = 40
_STATES: Mapping[RecordKind, tuple[RequestState, ...]] = {
    RecordKind.REFUSED_REQUEST: (RequestState.REFUSED, RequestState.WITHDRAWN, RequestState.LAPSED),
    RecordKind.ENDED_MEASURE: (RequestState.CLOSED,),
}


@dataclass(frozen=True, slots=True)
class Retained:
    """What one run did: requests erased (with what lifts them), bodies reduced to digests, names and drafts erased."""

    erased: int
    reduced: int
    names: int
    drafts: int = 0


async def retain(hub: Hub) -> Retained:
    """Erase and reduce what is over; any node may do it at any time, and two at once do each thing once."""
    terms = await in_force(hub)
    erased = 0
    for kind in _STATES:
        skipped: set[UUID] = set()
        while batch := await _over(hub, kind, terms[kind], skipped):
            for root in batch:
                done = await _erase(hub, root, kind, terms[kind])
                erased += done
                if not done:
                    skipped.add(root)
    reduced = 0
    for _ in range(_MOST_BATCHES):
        done = await hub.database.write(lambda conn: _reduce(conn, hub, terms[RecordKind.DELIVERY_BODY]), db.HUB)
        reduced += done
        if done < BATCH:
            break
    forgotten = await names.erase(hub, terms[RecordKind.OFFICER_NAME])
    left = await drafts.erase(hub, terms[RecordKind.DRAFT])
    if erased or forgotten or left or hub.database.dialect == "sqlite":
        # An embedded hub does it each time: what was erased while somebody read may still lie in its log.
        await erasures.wipe(hub)
    if erased:
        await erasures.keep(hub)
    if erased or reduced or forgotten or left:
        done_with = {"erased": erased, "reduced": reduced, "names": forgotten, "drafts": left}
        _log.info("retention.ran", **done_with, node=hub.settings.node)
    return Retained(erased, reduced, forgotten, left)


async def in_force(hub: Hub) -> dict[RecordKind, Term]:
    """Return the term of each kind of record that is in force now."""
    async with hub.database.read(db.HUB) as conn:
        return {rule.kind: rule.keep for rule in await table.in_force(conn)}


async def _over(hub: Hub, kind: RecordKind, keep: Term, skipped: set[UUID]) -> list[UUID]:
    """Return the next requests that opened a matter which has been over for long enough, as it looks now."""
    async with hub.database.read(db.HUB) as conn:
        now = await db.now(conn)
        # By key, one request at a time: a list of all that was ever erased is walked for each of them.
        held = sa.exists().where(_HOLDS.c.request_id == _REQUESTS.c.id, _HOLDS.c.released_at.is_(None))
        erased = sa.exists().where(_KEYS.c.id == _REQUESTS.c.id, _KEYS.c.destroyed_at.is_not(None))
        query = (
            sa.select(_REQUESTS.c.id, _REQUESTS.c.closed_at)
            .where(
                _REQUESTS.c.original_id.is_(None),
                _REQUESTS.c.state.in_(_STATES[kind]),
                _REQUESTS.c.closed_at <= keep.before(now),
                ~held,
                ~erased,
            )
            .order_by(_REQUESTS.c.closed_at, _REQUESTS.c.id)
            .limit(BATCH + len(skipped))
        )
        rows = (await conn.execute(query)).all()
    over = [row.id for row in rows if retention.is_over(keep, row.closed_at, now)]
    return [root for root in over if root not in skipped][:BATCH]


async def _erase(hub: Hub, root: UUID, kind: RecordKind, keep: Term) -> int:
    """Erase one matter if it is over now, under the lock of all its requests; return how many requests that were."""

    async def unit(conn: AsyncConnection) -> int:
        ids = await erasing.family(conn, root)
        facts = await erasing.lock(conn, ids)
        ended = (await conn.execute(sa.select(_REQUESTS.c.closed_at).where(_REQUESTS.c.id.in_(ids)))).scalars().all()
        # What lifts or extends it, filed meanwhile or never ended, keeps all of it.
        if None in ended or not retention.is_over(keep, max(at for at in ended if at is not None), facts.at):
            return 0
        if await erasing.obstacle(conn, ids) is not None:
            return 0
        why = Decided(f"retention.{kind}", "retention", facts.at, hub.settings.node)
        count = await erasing.erase(conn, hub, facts, hub.actor, ids, why)
        await facts.flush()
        return count

    return await hub.database.write(unit, db.HUB)


async def _reduce(conn: AsyncConnection, hub: Hub, keep: Term) -> int:
    """Reduce one batch of delivered bodies to their digests; return how many dispatches that were.

    An order's own message stays as long as its request: it is what the hub signed, and a part of the evidence.
    """
    now = await db.now(conn)
    query = (
        sa.select(_DISPATCHES)
        .where(_DISPATCHES.c.reduced_at.is_(None), _DISPATCHES.c.settled_at <= keep.before(now))
        .order_by(_DISPATCHES.c.settled_at, _DISPATCHES.c.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = [row for row in (await conn.execute(query)).all() if retention.is_over(keep, row.settled_at, now)]
    if not rows:
        return 0
    ids = [row.id for row in rows]
    heads = sa.select(_ATTEMPTS).where(
        _ATTEMPTS.c.dispatch_id.in_(ids), sa.func.length(_ATTEMPTS.c.answer_head_sealed) > 0
    )
    attempts = (await conn.execute(heads)).all()
    told = [row for row in rows if row.kind is not DispatchKind.ORDER]
    keys = await subjects.of(
        conn, *(row.message_sealed for row in told), *(attempt.answer_head_sealed for attempt in attempts)
    )
    for row in told:
        try:
            digest = _digest(hub, keys, "dispatches", row, row.message_sealed)
        except SealBroken:
            continue
        reduced = {"message_sealed": b"", "message_sha256": digest}
        await conn.execute(sa.update(_DISPATCHES).where(_DISPATCHES.c.id == row.id).values(**reduced))
    owners = {row.id: row for row in rows}
    for attempt in attempts:
        try:
            digest = _digest(hub, keys, "attempts", owners[attempt.dispatch_id], attempt.answer_head_sealed)
        except SealBroken:
            continue
        reduced = {"answer_head_sealed": None, "answer_head_sha256": digest}
        await conn.execute(sa.update(_ATTEMPTS).where(_ATTEMPTS.c.id == attempt.id).values(**reduced))
    await conn.execute(sa.update(_DISPATCHES).where(_DISPATCHES.c.id.in_(ids)).values(reduced_at=now))
    facts = await Log.open(conn, None, [audit.tenant_chain(OPERATOR)])
    data: dict[str, Any] = {"kind": str(RecordKind.DELIVERY_BODY), "count": len(rows), "keep": keep.written()}
    facts.record(audit.tenant_chain(OPERATOR), Fact.RECORDS_REDUCED, hub.actor, OPERATOR, **data)
    await facts.flush()
    return len(rows)


def _digest(hub: Hub, keys: Any, table_name: str, row: sa.Row[Any], sealed: bytes) -> str | None:
    """Return the SHA-256 of what was sealed; None where its key was destroyed before: then there is nothing to keep.

    Raises ``SealBroken`` for what was changed behind the vault's back: it stays as it is, and holds up nothing else.
    """
    try:
        text = hub.vault.unseal(keys, table_name, row.id, row.tenant, sealed)
    except Erased:
        return None
    except SealBroken:
        _log.error("retention.unreadable", table=table_name, dispatch_id=str(row.id))
        raise
    return hashlib.sha256(text.encode()).hexdigest()
