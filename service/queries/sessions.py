"""Who is at the console: the person behind a session's cookie, and whether a sign-in link may still be used."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import ConsoleSession, Officer, Participant, SignInLink, table_of
from service.security import console_session, principals
from service.security.principals import Principal
from workflows import authority
from workflows.terms import Role

_SESSIONS = table_of(ConsoleSession)
_LINKS = table_of(SignInLink)
_PARTICIPANTS = table_of(Participant)
_OFFICERS = table_of(Officer)


@dataclass(frozen=True, slots=True)
class Seat:
    """A person with a living session: as a principal, with the name of the member and when it was last used."""

    principal: Principal
    role: Role
    member: str
    seen_at: datetime
    now: datetime


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
    return Seat(principal, row.role, row.short_name, row.seen_at, now)


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
