"""The request that a person has begun and not filed: nobody else's door leads here, whatever their role."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Draft, table_of
from service.queries import retention as table
from service.security.principals import Principal
from service.vault import Vault, subjects
from workflows import retention
from workflows.record_terms import RecordKind

_DRAFTS = table_of(Draft)


@dataclass(frozen=True, slots=True)
class Begun:
    """A draft: the answers by the names of their fields, when it was touched last, and until when it is kept."""

    id: UUID
    answers: Mapping[str, str] = field(repr=False)
    touched_at: datetime
    kept_until: datetime


def own(principal: Principal) -> sa.ColumnElement[bool]:
    """Return the condition of a person's own draft."""
    return sa.and_(_DRAFTS.c.tenant == principal.tenant, _DRAFTS.c.person == principal.client_id)


async def find(conn: AsyncConnection, vault: Vault, principal: Principal, now: datetime) -> Begun | None:
    """Return the caller's draft, or None where there is none or its time is over."""
    columns = (_DRAFTS.c.id, _DRAFTS.c.answers_sealed, _DRAFTS.c.touched_at)
    row = (await conn.execute(sa.select(*columns).where(own(principal)))).one_or_none()
    if row is None:
        return None
    keep = next(rule.keep for rule in await table.in_force(conn) if rule.kind is RecordKind.DRAFT)
    if retention.is_over(keep, row.touched_at, now):
        return None
    answers = json.loads(await _open(conn, vault, principal, row.id, row.answers_sealed))
    return Begun(row.id, answers, row.touched_at, keep.after(row.touched_at))


async def paper(conn: AsyncConnection, vault: Vault, principal: Principal) -> bytes | None:
    """Return the file that lies with the caller's draft."""
    row = (await conn.execute(sa.select(_DRAFTS.c.id, _DRAFTS.c.paper_sealed).where(own(principal)))).one_or_none()
    if row is None or row.paper_sealed is None:
        return None
    return base64.b64decode(await _open(conn, vault, principal, row.id, row.paper_sealed))


async def _open(conn: AsyncConnection, vault: Vault, principal: Principal, row_id: UUID, sealed: Any) -> str:
    return vault.unseal(await subjects.of(conn, sealed), "drafts", row_id, principal.tenant, sealed)
