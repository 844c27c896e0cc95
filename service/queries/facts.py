"""The audit as it is searched: facts of a window of time, newest first, and one chain recomputed link by link."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.audit import Finding
from service.models import ActionRequest, AuditEntry, AuditHead, FactRun, table_of
from service.queries import timeline, visibility
from service.schemas.requests import FactAnswer
from service.security.principals import Principal
from workflows.terms import ActorKind, Fact

_ENTRIES = table_of(AuditEntry)
_HEADS = table_of(AuditHead)
_REQUESTS = table_of(ActionRequest)
_RUNS = table_of(FactRun)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search is narrowed to; None is everything. ``since`` counts, ``until`` does not any more (aware)."""

    since: datetime
    until: datetime
    request_id: UUID | None = None
    number: int | None = None
    code: Fact | None = None
    actor: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: the chain that it stands in, its request where it has one the reader may see, and how it is told."""

    chain: str
    tenant: str
    request_id: UUID | None
    reference: str | None
    fact: FactAnswer


@dataclass(frozen=True, slots=True)
class Found:
    """A page of facts, newest first, and the cursor of the next one."""

    lines: Sequence[Line]
    next: str | None


@dataclass(frozen=True, slots=True)
class Chain:
    """A request's chain: its facts, how many are in an archive alone, its head, and what is wrong with it."""

    reference: str
    facts: Sequence[FactAnswer]
    away: int
    head: str
    wrong: Sequence[Finding]


async def search(
    conn: AsyncConnection, principal: Principal, wanted: Wanted, *, after: str | None, limit: int
) -> Found:
    """Return a page of the facts that the caller may see, newest first. Raises ``InvalidInput`` on a bad ``after``."""
    query = (
        sa.select(_ENTRIES)
        .where(visibility.facts(principal), *_conditions(wanted))
        .order_by(_ENTRIES.c.at.desc(), _ENTRIES.c.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        at, last = _read(after)
        # The instant alone bounds the months and the index; of the same instant those behind the last one remain.
        same = sa.and_(_ENTRIES.c.at == at, _ENTRIES.c.id >= last)
        query = query.where(_ENTRIES.c.at <= at, sa.not_(same))
    rows = (await conn.execute(query)).all()
    shown = rows[:limit]
    facts = await timeline.told(conn, shown)
    known = sa.select(_REQUESTS.c.id, _REQUESTS.c.reference).where(
        _REQUESTS.c.id.in_({row.request_id for row in shown if row.request_id}), visibility.requests(principal)
    )
    called = {row.id: row.reference for row in (await conn.execute(known)).all()}
    lines = [
        Line(
            row.chain,
            row.tenant,
            row.request_id if row.request_id in called else None,
            called.get(row.request_id),
            fact,
        )
        for row, fact in zip(shown, facts, strict=True)
    ]
    return Found(lines, _written(shown[-1]) if len(rows) > limit else None)


async def request_named(conn: AsyncConnection, principal: Principal, name: str) -> UUID | None:
    """Return the id of the request with this reference or id, if the caller may see it."""
    try:
        wanted = _REQUESTS.c.id == UUID(name)
    except ValueError:
        wanted = _REQUESTS.c.reference == name.upper()
    query = sa.select(_REQUESTS.c.id).where(wanted, visibility.requests(principal))
    return (await conn.execute(query)).scalar_one_or_none()


async def chain(conn: AsyncConnection, principal: Principal, request_id: UUID) -> Chain | None:
    """Recompute the chain of one request from its rows; None when it does not exist or is not for the caller."""
    seen = sa.select(_REQUESTS.c.reference).where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    reference = (await conn.execute(seen)).scalar_one_or_none()
    if reference is None:
        return None
    name = audit.request_chain(request_id)
    facts: sa.Select[Any] = sa.select(*_ENTRIES.c, sa.null().label("last")).where(
        _ENTRIES.c.chain == name, visibility.facts(principal)
    )
    rows = (await conn.execute(facts.order_by(_ENTRIES.c.sequence))).all()
    runs = (await conn.execute(_runs(name))).all()
    head = (await conn.execute(sa.select(_HEADS).where(_HEADS.c.chain == name))).one_or_none()
    links: list[Any] = sorted([*rows, *runs], key=lambda row: row.sequence)
    return Chain(
        reference=reference,
        facts=await timeline.told(conn, rows),
        away=sum(run.last - run.sequence + 1 for run in runs),
        head=head.hash.hex() if head else "",
        wrong=audit.walk(name, links, head),
    )


def _runs(name: str) -> sa.Select[Any]:
    return sa.select(_RUNS.c.first.label("sequence"), _RUNS.c.last, _RUNS.c.previous, _RUNS.c.hash).where(
        _RUNS.c.chain == name
    )


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    given = {
        _ENTRIES.c.request_id: wanted.request_id,
        _ENTRIES.c.sequence: wanted.number,
        _ENTRIES.c.code: wanted.code,
        _ENTRIES.c.tenant: wanted.tenant,
    }
    found = [_ENTRIES.c.at >= wanted.since, _ENTRIES.c.at < wanted.until]
    found += [column == value for column, value in given.items() if value is not None]
    if wanted.actor is not None:
        # As the index has it: most facts are the hub's own, and nobody looks for those by their actor.
        found += [_ENTRIES.c.actor_id == wanted.actor, _ENTRIES.c.actor_kind != sa.literal_column(f"'{ActorKind.HUB}'")]
    return found


def _written(row: sa.Row[Any]) -> str:
    return f"{row.at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{row.id}"


def _read(cursor: str) -> tuple[datetime, int]:
    at, _, last = cursor.partition("-")
    try:
        if not (last.isascii() and last.isdigit() and len(last) < 19):
            raise ValueError(cursor)
        return datetime.strptime(at, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC), int(last)
    except ValueError:
        raise errors.InvalidInput.of("after", "cursor.invalid") from None
