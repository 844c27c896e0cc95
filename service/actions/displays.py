"""A screen on a wall: a coordinator prepares it with a code, somebody types the code there, a coordinator ends it."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import entering, standing
from service.actions.entering import Refused
from service.actions.record_refusal import Keep
from service.audit import Log
from service.engine.hub import Hub
from service.models import Display, table_of
from service.queries import displays, visibility
from service.security import console_session
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import Actor, ActorKind, Fact

_DISPLAYS = table_of(Display)
MOST = 50
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Prepared:
    """The code to type at the screen, shown this once, and until when it can be typed."""

    id: UUID
    code: str = field(repr=False)
    ends_at: datetime


async def prepare(hub: Hub, principal: Principal, name: str) -> Prepared:
    """Make a code for a screen that hangs at ``name``. Raises ``InvalidInput``, and ``Conflict`` for one too many."""
    principal.require(Scope.TASKS_RESOLVE)
    named = " ".join(name.split())
    if not named:
        raise errors.InvalidInput.of("/name", "field.missing")
    if len(named) > LONGEST_NAME:
        raise errors.InvalidInput.of("/name", "field.too_long", max=LONGEST_NAME)
    code, digest = console_session.new_code()
    display_id = uuid4()

    async def unit(conn: AsyncConnection) -> Prepared:
        log = await entering.lock(conn, principal.tenant)
        await standing.check(conn, principal)
        if len(await displays.listed(conn, principal, log.at)) >= MOST:
            raise errors.Conflict("display.too_many", most=MOST)
        ends_at = log.at + console_session.CODE_LIFETIME
        row = {
            "id": display_id,
            "tenant": principal.tenant,
            "name": named,
            "created_by": principal.client_id,
            "created_at": log.at,
            "code_digest": bytes.fromhex(digest),
            "code_ends_at": ends_at,
            "ends_at": log.at + console_session.DISPLAY_LIFETIME,
        }
        await conn.execute(sa.insert(_DISPLAYS).values(row))
        _note(log, Fact.DISPLAY_PREPARED, principal.actor(), principal.tenant, display_id)
        await log.flush()
        return Prepared(display_id, code, ends_at)

    return await standing.run(hub, principal, unit)


async def pair(hub: Hub, code: str, keep: Keep, *, browser: str) -> str:
    """Spend a code that was typed at a screen, and return the token for its cookie.

    Raises ``Unauthenticated`` for a code that is unknown, spent or too old; which it was is kept and not told.
    """
    typed = bytes.fromhex(console_session.code_digest(code))
    token, digest = console_session.new_display_token()

    async def unit(conn: AsyncConnection) -> str:
        query = sa.select(_DISPLAYS.c.id, _DISPLAYS.c.tenant).where(_DISPLAYS.c.code_digest == typed)
        row = (await conn.execute(query)).one_or_none()
        if row is None:
            raise Refused("display.unknown")
        log = await entering.lock(conn, row.tenant)
        paired = (
            sa.update(_DISPLAYS)
            .where(
                _DISPLAYS.c.code_digest == typed, _DISPLAYS.c.code_ends_at > log.at, _DISPLAYS.c.revoked_at.is_(None)
            )
            .values(code_digest=None, digest=bytes.fromhex(digest), browser=browser, paired_at=log.at, seen_at=log.at)
        )
        if (await conn.execute(paired)).rowcount == 0:
            raise Refused("display.expired")
        _note(log, Fact.DISPLAY_PAIRED, Actor(ActorKind.PERSON, f"display-{row.id}", row.tenant), row.tenant, row.id)
        await log.flush()
        return token

    try:
        return await hub.writer.run(unit, reach=db.HUB)
    except Refused as refused:
        reason = refused.reason
    await keep(hub, reason)
    raise errors.Unauthenticated("display.refused")


async def end(hub: Hub, principal: Principal, display_id: UUID) -> None:
    """End a screen, or void its code. Raises ``NotFound`` for one that is unknown, another's or over."""
    principal.require(Scope.TASKS_RESOLVE)

    async def unit(conn: AsyncConnection) -> None:
        log = await entering.lock(conn, principal.tenant)
        await standing.check(conn, principal)
        here = (visibility.displays(principal), _DISPLAYS.c.id == display_id, _DISPLAYS.c.revoked_at.is_(None))
        ended = sa.update(_DISPLAYS).where(*here).values(revoked_at=log.at, code_digest=None)
        if (await conn.execute(ended)).rowcount == 0:
            raise errors.NotFound
        _note(log, Fact.DISPLAY_ENDED, principal.actor(), principal.tenant, display_id)
        await log.flush()

    await standing.run(hub, principal, unit)


async def note(hub: Hub, display_id: UUID, seen_at: datetime) -> None:
    """Keep when a screen was last seen; it prolongs nothing."""

    async def unit(conn: AsyncConnection) -> None:
        here = (_DISPLAYS.c.id == display_id, _DISPLAYS.c.seen_at < seen_at)
        await conn.execute(sa.update(_DISPLAYS).where(*here).values(seen_at=seen_at))

    await hub.writer.run(unit, reach=db.HUB)


def _note(log: Log, fact: Fact, actor: Actor, tenant: str, display_id: UUID) -> None:
    log.record(audit.tenant_chain(tenant), fact, actor, tenant, display_id=str(display_id))
