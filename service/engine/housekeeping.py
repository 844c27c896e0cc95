"""Housekeeping, once an hour, by any node: what has served its time is deleted, and coming months get their place."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, log
from service.engine.hub import Hub
from service.models import ConsoleSession, Display, IdempotencyKey, Node, SignInLink, SpentIdentifier, table_of

_SPENT = table_of(SpentIdentifier)
_KEYS = table_of(IdempotencyKey)
_SESSIONS = table_of(ConsoleSession)
_LINKS = table_of(SignInLink)
_NODES = table_of(Node)
_DISPLAYS = table_of(Display)

# A client repeats a submission with the same key for as long as a dispatch is retried.
KEYS_KEPT = timedelta(hours=72)
SESSIONS_KEPT = timedelta(days=1)
NODES_KEPT = timedelta(days=1)
_MAKE_MONTHS = sa.text("SELECT hoatoc_make_months()")
_log = log.get(__name__)


async def tidy(hub: Hub) -> dict[str, int]:
    """Delete identifiers and keys past their time, old sessions, displays, links and nodes; return how many of each."""

    async def unit(conn: AsyncConnection) -> dict[str, int]:
        now = await db.now(conn)
        past = {
            _SPENT: _SPENT.c.expires_at < now,
            _KEYS: _KEYS.c.created_at < now - KEYS_KEPT,
            _SESSIONS: _SESSIONS.c.expires_at < now - SESSIONS_KEPT,
            _DISPLAYS: sa.or_(
                _DISPLAYS.c.ends_at < now - SESSIONS_KEPT,
                _DISPLAYS.c.revoked_at < now - SESSIONS_KEPT,
                # A code that nobody typed.
                sa.and_(_DISPLAYS.c.paired_at.is_(None), _DISPLAYS.c.code_ends_at < now - SESSIONS_KEPT),
            ),
            _LINKS: _LINKS.c.expires_at < now - SESSIONS_KEPT,
            _NODES: _NODES.c.seen_at < now - NODES_KEPT,
        }
        return {
            table.name: (await conn.execute(sa.delete(table).where(is_past))).rowcount
            for table, is_past in past.items()
        }

    return await hub.database.write(unit, db.HUB)


async def make_months(hub: Hub) -> int:
    """Let PostgreSQL make the months that facts will lie in; return how many facts lay in none and now do.

    It waits half a second for whoever reads the facts just then, and is tried again with the next hour: the months
    are made three ahead. An embedded database has one table for all of them.
    """
    if hub.database.dialect != "postgresql":
        return 0

    async def unit(conn: AsyncConnection) -> int:
        moved: int = (await conn.execute(_MAKE_MONTHS)).scalar_one()
        return moved

    try:
        moved = await hub.database.write(unit, db.HUB)
    except DBAPIError as error:
        _log.warning("facts.months_late", error=str(error.orig), node=hub.settings.node)
        return 0
    if moved:
        _log.warning("facts.strays_moved", count=moved, node=hub.settings.node)
    return moved
