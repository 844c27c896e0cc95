"""Whether a person or a participant signed: the signature is checked against the registry and spent with its effect."""

import contextlib
from collections.abc import Mapping
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
# Whose key it is that a signature names: ``wanted`` are its parameters.
IS_HIS = sa.and_(
    _KEYS.c.kid == sa.bindparam("named"),
    _KEYS.c.owner_kind == sa.bindparam("kind"),
    _KEYS.c.owner_id == sa.bindparam("owner"),
    _KEYS.c.tenant == sa.bindparam("of"),
    _KEYS.c.purpose == sa.bindparam("use"),
)
_REGISTERED = sa.select(_KEYS).where(IS_HIS)
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
    """A signature that was good: with which key, when, the text to keep, and what is to be spent with its effect."""

    kid: str
    signed_at: datetime
    text: str
    single: SingleUse


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

    Raises as ``judge``, and ``spent``.
    """
    row = (await conn.execute(_REGISTERED, wanted(text, kind, owner))).one_or_none()
    registered = None if row is None else row._asdict()
    signed = judge(text, registered, kind=kind, payload=payload, about=about, audience=audience, now=now, origin=origin)
    await _spend(conn, signed.single)
    return signed


def wanted(text: str | None, kind: Kind, owner: Owner) -> dict[str, str]:
    """Return the parameters of the question which registered key of its owner a signature names; nobody trusts it."""
    named, purpose = "", "signature"
    with contextlib.suppress(SignatureRefused):
        unverified = signatures.read(text or "", kind)
        named, purpose = unverified.kid, unverified.purpose
    return _asked(named, purpose, owner)


def judge(
    text: str | None,
    registered: Mapping[str, Any] | None,
    *,
    kind: Kind,
    payload: bytes,
    about: str | None,
    audience: str,
    now: datetime,
    origin: str | None = None,
) -> Signed:
    """Check a signature over ``payload`` (canonical form) with the row of the key that it names, if there is one.

    ``audience`` is this hub's address, ``origin`` its own where a passkey may sign, None where it may not. The caller
    spends ``single``. Raises SignatureRefused: ``missing``, ``malformed``, ``algorithm``, ``type``, ``about`` (it
    belongs to another request, order or appeal), ``audience`` (it is for another hub, or names none), ``origin`` (a
    passkey's, made at another site), ``user_unverified``, ``old``, ``ahead``, ``key_unknown`` (no key of this owner),
    ``key_revoked``, ``key_expired`` or ``invalid``.
    """
    if not text:
        raise SignatureRefused("missing")
    unverified = signatures.read(text, kind)
    if unverified.about != about:
        raise SignatureRefused("about")
    _check_use(unverified.audience, unverified.signed_at, audience, now)
    if unverified.assertion is not None and unverified.assertion.origin != origin:
        raise SignatureRefused("origin")
    public = _in_force(registered, now)
    signatures.verify(unverified, payload, public)
    return Signed(
        unverified.kid, unverified.signed_at, text, _single(unverified.kid, unverified.jti, unverified.signed_at)
    )


async def check_message(
    conn: AsyncConnection, received: Received, *, owner: Owner, audience: str, now: datetime
) -> None:
    """Check the signature inside an ISO 20022 message and spend the message's id, in the transaction of its effect.

    Raises SignatureRefused as ``check``; what a message is about and that its digest fits was read before.
    """
    _check_use(received.audience, received.signed_at, audience, now)
    row = (await conn.execute(_REGISTERED, _asked(received.kid, "signature", owner))).one_or_none()
    public = _in_force(None if row is None else row._asdict(), now)
    try:
        received.verify(public)
    except SignatureInvalid as invalid:
        raise SignatureRefused(invalid.reason) from None
    await _spend(conn, _single(received.kid, received.id, received.signed_at))


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


async def _spend(conn: AsyncConnection, single: SingleUse) -> None:
    try:
        await writer.spend(conn, [single])
    except IdentifierSpent:
        raise SignatureRefused("spent") from None


def _single(kid: str, jti: str, signed_at: datetime) -> SingleUse:
    return SingleUse(f"signature:{kid}", jti, signed_at + _KEPT)


def _asked(kid: str, purpose: str, owner: Owner) -> dict[str, str]:
    return {"named": kid, "kind": owner.kind, "owner": owner.id, "of": owner.tenant, "use": purpose}


def _in_force(registered: Mapping[str, Any] | None, now: datetime) -> ec.EllipticCurvePublicKey:
    if registered is None:
        raise SignatureRefused("key_unknown")
    if registered["revoked_at"] is not None:
        raise SignatureRefused("key_revoked")
    if not registered["not_before"] <= now < registered["not_after"]:
        raise SignatureRefused("key_expired")
    public, _ = keyring.public_key(registered["jwk"])
    return public
