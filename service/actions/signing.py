"""Whether a person or a participant signed: the signature is checked against the registry and spent with its effect."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, errors
from service.audit import Log
from service.engine import writer
from service.engine.hub import Hub
from service.engine.writer import IdentifierSpent, SingleUse
from service.models import PublicKey, table_of
from service.security import keyring, signatures
from service.security.principals import Principal
from service.security.signatures import Kind, SignatureRefused, Unverified
from workflows.terms import Fact

_KEYS = table_of(PublicKey)
# A spent identifier is kept a minute longer than any clock could still take the signature.
_KEPT = signatures.OLDEST + signatures.AHEAD + signatures.AHEAD * 6


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose signature is wanted: ``kind`` is ``officer`` or ``participant``, ``tenant`` the member it belongs to."""

    kind: str
    id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that was good: with which key, when, and the text to keep."""

    kid: str
    signed_at: datetime
    text: str


async def check(
    conn: AsyncConnection,
    text: str | None,
    *,
    kind: Kind,
    payload: bytes,
    owner: Owner,
    about: str | None,
    audience: str,
    now: datetime,
    origin: str | None = None,
) -> Signed:
    """Check a signature over ``payload`` (canonical form) and spend it, in the transaction of its effect.

    ``audience`` is this hub's address, ``origin`` its own where a passkey may sign, None where it may not. Raises
    SignatureRefused: ``missing``, ``malformed``, ``algorithm``, ``type``, ``about`` (it belongs to another request,
    order or appeal), ``audience`` (it is for another hub, or names none), ``origin`` (a passkey's, made at another
    site), ``user_unverified``, ``old``, ``ahead``, ``key_unknown`` (no key of this owner), ``key_revoked``,
    ``key_expired``, ``invalid`` or ``spent``.
    """
    if not text:
        raise SignatureRefused("missing")
    unverified = signatures.read(text, kind)
    if unverified.about != about:
        raise SignatureRefused("about")
    if unverified.audience != audience:
        raise SignatureRefused("audience")
    if unverified.assertion is not None and unverified.assertion.origin != origin:
        raise SignatureRefused("origin")
    if unverified.signed_at < now - signatures.OLDEST:
        raise SignatureRefused("old")
    if unverified.signed_at > now + signatures.AHEAD:
        raise SignatureRefused("ahead")
    row = await _key(conn, unverified, owner)
    _check_validity(row, now)
    public, _ = keyring.public_key(row.jwk)
    signatures.verify(unverified, payload, public)
    single = SingleUse(f"signature:{unverified.kid}", unverified.jti, unverified.signed_at + _KEPT)
    try:
        await writer.spend(conn, [single])
    except IdentifierSpent:
        raise SignatureRefused("spent") from None
    return Signed(unverified.kid, unverified.signed_at, text)


async def refuse(
    hub: Hub,
    principal: Principal,
    refused: SignatureRefused,
    chain: str,
    *,
    request_id: UUID | None = None,
    **data: Any,
) -> errors.Forbidden:
    """Keep a refused signature as a fact of ``chain``, without the signature, and return the error to raise."""

    async def unit(conn: AsyncConnection) -> None:
        log = await Log.open(conn, await db.now(conn), [chain])
        log.record(
            chain,
            Fact.SIGNATURE_REFUSED,
            principal.actor(),
            principal.tenant,
            request_id=request_id,
            reason=refused.reason,
            **data,
        )
        await log.flush()

    await hub.writer.run(unit, reach=principal.reach)
    return errors.Forbidden(f"signature.{refused.reason}")


async def _key(conn: AsyncConnection, unverified: Unverified, owner: Owner) -> sa.Row[Any]:
    query = sa.select(_KEYS).where(
        _KEYS.c.kid == unverified.kid,
        _KEYS.c.owner_kind == owner.kind,
        _KEYS.c.owner_id == owner.id,
        _KEYS.c.tenant == owner.tenant,
        _KEYS.c.purpose == unverified.purpose,
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise SignatureRefused("key_unknown")
    return row


def _check_validity(row: sa.Row[Any], now: datetime) -> None:
    if row.revoked_at is not None:
        raise SignatureRefused("key_revoked")
    if not row.not_before <= now < row.not_after:
        raise SignatureRefused("key_expired")
