"""A person signs in to the console: the link is spent, once on all nodes, by the transaction that makes the session."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import record_refusal
from service.actions.record_refusal import Keep
from service.audit import Log
from service.engine.hub import Hub
from service.models import ConsoleSession, Participant, SignInLink, table_of
from service.security import console_session
from service.security.console_session import SessionToken
from workflows.terms import Actor, ActorKind, Fact, Role

_LINKS = table_of(SignInLink)
_SESSIONS = table_of(ConsoleSession)
_PARTICIPANTS = table_of(Participant)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the token for the cookie, whose it is and when it ends at the latest."""

    session: SessionToken
    person: str
    tenant: str
    role: Role
    expires_at: datetime


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def sign_in(hub: Hub, presented: str, keep: Keep = record_refusal.record_sign_in) -> SignedIn:
    """Spend the link that was presented and start a session.

    Raises ``Unauthenticated`` (``sign_in.refused``) for a link that is unknown, spent, too old or of a member that is
    not active: the caller is not told which, ``keep`` is, which makes it a fact on the node's chain.
    """
    digest = bytes.fromhex(console_session.link_digest(presented))
    try:
        return await hub.writer.run(lambda conn: _spend(conn, digest), reach=db.HUB)
    except _Refused as refused:
        await keep(hub, refused.reason)
        raise errors.Unauthenticated("sign_in.refused") from None


async def _spend(conn: AsyncConnection, digest: bytes) -> SignedIn:
    link = await _link(conn, digest)
    if link is None:
        raise _Refused("link.unknown")
    chain = audit.tenant_chain(link.tenant)
    log = await Log.open(conn, await db.now(conn), [chain])
    # Read again under the lock: the member may have been suspended meanwhile.
    link = await _link(conn, digest)
    if link is None or link.status != "active":
        raise _Refused("participant.not_active")
    if not console_session.link_is_alive(link.created_at, log.at):
        raise _Refused("link.expired")
    # Whoever comes second waits for this row and then finds it used.
    spent = sa.update(_LINKS).where(_LINKS.c.digest == digest, _LINKS.c.used_at.is_(None)).values(used_at=log.at)
    if (await conn.execute(spent.returning(_LINKS.c.digest))).first() is None:
        raise _Refused("link.spent")
    session, session_digest = console_session.new_session_token()
    expires_at = log.at + console_session.SESSION_LIFETIME
    row = {
        "digest": bytes.fromhex(session_digest),
        "tenant": link.tenant,
        "person": link.person,
        "role": link.role,
        "started_at": log.at,
        "seen_at": log.at,
        "expires_at": expires_at,
    }
    await conn.execute(sa.insert(_SESSIONS).values(row))
    actor = Actor(ActorKind.PERSON, link.person, link.tenant)
    log.record(chain, Fact.SIGN_IN_DONE, actor, link.tenant, role=str(link.role))
    await log.flush()
    return SignedIn(session, link.person, link.tenant, link.role, expires_at)


async def _link(conn: AsyncConnection, digest: bytes) -> sa.Row[Any] | None:
    query = (
        sa.select(_LINKS, _PARTICIPANTS.c.status)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _LINKS.c.tenant)
        .where(_LINKS.c.digest == digest)
    )
    return (await conn.execute(query)).one_or_none()
