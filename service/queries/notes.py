"""Notes about requests, for the house whose people wrote them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Note, table_of
from service.queries import visibility
from service.security.principals import Principal
from service.vault import Vault, subjects

_NOTES = table_of(Note)
_REQUESTS = table_of(ActionRequest)
MOST = 100


@dataclass(frozen=True, slots=True)
class Written:
    """A note: about which request, by whom, when, and what it says."""

    request_id: UUID
    reference: str
    author: str
    written_at: datetime
    text: str


async def of_request(conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID) -> list[Written]:
    """Return the latest notes of the caller's house about a request, the oldest of them first."""
    return (await _read(conn, vault, principal, _NOTES.c.request_id == request_id))[::-1]


async def since(conn: AsyncConnection, vault: Vault, principal: Principal, at: datetime) -> list[Written]:
    """Return what the caller's house has written since an instant, newest first."""
    return await _read(conn, vault, principal, _NOTES.c.written_at >= at)


async def _read(
    conn: AsyncConnection, vault: Vault, principal: Principal, which: sa.ColumnElement[bool]
) -> list[Written]:
    query = (
        sa.select(_NOTES, _REQUESTS.c.reference)
        .join(_REQUESTS, _REQUESTS.c.id == _NOTES.c.request_id)
        .where(which, visibility.notes(principal), visibility.requests(principal))
        .order_by(_NOTES.c.written_at.desc(), _NOTES.c.id.desc())
        .limit(MOST)
    )
    rows: Sequence[Any] = (await conn.execute(query)).all()
    keys = await subjects.of(conn, *(row.body_sealed for row in rows))
    return [
        Written(
            row.request_id,
            row.reference,
            row.author,
            row.written_at,
            vault.shown(keys, "notes", row.id, row.agency, row.body_sealed),
        )
        for row in rows
    ]
