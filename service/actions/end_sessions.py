"""A person ends sessions of his own: one that he names, or all but the one that he sits at."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.actions import entering, sessions_end, standing
from service.engine.hub import Hub
from service.models import ConsoleSession, table_of
from service.queries import visibility
from service.security.principals import Principal
from workflows.entry_terms import SessionEnd

_SESSIONS = table_of(ConsoleSession)


async def end_one(hub: Hub, principal: Principal, session_id: UUID) -> None:
    """End one session of the caller's. Raises ``NotFound`` for another's, and for one that is over."""
    if not await _end(hub, principal, _SESSIONS.c.id == session_id):
        raise errors.NotFound


async def end_others(hub: Hub, principal: Principal, kept: UUID) -> int:
    """End all sessions of the caller's but ``kept``; return how many there were."""
    return await _end(hub, principal, _SESSIONS.c.id != kept)


async def _end(hub: Hub, principal: Principal, which: sa.ColumnElement[bool]) -> int:
    async def unit(conn: AsyncConnection) -> int:
        log = await entering.lock(conn, principal.tenant)
        await standing.check(conn, principal)
        mine = sa.and_(visibility.sessions(principal), which)
        ended = await sessions_end.close(conn, log, principal.tenant, mine, principal.actor(), SessionEnd.REVOKED)
        await log.flush()
        return ended

    return await standing.run(hub, principal, unit)
