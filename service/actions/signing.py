"""Whether a person or a participant signed: the signature is checked against the registry and spent with its effect."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.iso20022.parse import Received
from adapters.iso20022.sign import SignatureInvalid
from service import errors
from service.engine import writer
from service.engine.hub import Hub
from service.engine.writer import IdentifierSpent, SingleUse
from service.models import PublicKey, table_of
from service.security import keyring, signatures
from service.security.principals import Principal
from service.security.signatures import Kind, SignatureRefused
from workflows.authority import AuthorityRefused
from workflows.terms import Fact

_KEYS = table_of(PublicKey)
_REGISTERED = sa.select(_KEYS).where(
    _KEYS.c.kid == sa.bindparam("named"),
    _KEYS.c.owner_kind == sa.bindparam("kind"),
    _KEYS.c.owner_id == sa.bindparam("owner"),
    _KEYS.c.tenant == sa.bindparam("of"),
    _KEYS.c.purpose == sa.bindparam("use"),
)
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
    _check_use(unverified.audience, unverified.signed_at, audience, now)
    if unverified.assertion is not None and unverified.assertion.origin != origin:
        raise SignatureRefused("origin")
    public = await _key(conn, unverified.kid, unverified.purpose, owner, now)
    signatures.verify(unverified, payload, public)
    await _spend(conn, unverified.kid, unverified.jti, unverified.signed_at)
    return Signed(unverified.kid, unverified.signed_at, text)


async def check_message(
    conn: AsyncConnection, received: Received, *, owner: Owner, audience: str, now: datetime
) -> None:
    """Check the signature inside an ISO 20022 message and spend the message's id, in the transaction of its effect.

    Raises SignatureRefused as ``check``; what a message is about and that its digest fits was read before.
    """
    _check_use(received.audience, received.signed_at, audience, now)
    public = await _key(conn, received.kid, "signature", owner, now)
    try:
        received.verify(public)
    except SignatureInvalid as invalid:
        raise SignatureRefused(invalid.reason) from None
    await _spend(conn, received.kid, received.id, received.signed_at)


async def refuse(
    hub: Hub,
    principal: Principal,
    refused: SignatureRefused | AuthorityRefused,
    chain: str,
    *,
    tenant: str | None = None,
    request_id: UUID | None = None,
    **data: Any,
) -> errors.Forbidden:
    """Keep why what somebody signed does not count, by his signature or by the rules of today, and return the error.

    It is a fact of ``chain``, with ``data`` and without the signature. ``tenant`` is whose chain that is, where it is
    not the caller's: who reads a chain of his own misses no fact of it.
    """
    said: dict[str, Any]
    if isinstance(refused, SignatureRefused):
        fact, said = Fact.SIGNATURE_REFUSED, {"reason": refused.reason}
        error = errors.Forbidden(f"signature.{refused.reason}")
    else:
        fact, said = Fact.AUTHORITY_REFUSED, {"rule": refused.rule, "params": refused.params}
        error = errors.Forbidden(f"authority.{refused.rule}", **dict[str, Any](refused.params))

    async def unit(conn: AsyncConnection) -> None:
        log = await writer.lock(conn, [chain])
        log.record(chain, fact, principal.actor(), tenant or principal.tenant, request_id=request_id, **said, **data)
        await log.flush()

    await hub.writer.run(unit, reach=principal.reach)
    return error


def _check_use(named: str | None, signed_at: datetime, audience: str, now: datetime) -> None:
    if named != audience:
        raise SignatureRefused("audience")
    if signed_at < now - signatures.OLDEST:
        raise SignatureRefused("old")
    if signed_at > now + signatures.AHEAD:
        raise SignatureRefused("ahead")


async def _spend(conn: AsyncConnection, kid: str, jti: str, signed_at: datetime) -> None:
    try:
        await writer.spend(conn, [SingleUse(f"signature:{kid}", jti, signed_at + _KEPT)])
    except IdentifierSpent:
        raise SignatureRefused("spent") from None


async def _key(conn: AsyncConnection, kid: str, purpose: str, owner: Owner, now: datetime) -> ec.EllipticCurvePublicKey:
    asked = {"named": kid, "kind": owner.kind, "owner": owner.id, "of": owner.tenant, "use": purpose}
    row = (await conn.execute(_REGISTERED, asked)).one_or_none()
    if row is None:
        raise SignatureRefused("key_unknown")
    if row.revoked_at is not None:
        raise SignatureRefused("key_revoked")
    if not row.not_before <= now < row.not_after:
        raise SignatureRefused("key_expired")
    public, _ = keyring.public_key(row.jwk)
    return public
