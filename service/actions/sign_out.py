"""A person leaves the console: the session is over on every node."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.actions import entering, sessions_end
from service.engine.hub import Hub
from service.models import ConsoleSession, table_of
from service.security import console_session
from workflows.entry_terms import SessionEnd, Way
from workflows.terms import Actor, ActorKind

_SESSIONS = table_of(ConsoleSession)


async def sign_out(hub: Hub, presented: str, reason: SessionEnd = SessionEnd.LEFT) -> Way | None:
    """End the session of the cookie that was presented; one that is unknown or over stays so.

    Returns by which way its person had come in, None where there was none to end.
    """
    digest = bytes.fromhex(console_session.session_digest(presented))

    async def unit(conn: AsyncConnection) -> Way | None:
        row = await _row(conn, digest)
        if row is None or row.revoked_at is not None:
            return None
        log = await entering.lock(conn, row.tenant)
        actor = Actor(ActorKind.PERSON, row.person, row.tenant)
        # A session that is used elsewhere was not ended by its person.
        by = actor if reason is SessionEnd.LEFT else hub.actor
        ended = await sessions_end.close(conn, log, row.tenant, _SESSIONS.c.digest == digest, by, reason)
        await log.flush()
        return Way(row.way) if ended else None

    return await hub.writer.run(unit, reach=db.HUB)


async def _row(conn: AsyncConnection, digest: bytes) -> sa.Row[Any] | None:
    return (await conn.execute(sa.select(_SESSIONS).where(_SESSIONS.c.digest == digest))).one_or_none()
