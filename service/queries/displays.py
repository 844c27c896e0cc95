"""The screens on the walls: who is behind a screen's cookie, and the list of them for the coordinators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import Display, Participant, table_of
from service.queries import visibility
from service.security import console_session
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import ActorKind, Sector

_DISPLAYS = table_of(Display)
_PARTICIPANTS = table_of(Participant)


@dataclass(frozen=True, slots=True)
class Screen:
    """A living screen: a principal that may read the board and nothing else, and when it was last seen."""

    id: UUID
    principal: Principal
    browser: str
    seen_at: datetime
    now: datetime


async def find(conn: AsyncConnection, presented: str) -> Screen | None:
    """Return the screen behind the cookie that was presented; None unless it and its member are in force."""
    digest = bytes.fromhex(console_session.display_digest(presented))
    query = (
        sa.select(_DISPLAYS, _PARTICIPANTS.c.sector)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _DISPLAYS.c.tenant)
        .where(_DISPLAYS.c.digest == digest, _DISPLAYS.c.revoked_at.is_(None), _PARTICIPANTS.c.status == "active")
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    now = await db.now(conn)
    if now >= row.ends_at or row.sector is not Sector.HUB:
        return None
    # No role: what it may is said here, whole, and grows with no role.
    may = frozenset({Scope.REQUESTS_READ})
    principal = Principal(f"display-{row.id}", row.tenant, row.sector, frozenset(), may, None, ActorKind.PERSON)
    return Screen(row.id, principal, row.browser or "", row.seen_at, now)


async def listed(conn: AsyncConnection, principal: Principal, now: datetime) -> Sequence[sa.Row[Any]]:
    """Return the screens that hang, and those whose code may still be typed, the newest first."""
    query = (
        sa.select(_DISPLAYS)
        .where(
            visibility.displays(principal),
            _DISPLAYS.c.revoked_at.is_(None),
            _DISPLAYS.c.ends_at > now,
            sa.or_(_DISPLAYS.c.paired_at.is_not(None), _DISPLAYS.c.code_ends_at > now),
        )
        .order_by(_DISPLAYS.c.created_at.desc(), _DISPLAYS.c.id)
    )
    return (await conn.execute(query)).all()
