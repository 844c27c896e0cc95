"""A person signs in to the console whom the identity provider vouches for, and whom an administrator linked."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.actions import entering
from service.actions.entering import From, Person, Refused, SignedIn
from service.actions.record_refusal import Keep
from service.engine.hub import Hub
from service.models import ProviderLink, table_of
from service.security.trips import Trip
from workflows.entry_terms import Way

_LINKS = table_of(ProviderLink)


async def sign_in(
    hub: Hub, trip: Trip, keep: Keep, *, issuer: str, name: str, subject: str, session: str | None, browser: str
) -> SignedIn:
    """Start a session for whom ``name`` at ``issuer`` was linked to, and spend the browser's ``trip`` with it.

    ``subject`` and ``session`` are how the provider will name it when it ends. Nobody gets an account by signing in:
    the role is the link's, never the token's. Raises ``Unauthenticated`` as signing in by a link does.
    """
    source = From(
        Way.PROVIDER,
        browser,
        provider_session=digest(issuer, "sid", session) if session else None,
        provider_subject=digest(issuer, "sub", subject),
    )
    linked = digest(issuer, "person", name)

    async def work(conn: AsyncConnection) -> SignedIn:
        link = (await conn.execute(sa.select(_LINKS).where(_LINKS.c.digest == linked))).one_or_none()
        if link is None:
            raise Refused("provider.unlinked")
        log = await entering.lock(conn, link.tenant)
        # Under the lock again: an administrator may have taken the link away meanwhile.
        link = (await conn.execute(sa.select(_LINKS).where(_LINKS.c.digest == linked))).one_or_none()
        if link is None:
            raise Refused("provider.unlinked")
        return await entering.start(conn, log, Person(link.person, link.tenant, link.role), source)

    return await entering.run(hub, work, keep, (trip.single,))


def digest(issuer: str, what: str, value: str) -> bytes:
    """Return how somebody or something of a provider's is kept: not by its name, and never as another kind of thing."""
    text = b"\x00".join((b"hoatoc provider", what.encode(), issuer.encode(), value.encode("utf-8", "surrogatepass")))
    return hashlib.sha256(text).digest()
