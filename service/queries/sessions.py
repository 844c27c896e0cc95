"""Who is at the console: the person behind a session's cookie, where else he is, and whether a link may be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import ConsolePasskey, ConsoleSession, Officer, Participant, SignInLink, table_of
from service.queries import visibility
from service.security import console_session, principals
from service.security.principals import Principal
from workflows import authority
from workflows.terms import Role

_SESSIONS = table_of(ConsoleSession)
_LINKS = table_of(SignInLink)
_PARTICIPANTS = table_of(Participant)
_OFFICERS = table_of(Officer)
_PASSKEYS = table_of(ConsolePasskey)


@dataclass(frozen=True, slots=True)
class Seat:
    """A person with a living session: as a principal, with the name of the member and when it was last used.

    ``id`` is the session's, ``browser`` the kind that it was given to.
    """

    id: UUID
    principal: Principal
    role: Role
    member: str
    browser: str
    started_at: datetime
    seen_at: datetime
    now: datetime

    @property
    def ends_within(self) -> int:
        """In how many seconds it ends if nobody moves any more."""
        return int((console_session.ends_at(self.started_at, self.seen_at) - self.now).total_seconds())

    @property
    def is_last(self) -> bool:
        """Tell whether it ends then whatever anybody does: its eight hours are over sooner than it could be idle."""
        return console_session.ends_at(self.started_at, self.now) == self.started_at + console_session.SESSION_LIFETIME

    @property
    def is_fresh(self) -> bool:
        """Tell whether the person showed who he is a short while ago: as long ago, at most, as a link lives."""
        return console_session.link_is_alive(self.started_at, self.now)


async def find(conn: AsyncConnection, presented: str) -> Seat | None:
    """Return who sits behind the cookie that was presented.

    None unless session and member are both in force, and for an officer who does not serve any more.
    """
    digest = bytes.fromhex(console_session.session_digest(presented))
    query = (
        sa.select(_SESSIONS, _PARTICIPANTS.c.sector, _PARTICIPANTS.c.short_name)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _SESSIONS.c.tenant)
        .where(_SESSIONS.c.digest == digest, _SESSIONS.c.revoked_at.is_(None), _PARTICIPANTS.c.status == "active")
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    now = await db.now(conn)
    if now >= row.expires_at or not console_session.session_is_alive(row.started_at, row.seen_at, now):
        return None
    if not await may_sit(conn, row.tenant, row.person, now):
        return None
    principal = principals.of_person(row.person, tenant=row.tenant, sector=row.sector, roles=[row.role])
    return Seat(row.id, principal, row.role, row.short_name, row.browser, row.started_at, row.seen_at, now)


async def open_of(conn: AsyncConnection, principal: Principal, now: datetime) -> Sequence[sa.Row[Any]]:
    """Return the sessions of the caller that are open, the one that was used last first."""
    query = (
        sa.select(_SESSIONS)
        .where(visibility.sessions(principal), _SESSIONS.c.revoked_at.is_(None), _SESSIONS.c.expires_at > now)
        .order_by(_SESSIONS.c.seen_at.desc(), _SESSIONS.c.id)
    )
    rows = (await conn.execute(query)).all()
    return [row for row in rows if console_session.session_is_alive(row.started_at, row.seen_at, now)]


async def passkeys_of(conn: AsyncConnection, principal: Principal) -> Sequence[sa.Row[Any]]:
    """Return the passkeys by which the caller signs in, the oldest first."""
    query = sa.select(_PASSKEYS).where(visibility.passkeys(principal)).order_by(_PASSKEYS.c.created_at, _PASSKEYS.c.id)
    return (await conn.execute(query)).all()


async def may_sit(conn: AsyncConnection, tenant: str, person: str, now: datetime) -> bool:
    """Tell whether a person may be at the console: anybody but an officer of this member who does not serve now."""
    query = sa.select(_OFFICERS.c.active, _OFFICERS.c.appointed_until).where(
        _OFFICERS.c.id == person, _OFFICERS.c.tenant == tenant
    )
    row = (await conn.execute(query)).one_or_none()
    return row is None or authority.is_serving(row.active, row.appointed_until, now)


async def link_is_open(conn: AsyncConnection, presented: str) -> bool:
    """Tell whether a sign-in link was made, is not spent and not too old; asking does not spend it."""
    digest = bytes.fromhex(console_session.link_digest(presented))
    query = sa.select(_LINKS.c.created_at).where(_LINKS.c.digest == digest, _LINKS.c.used_at.is_(None))
    made_at = (await conn.execute(query)).scalar_one_or_none()
    return made_at is not None and console_session.link_is_alive(made_at, await db.now(conn))
