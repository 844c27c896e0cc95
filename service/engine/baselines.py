"""Learns once an hour what is usual: how much each officer, agency and pair set in motion in their busy hours."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine import loads
from service.engine.hub import Hub
from service.models import Baseline, table_of
from workflows import bounds
from workflows.terms import BoundKind, BoundSubject

_BASELINES = table_of(Baseline)
_KEY = ("tenant", "subject_kind", "subject", "kind")

Subject = tuple[str, BoundSubject, str, BoundKind]


@dataclass(slots=True)
class _History:
    """One subject's hours: what became active in each of them, and when the first of it did."""

    since: datetime
    counts: dict[Any, int] = field(default_factory=lambda: defaultdict(int))
    amounts: dict[Any, int] = field(default_factory=lambda: defaultdict(int))


async def learn(hub: Hub) -> int:
    """Write what is usual by the last 30 days, the last one left out, and return for how many subjects.

    What was released after a call-back counts: it was meant. What was held and refused never became active.
    """
    async with hub.database.read(db.HUB) as conn:
        at = await db.now(conn)
        histories = await _histories(conn, at)
    rows = [_row(subject, history, at) for subject, history in sorted(histories.items())]

    async def unit(conn: AsyncConnection) -> int:
        insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
        learned = insert(_BASELINES)
        changed = {name: learned.excluded[name] for name in Baseline.model_fields if name not in _KEY}
        # Two nodes that learn at once write the same rows in the same order.
        if rows:
            await conn.execute(learned.on_conflict_do_update(index_elements=_KEY, set_=changed), rows)
        await conn.execute(sa.delete(_BASELINES).where(_BASELINES.c.learned_at < at))
        return len(rows)

    return await hub.database.write(unit, db.HUB)


async def _histories(conn: AsyncConnection, at: datetime) -> dict[Subject, _History]:
    """Add up, hour by hour, the targets and the money that each subject set in motion in 30 days but the last one."""
    done = loads.since(at - bounds.LEARNED_OVER)
    hour = sa.func.substr(done.c.at, 1, 13) if conn.dialect.name == "sqlite" else sa.func.date_trunc("hour", done.c.at)
    by = (done.c.tenant, done.c.officer_id, done.c.second_id, done.c.action, hour)
    query = (
        sa.select(
            *by, sa.func.sum(done.c.count), sa.func.sum(done.c.amount), sa.func.min(done.c.at, type_=done.c.at.type)
        )
        .where(done.c.at <= at - bounds.LEARNED_UNTIL)
        .group_by(*by)
    )
    found: dict[Subject, _History] = {}
    async for tenant, maker, second, action, at_hour, count, amount, first in await conn.stream(query):
        kind = bounds.kind_of(action)
        subjects = [(BoundSubject.OFFICER, maker), (BoundSubject.AGENCY, tenant)]
        if second is not None:
            subjects.append((BoundSubject.PAIR, bounds.pair(maker, second)))
        for subject_kind, subject in subjects:
            history = found.setdefault((tenant, subject_kind, subject, kind), _History(first))
            history.since = min(history.since, first)
            history.counts[at_hour] += int(count)
            history.amounts[at_hour] += int(amount)
    return found


def _row(subject: Subject, history: _History, at: datetime) -> dict[str, Any]:
    return {
        **dict(zip(_KEY, subject, strict=True)),
        "p99_count": bounds.percentile(list(history.counts.values())),
        "p99_amount": bounds.percentile(list(history.amounts.values())),
        "hours": len(history.counts),
        "since": history.since,
        "learned_at": at,
    }
