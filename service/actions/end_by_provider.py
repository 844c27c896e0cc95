"""The identity provider says that a session there is over: the sessions here that hung on it are over too."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.actions import sessions_end, sign_in_by_provider
from service.audit import Log
from service.engine.hub import Hub
from service.engine.writer import IdentifierSpent
from service.models import ConsoleSession, table_of
from service.security.single_use import SingleUse
from workflows.entry_terms import SessionEnd

_SESSIONS = table_of(ConsoleSession)


async def end(hub: Hub, *, issuer: str, subject: str | None, session: str | None, token: SingleUse) -> int:
    """End the sessions of ``session`` at ``issuer``, or of ``subject`` where it names no session; return how many.

    ``token`` is spent with it: what was said once ends nothing that began later. Said twice, it ends nothing.
    """
    if session is not None:
        which = _SESSIONS.c.provider_session == sign_in_by_provider.digest(issuer, "sid", session)
        if subject is not None:
            # Which session of the subject's it is cannot be told of one whose ID token named none: it ends too.
            which = sa.or_(which, _SESSIONS.c.provider_session.is_(None))
            which &= _SESSIONS.c.provider_subject == sign_in_by_provider.digest(issuer, "sub", subject)
    else:
        which = _SESSIONS.c.provider_subject == sign_in_by_provider.digest(issuer, "sub", subject or "")

    async def unit(conn: AsyncConnection) -> int:
        tenants = sorted((await conn.execute(sa.select(_SESSIONS.c.tenant).where(which).distinct())).scalars())
        log = await Log.open(conn, None, [audit.tenant_chain(each) for each in tenants])
        ended = [await sessions_end.close(conn, log, each, which, hub.actor, SessionEnd.PROVIDER) for each in tenants]
        await log.flush()
        return sum(ended)

    try:
        return await hub.writer.run(unit, [token], reach=db.HUB)
    except IdentifierSpent:
        return 0
