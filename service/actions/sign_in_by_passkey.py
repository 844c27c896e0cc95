"""A person signs in to the console with a passkey of his own: its signature is checked, and its counter moves on."""

from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.actions import entering
from service.actions.entering import From, Person, Refused, SignedIn
from service.actions.record_refusal import Keep
from service.engine.hub import Hub
from service.models import ConsolePasskey, table_of
from service.security import keyring, passkeys
from service.security.passkeys import AssertionRefused
from service.security.trips import Trip
from workflows.entry_terms import Way

_PASSKEYS = table_of(ConsolePasskey)
_COUNTER = slice(33, 37)


async def sign_in(
    hub: Hub, trip: Trip, keep: Keep, *, credential_id: str, said: bytes, signature: bytes, browser: str
) -> SignedIn:
    """Start a session of whose passkey signed the ``trip``'s challenge, which is spent with it.

    ``said`` is the authenticator data (37 bytes) and the client data behind it, ``signature`` as the authenticator
    wrote it (DER). Raises ``Unauthenticated`` as signing in by a link does; why is kept: ``passkey.unknown``,
    ``passkey.<what is wrong with the assertion>``, ``passkey.copied`` where the counter did not move on.
    """

    async def work(conn: AsyncConnection) -> SignedIn:
        if not hub.settings.takes_passkeys:
            raise Refused("passkey.off")
        row = await _row(conn, credential_id)
        if row is None:
            raise Refused("passkey.unknown")
        log = await entering.lock(conn, row.tenant)
        # Under the lock again: it may have been removed, or used, meanwhile.
        row = await _row(conn, credential_id)
        if row is None:
            raise Refused("passkey.unknown")
        counter = _verified(hub, row, trip, said, signature)
        # Section 6.1.1: one that counts and does not count on has been copied. One that never counts stays at 0.
        if (counter or row.counter) and counter <= row.counter:
            raise Refused("passkey.copied")
        used = sa.update(_PASSKEYS).where(_PASSKEYS.c.id == row.id).values(counter=counter, used_at=log.at)
        await conn.execute(used)
        return await entering.start(conn, log, Person(row.person, row.tenant, row.role), From(Way.PASSKEY, browser))

    return await entering.run(hub, work, keep, (trip.single,))


def _verified(hub: Hub, row: sa.Row[Any], trip: Trip, said: bytes, signature: bytes) -> int:
    """Return the counter under a good signature for this hub's own page. Raises ``Refused``."""
    public, _ = keyring.public_key(row.jwk)
    try:
        assertion = passkeys.read(said)
        if assertion.origin != passkeys.origin_of(hub.settings.address):
            raise Refused("passkey.origin")
        public.verify(signature, passkeys.signed_bytes(assertion, trip.challenge), ec.ECDSA(hashes.SHA256()))
    except AssertionRefused as refused:
        raise Refused(f"passkey.{refused.reason}") from None
    except InvalidSignature:
        raise Refused("passkey.invalid") from None
    return int.from_bytes(assertion.data[_COUNTER])


async def _row(conn: AsyncConnection, credential_id: str) -> sa.Row[Any] | None:
    found = await conn.execute(sa.select(_PASSKEYS).where(_PASSKEYS.c.credential_id == credential_id))
    return found.one_or_none()
