"""What every way to sign in shares: the member is looked at under its lock, a session is made, and it is a fact."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import changes
from service.actions.changes import Change
from service.actions.record_refusal import Keep
from service.audit import Log
from service.engine.hub import Hub
from service.engine.writer import IdentifierSpent
from service.models import ConsoleSession, Participant, table_of
from service.queries import sessions
from service.security import console_session, scopes
from service.security.console_session import SessionToken
from service.security.scopes import RoleNotAllowed
from service.security.single_use import SingleUse
from workflows.entry_terms import Way
from workflows.terms import Actor, ActorKind, Fact, Role

_SESSIONS = table_of(ConsoleSession)
_PARTICIPANTS = table_of(Participant)


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to sit at the console: an id of that member's people, and as what."""

    id: str
    tenant: str
    role: Role


async def check(change: Change, person: str, role: Role) -> None:
    """Refuse a way in for somebody whom ``start`` would refuse: whoever gives it is told why, and on which field.

    Raises ``NotFound``, ``InvalidInput`` for a role that is not for the sector, ``Conflict`` for a member not active
    and for an officer who does not serve.
    """
    member = await changes.participant(change)
    if member.status != "active":
        raise errors.Conflict("participant.not_active")
    try:
        scopes.check(role, member.sector)
    except RoleNotAllowed:
        raise errors.InvalidInput.of("/role", "role.not_for_sector", sector=str(member.sector)) from None
    if not await sessions.may_sit(change.conn, change.tenant, person, change.at):
        raise errors.Conflict("officer.inactive")


def note_way(log: Log, fact: Fact, actor: Actor, tenant: str, person: str, way: Way) -> None:
    """Record that a person got a way to sign in, or lost it, on the member's chain, which the caller has locked."""
    log.record(audit.tenant_chain(tenant), fact, actor, tenant, person=person, way=str(way))


@dataclass(frozen=True, slots=True)
class From:
    """Where a session is to live: the way in, the kind of browser, and how the provider will name it when it ends."""

    way: Way
    browser: str
    provider_session: bytes | None = field(default=None, repr=False)
    provider_subject: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the token for the cookie, whose it is and when it ends at the latest."""

    session: SessionToken
    id: UUID
    person: str
    tenant: str
    role: Role
    expires_at: datetime


class Refused(Exception):
    """A sign-in is not made: why is kept as a fact, and never told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def run(
    hub: Hub,
    work: Callable[[AsyncConnection], Awaitable[SignedIn]],
    keep: Keep,
    singles: tuple[SingleUse, ...] = (),
) -> SignedIn:
    """Sign in by ``work`` in one transaction, with ``singles``. Raises ``Unauthenticated``; ``keep`` is told why."""
    try:
        return await hub.writer.run(work, singles, reach=db.HUB)
    except Refused as refused:
        reason = refused.reason
    except IdentifierSpent:
        reason = "trip.spent"
    await keep(hub, reason)
    raise errors.Unauthenticated("sign_in.refused") from None


async def lock(conn: AsyncConnection, tenant: str) -> Log:
    """Lock the member's chain and return its log: what is read behind it cannot change any more."""
    return await Log.open(conn, None, [audit.tenant_chain(tenant)])


async def start(conn: AsyncConnection, log: Log, person: Person, source: From) -> SignedIn:
    """Start a session of a person who showed who he is, under the lock of the member's chain.

    Raises ``Refused`` where the member is not active, the role not for its sector, or the officer does not serve.
    """
    member = (await conn.execute(sa.select(_PARTICIPANTS).where(_PARTICIPANTS.c.id == person.tenant))).one()
    if member.status != "active":
        raise Refused("participant.not_active")
    try:
        scopes.check(person.role, member.sector)
    except RoleNotAllowed:
        raise Refused("role.not_for_sector") from None
    if not await sessions.may_sit(conn, person.tenant, person.id, log.at):
        raise Refused("officer.inactive")
    session, digest = console_session.new_session_token()
    session_id = uuid4()
    expires_at = log.at + console_session.SESSION_LIFETIME
    row = {
        "digest": bytes.fromhex(digest),
        "id": session_id,
        "tenant": person.tenant,
        "person": person.id,
        "role": person.role,
        "way": source.way,
        "browser": source.browser,
        "provider_session": source.provider_session,
        "provider_subject": source.provider_subject,
        "started_at": log.at,
        "seen_at": log.at,
        "expires_at": expires_at,
    }
    await conn.execute(sa.insert(_SESSIONS).values(row))
    actor = Actor(ActorKind.PERSON, person.id, person.tenant)
    chain = audit.tenant_chain(person.tenant)
    log.record(chain, Fact.SIGN_IN_DONE, actor, person.tenant, role=str(person.role), way=str(source.way))
    await log.flush()
    return SignedIn(session, session_id, person.id, person.tenant, person.role, expires_at)
