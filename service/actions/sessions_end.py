"""What ends sessions before their time: the rows are closed on every node, and each end is a fact with its reason."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.models import ConsoleSession, table_of
from workflows.entry_terms import SessionEnd
from workflows.terms import Actor, Fact

_SESSIONS = table_of(ConsoleSession)


async def close(
    conn: AsyncConnection, log: Log, tenant: str, which: sa.ColumnElement[bool], actor: Actor, reason: SessionEnd
) -> int:
    """End those of a member's sessions that are open and fit ``which``; return how many, each of which is a fact.

    The log is the caller's, with the member's chain locked, and is flushed by the caller.
    """
    mine = (_SESSIONS.c.tenant == tenant, _SESSIONS.c.revoked_at.is_(None), _SESSIONS.c.expires_at > log.at)
    ended = sa.update(_SESSIONS).where(*mine, which).values(revoked_at=log.at)
    rows = (await conn.execute(ended.returning(_SESSIONS.c.person, _SESSIONS.c.way))).all()
    for row in rows:
        data = {"person": row.person, "way": str(row.way), "reason": str(reason)}
        log.record(audit.tenant_chain(tenant), Fact.SIGN_IN_ENDED, actor, tenant, **data)
    return len(rows)
