"""Who read what a request says of persons, and who searched for whom: for its agency, and for who watches the hub."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors, i18n
from service.models import ActionRequest, AuditEntry, table_of
from service.queries import visibility
from service.schemas.reads import ReadAnswer, ReadPage
from service.security.principals import Principal
from workflows.terms import Door, Fact, View

_REQUESTS = table_of(ActionRequest)
_ENTRIES = table_of(AuditEntry)

# A page that is left open renews itself every few seconds; it is opened anew, for the record, this often.
ONE_OPENING = timedelta(minutes=10)
_CODES = ("view", "door")


async def page(
    conn: AsyncConnection, principal: Principal, request_id: UUID, *, after: str | None, limit: int
) -> ReadPage | None:
    """Return a page of the openings, or None when the request does not exist or is not for the caller."""
    seen = sa.select(_REQUESTS.c.id).where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    if (await conn.execute(seen)).scalar_one_or_none() is None:
        return None
    query = sa.select(_ENTRIES).where(_ENTRIES.c.chain == audit.reads_chain(request_id))
    if after is not None:
        query = query.where(_ENTRIES.c.sequence < _sequence(after))
    rows = (await conn.execute(query.order_by(_ENTRIES.c.sequence.desc()).limit(limit + 1))).all()
    shown = rows[:limit]
    return ReadPage(items=[_read(row) for row in shown], next=str(shown[-1].sequence) if len(rows) > limit else None)


async def is_open(conn: AsyncConnection, principal: Principal, request_id: UUID, view: View, now: datetime) -> bool:
    """Tell whether the same person opened the same view of the request less than ten minutes ago."""
    query = (
        sa.select(_ENTRIES.c.data)
        .where(
            _ENTRIES.c.chain == audit.reads_chain(request_id),
            _ENTRIES.c.code == Fact.PERSON_OPENED,
            _ENTRIES.c.actor_kind == principal.kind,
            _ENTRIES.c.actor_id == principal.client_id,
            _ENTRIES.c.actor_tenant == principal.tenant,
            _ENTRIES.c.at > now - ONE_OPENING,
        )
        .order_by(_ENTRIES.c.sequence.desc())
    )
    return any(json.loads(data).get("view") == view for data in (await conn.execute(query)).scalars())


@dataclass(frozen=True, slots=True)
class Search:
    """One search: who looked, where, by what and how much there was; ``index`` is the blind index of the value."""

    at: datetime
    actor: str
    tenant: str
    door: Door
    by: str
    found: int
    index: bytes
    data: dict[str, Any]

    def sentence(self, lang: str) -> str:
        """Tell it."""
        return i18n.fact_text(Fact.PERSON_SEARCHED, self.data, lang)


async def searches(conn: AsyncConnection, tenant: str | None, limit: int) -> list[Search]:
    """Return the latest searches of one member's systems and people, or of everybody's, newest first."""
    query = sa.select(_ENTRIES).where(_ENTRIES.c.code == Fact.PERSON_SEARCHED)
    if tenant is not None:
        query = query.where(_ENTRIES.c.chain == audit.tenant_chain(tenant))
    rows = (await conn.execute(query.order_by(_ENTRIES.c.id.desc()).limit(limit))).all()
    found = []
    for row in rows:
        data = json.loads(row.data)
        index = bytes.fromhex(data["index"])
        found.append(
            Search(row.at, row.actor_id, row.tenant, Door(data["door"]), data["by"], data["found"], index, data)
        )
    return found


def _read(row: sa.Row[Any]) -> ReadAnswer:
    data: dict[str, str] = json.loads(row.data)
    return ReadAnswer(
        sequence=row.sequence,
        at=row.at,
        actor={"kind": row.actor_kind, "id": row.actor_id, "tenant": row.actor_tenant},
        **{name: data[name] for name in _CODES},
        data={name: value for name, value in data.items() if name not in _CODES},
        text={language: i18n.fact_text(str(row.code), data, language) for language in i18n.LANGUAGES},
    )


def _sequence(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise errors.InvalidInput.of("after", "cursor.invalid")
    return int(cursor)
