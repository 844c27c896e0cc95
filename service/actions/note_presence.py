"""A person at the console was seen: the session's idle time starts anew."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine.hub import Hub
from service.models import ConsoleSession, table_of
from service.security import console_session

_SESSIONS = table_of(ConsoleSession)


async def note_presence(hub: Hub, presented: str, seen_at: datetime) -> None:
    """Move the session of the presented cookie to ``seen_at``; one that is over stays over."""
    digest = bytes.fromhex(console_session.session_digest(presented))

    async def unit(conn: AsyncConnection) -> None:
        alive = (_SESSIONS.c.digest == digest, _SESSIONS.c.revoked_at.is_(None), _SESSIONS.c.seen_at < seen_at)
        await conn.execute(sa.update(_SESSIONS).where(*alive).values(seen_at=seen_at))

    await hub.writer.run(unit, reach=db.HUB)
