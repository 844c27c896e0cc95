"""A person who has just signed in makes a passkey to sign in with from now on, or removes one."""

from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.actions import entering, standing
from service.engine.hub import Hub
from service.engine.writer import IdentifierSpent
from service.models import ConsolePasskey, ConsoleSession, table_of
from service.queries import visibility
from service.queries.sessions import Seat
from service.security import passkeys
from service.security.passkey_making import Made
from service.security.principals import Principal
from service.security.trips import Trip
from workflows.entry_terms import Way
from workflows.terms import Fact

_PASSKEYS = table_of(ConsolePasskey)
_SESSIONS = table_of(ConsoleSession)
MOST = 10


async def enroll(hub: Hub, seat: Seat, made: Made, trip: Trip) -> UUID:
    """Keep the passkey, for this person and role, and spend the ``trip`` whose challenge it answered.

    Raises ``Conflict``: ``passkey.off``, ``passkey.session_old`` for a session that began longer ago than a link lives
    (a cookie that somebody found must not become a key of his own), ``passkey.taken``, ``passkey.too_many``.
    """
    check(hub, seat)
    principal = seat.principal
    passkey_id = uuid4()

    async def unit(conn: AsyncConnection) -> UUID:
        log = await entering.lock(conn, principal.tenant)
        await standing.check(conn, principal)
        # Who was sent home meanwhile, for good perhaps, makes no key to come back with.
        open_still = sa.select(_SESSIONS.c.id).where(_SESSIONS.c.id == seat.id, _SESSIONS.c.revoked_at.is_(None))
        if (await conn.execute(open_still)).first() is None:
            raise standing.Fallen
        mine = sa.select(sa.func.count()).select_from(_PASSKEYS).where(visibility.passkeys(principal))
        if (await conn.execute(mine)).scalar_one() >= MOST:
            raise errors.Conflict("passkey.too_many", most=MOST)
        known = sa.select(_PASSKEYS.c.id).where(_PASSKEYS.c.credential_id == made.credential_id)
        if (await conn.execute(known)).first() is not None:
            raise errors.Conflict("passkey.taken")
        row = {
            "id": passkey_id,
            "credential_id": made.credential_id,
            "tenant": principal.tenant,
            "person": principal.client_id,
            "role": seat.role,
            "jwk": made.jwk,
            "counter": made.counter,
            "browser": seat.browser,
            "created_at": log.at,
        }
        await conn.execute(sa.insert(_PASSKEYS).values(row))
        entering.note_way(
            log, Fact.SIGN_IN_WAY_ADDED, principal.actor(), principal.tenant, principal.client_id, Way.PASSKEY
        )
        await log.flush()
        return passkey_id

    try:
        return await hub.writer.run(unit, (trip.single,), reach=principal.reach)
    except standing.Fallen:
        raise errors.Unauthenticated("token.refused") from None
    except IdentifierSpent:
        raise errors.Conflict("passkey.again") from None


def check(hub: Hub, seat: Seat) -> None:
    """Refuse where no passkey can be made now. Raises ``Conflict``."""
    if not hub.settings.takes_passkeys or passkeys.site_of(hub.settings.address) is None:
        raise errors.Conflict("passkey.off")
    if not seat.is_fresh:
        raise errors.Conflict("passkey.session_old")


async def remove(hub: Hub, principal: Principal, passkey_id: UUID) -> None:
    """Remove one of the caller's passkeys; what it opened stays open. Raises ``NotFound`` for another's."""

    async def unit(conn: AsyncConnection) -> None:
        log = await entering.lock(conn, principal.tenant)
        await standing.check(conn, principal)
        mine = (_PASSKEYS.c.id == passkey_id, visibility.passkeys(principal))
        if (await conn.execute(sa.delete(_PASSKEYS).where(*mine))).rowcount == 0:
            raise errors.NotFound
        entering.note_way(
            log, Fact.SIGN_IN_WAY_REMOVED, principal.actor(), principal.tenant, principal.client_id, Way.PASSKEY
        )
        await log.flush()

    await standing.run(hub, principal, unit)
