"""A person signs in to the console: the link is spent, once on all nodes, by the transaction that makes the session."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.actions import entering, record_refusal
from service.actions.entering import From, Person, Refused, SignedIn
from service.actions.record_refusal import Keep
from service.engine.hub import Hub
from service.models import SignInLink, table_of
from service.security import browsers, console_session
from workflows.entry_terms import Way

__all__ = ["SignedIn", "sign_in"]

_LINKS = table_of(SignInLink)


async def sign_in(
    hub: Hub, presented: str, keep: Keep = record_refusal.record_sign_in, *, user_agent: str = ""
) -> SignedIn:
    """Spend the link that was presented and start a session.

    Raises ``Unauthenticated`` (``sign_in.refused``) for a link that is unknown, spent, too old or of a member that is
    not active: the caller is not told which, ``keep`` is, which makes it a fact on the node's chain.
    """
    digest = bytes.fromhex(console_session.link_digest(presented))
    source = From(Way.LINK, browsers.kind(user_agent))

    async def work(conn: AsyncConnection) -> SignedIn:
        if not hub.settings.sign_in_by_links:
            raise Refused("link.off")
        return await _spend(conn, digest, source)

    return await entering.run(hub, work, keep)


async def _spend(conn: AsyncConnection, digest: bytes, source: From) -> SignedIn:
    link = await _link(conn, digest)
    if link is None:
        raise Refused("link.unknown")
    log = await entering.lock(conn, link.tenant)
    if not console_session.link_is_alive(link.created_at, log.at):
        raise Refused("link.expired")
    # Whoever comes second waits for this row and then finds it used.
    spent = sa.update(_LINKS).where(_LINKS.c.digest == digest, _LINKS.c.used_at.is_(None)).values(used_at=log.at)
    if (await conn.execute(spent.returning(_LINKS.c.digest))).first() is None:
        raise Refused("link.spent")
    return await entering.start(conn, log, Person(link.person, link.tenant, link.role), source)


async def _link(conn: AsyncConnection, digest: bytes) -> sa.Row[Any] | None:
    return (await conn.execute(sa.select(_LINKS).where(_LINKS.c.digest == digest))).one_or_none()
