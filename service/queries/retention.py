"""The retention table that is in force, what is proposed beside it, and what is kept beyond its time."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, LegalHold, RetentionRule, table_of
from workflows import retention
from workflows.record_terms import HoldReason
from workflows.retention import Rule, Term

_RULES = table_of(RetentionRule)
_HOLDS = table_of(LegalHold)
_REQUESTS = table_of(ActionRequest)


@dataclass(frozen=True, slots=True)
class Held:
    """A request that is kept beyond its time."""

    reference: str
    tenant: str
    reason: HoldReason
    placed_by: str
    placed_at: datetime


async def in_force(conn: AsyncConnection) -> list[Rule]:
    """Return the rule of each kind: the term that was approved last, else the shipped one."""
    rules = dict(retention.RULES)
    query = sa.select(_RULES).where(_RULES.c.approved_at.is_not(None)).order_by(_RULES.c.approved_at, _RULES.c.id)
    for row in (await conn.execute(query)).all():
        rules[row.kind] = replace(rules[row.kind], keep=Term.read(row.keep), source=row.source)
    return list(rules.values())


async def proposed(conn: AsyncConnection) -> list[tuple[UUID, Rule, str]]:
    """Return the terms that nobody approved yet, oldest first: id, rule and who proposed it."""
    query = sa.select(_RULES).where(_RULES.c.approved_at.is_(None)).order_by(_RULES.c.proposed_at, _RULES.c.id)
    return [
        (row.id, replace(retention.RULES[row.kind], keep=Term.read(row.keep), source=row.source), row.proposed_by)
        for row in (await conn.execute(query)).all()
    ]


async def held(conn: AsyncConnection) -> list[Held]:
    """Return what is kept beyond its time, oldest first."""
    query = (
        sa.select(_REQUESTS.c.reference, _HOLDS.c.tenant, _HOLDS.c.reason, _HOLDS.c.placed_by, _HOLDS.c.placed_at)
        .join(_REQUESTS, _REQUESTS.c.id == _HOLDS.c.request_id)
        .where(_HOLDS.c.released_at.is_(None))
        .order_by(_HOLDS.c.placed_at, _HOLDS.c.id)
    )
    return [Held(*row) for row in (await conn.execute(query)).all()]
