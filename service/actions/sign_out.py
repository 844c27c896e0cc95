"""A person leaves the console: the session is over on every node."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine.hub import Hub
from service.models import ConsoleSession, table_of
from service.security import console_session

_SESSIONS = table_of(ConsoleSession)


async def sign_out(hub: Hub, presented: str) -> None:
    """End the session of the cookie that was presented; one that is unknown or over stays so."""
    digest = bytes.fromhex(console_session.session_digest(presented))

    async def unit(conn: AsyncConnection) -> None:
        alive = (_SESSIONS.c.digest == digest, _SESSIONS.c.revoked_at.is_(None))
        await conn.execute(sa.update(_SESSIONS).where(*alive).values(revoked_at=await db.now(conn)))

    await hub.writer.run(unit, reach=db.HUB)
