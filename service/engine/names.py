"""The name of an officer goes when he left long enough ago and nothing is kept any more that he signed."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.audit import Log
from service.engine.hub import Hub
from service.models import ActionRequest, Appeal, Approval, Officer, SubjectKey, table_of
from service.models.subject_key import KeyOwner
from service.vault import sealing, subjects
from workflows import retention
from workflows.record_terms import RecordKind
from workflows.retention import Term
from workflows.terms import Fact

_OFFICERS = table_of(Officer)
_REQUESTS = table_of(ActionRequest)
_APPROVALS = table_of(Approval)
_APPEALS = table_of(Appeal)
_KEYS = table_of(SubjectKey)


async def erase(hub: Hub, keep: Term) -> int:
    """Erase the names whose time is over, each in a transaction of its own; return how many those were."""
    async with hub.database.read(db.HUB) as conn:
        now = await db.now(conn)
        rows = (await conn.execute(_due(keep, now))).all()
    return sum([await _erase(hub, keep, row) for row in rows])


def _due(keep: Term, now: datetime) -> sa.Select[Any]:
    """Select officers who may be due: gone by the bound of ``keep``, still named, nothing kept that they signed."""
    latest = keep.before(now)
    destroyed = _KEYS.c.destroyed_at.is_not(None)
    forgotten = sa.select(_KEYS.c.subject).where(_KEYS.c.kind == KeyOwner.OFFICER, destroyed)
    officer = _OFFICERS.c.id
    signed = (
        sa.select(_REQUESTS.c.id).where(sa.or_(_REQUESTS.c.officer_id == officer, _REQUESTS.c.withdrawn_by == officer)),
        sa.select(_APPROVALS.c.request_id).where(_APPROVALS.c.officer_id == officer),
        sa.select(_APPEALS.c.request_id).where(
            sa.or_(_APPEALS.c.answered_by == officer, _APPEALS.c.decided_by == officer)
        ),
    )
    kept = (query.where(~_is_erased(query.selected_columns[0])).exists() for query in signed)
    left = sa.or_(
        sa.and_(sa.not_(_OFFICERS.c.active), _OFFICERS.c.left_at <= latest), _OFFICERS.c.appointed_until <= latest
    )
    return (
        sa.select(_OFFICERS)
        .where(left, _OFFICERS.c.id.not_in(forgotten), *(sa.not_(each) for each in kept))
        .order_by(_OFFICERS.c.id)
    )


def _is_erased(request_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    # By key, one request at a time: a list of all that was ever erased is walked for each of them.
    return sa.exists().where(
        _KEYS.c.id == request_id, _KEYS.c.kind == KeyOwner.REQUEST, _KEYS.c.destroyed_at.is_not(None)
    )


async def _erase(hub: Hub, keep: Term, found: sa.Row[Any]) -> int:
    return await hub.database.write(lambda conn: _one(conn, hub, keep, found), db.HUB)


async def _one(conn: AsyncConnection, hub: Hub, keep: Term, found: sa.Row[Any]) -> int:
    chain = audit.tenant_chain(found.tenant)
    # The chain is what whoever changes an officer of this agency locks too.
    log = await Log.open(conn, None, [chain])
    row = (await conn.execute(_due(keep, log.at).where(_OFFICERS.c.id == found.id))).one_or_none()
    if row is None or not retention.is_over(keep, _left_at(row, log.at), log.at):
        return 0
    key = await subjects.of_subject(conn, hub.vault, row.tenant, KeyOwner.OFFICER, row.id)
    await subjects.destroy(conn, [key.id], log.at)
    stub = sa.update(_OFFICERS).where(_OFFICERS.c.id == row.id).values(name_sealed=sealing.stub(key.id))
    await conn.execute(stub)
    kind = str(RecordKind.OFFICER_NAME)
    log.record(chain, Fact.OFFICER_ERASED, hub.actor, row.tenant, officer_id=row.id, kind=kind, keep=keep.written())
    await log.flush()
    return 1


def _left_at(row: sa.Row[Any], now: datetime) -> datetime:
    """Return when an officer left: suspended, or his appointment over, whichever came first."""
    ends = [row.left_at if not row.active else None, row.appointed_until]
    return min((end for end in ends if end is not None), default=now)
