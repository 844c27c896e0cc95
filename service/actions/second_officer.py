"""Whether a second officer's yes counts: who he is, whether the first one still may, and what exactly he signed."""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.actions import officers, signing
from service.actions.signing import Owner
from service.engine import dossier
from service.engine.dossier import Dossier
from service.models import Approval, PublicKey, table_of
from service.security import keyring, passkeys, signatures
from service.security.signatures import Kind, SignatureRefused
from workflows import authority
from workflows.authority_rules import AgencyLevel, AuthorityRule, Power, Rank
from workflows.terms import Action

_KEYS = table_of(PublicKey)
_APPROVALS = table_of(Approval)


async def check(
    conn: AsyncConnection,
    found: Dossier,
    officer_id: str,
    raw: bytes,
    signature: str | None,
    kind: Kind,
    now: datetime,
    *,
    address: str,
) -> None:
    """Check an approval or a review (``kind``) of a request and spend its signature.

    ``found`` was read under the lock of its chain, ``raw`` are the bytes that the first officer signed, ``address`` is
    this hub's, for which, and at whose pages by a passkey, he must have signed. Raises
    ``AuthorityRefused``, ``SignatureRefused``, ``InvalidInput`` for an officer that this agency does not have.
    """
    second: Any = await officers.officer(conn, found.tenant, officer_id)
    if second.id == found.request["officer_id"]:
        raise authority.AuthorityRefused("same_officer", {})
    # Whom and what it holds: an extension holds what its original does.
    hold = await _hold(conn, found)
    check_pair(found, hold, raw, second, now)
    payload = signatures.canonical(raw)
    signed = await signing.check(
        conn,
        signature,
        kind=kind,
        payload=payload,
        owner=Owner("officer", officer_id, found.tenant),
        about=str(found.id),
        audience=address,
        now=now,
        origin=passkeys.origin_of(address),
    )
    await _check_first_signature(conn, found, payload, signed.kid)


def check_pair(found: Dossier, hold: dossier.Row, raw: bytes, second: Any, now: datetime) -> None:
    """Ask today's rules whether the officer of ``found`` may order it, and whether ``second`` may approve it.

    ``raw`` is the request as it was filed. Raises ``AuthorityRefused``.
    """
    _check_first(found, hold, raw, now)
    _check_second(found, hold, second, now)


async def check_again(conn: AsyncConnection, found: Dossier, raw: bytes, now: datetime) -> AuthorityRule:
    """Ask again about all who signed a request that was held since, and return the rule by which it may go out today.

    No signature is made anew: each one that there is must be of an officer who may still give it, by a key that nobody
    revoked. Raises as ``check`` does.
    """
    hold = await _hold(conn, found)
    rule = _check_first(found, hold, raw, now)
    payload = signatures.canonical(raw)
    query = sa.select(_APPROVALS).where(_APPROVALS.c.request_id == found.id, _APPROVALS.c.kind == "approval")
    approval = (await conn.execute(query)).one_or_none()
    if approval is None:
        await _check_first_signature(conn, found, payload, None)
        return rule
    second: Any = await officers.officer(conn, found.tenant, approval.officer_id)
    _check_second(found, hold, second, now)
    kid = signatures.read(approval.signature, Kind.APPROVAL).kid
    await _check_first_signature(conn, found, payload, kid)
    await _unrevoked(conn, kid)
    return rule


async def _hold(conn: AsyncConnection, found: Dossier) -> dossier.Row:
    original_id = found.request["original_id"]
    if original_id is None:
        return found.request
    return (await dossier.load(conn, [original_id]))[original_id].request


def _check_first(found: Dossier, hold: dossier.Row, raw: bytes, now: datetime) -> AuthorityRule:
    """Ask the rules of today about the first officer again: one who may not order this any more is not a signature."""
    request, first, agency = found.request, found.officer, found.agency
    province = json.loads(raw).get("province_code")
    return authority.check_again(
        authority.Demand(
            action=request["action"],
            basis=request["legal_basis"],
            target_kinds=frozenset(target["kind"] for target in found.targets.values()),
            amount=hold["amount"],
            whole_account=hold["whole_account"],
            rank=Rank(first["rank"]),
            powers=frozenset(Power(power) for power in first["powers"]),
            agency_level=AgencyLevel(agency["level"] or AgencyLevel.WARD),
            agency_province=agency["province_code"],
            target_provinces=frozenset({province} if province else ()),
            officer_active=authority.is_serving(first["active"], first["appointed_until"], now),
            starts_at=hold["starts_at"] if request["action"] is Action.EXTEND else request["starts_at"],
            ends_at=request["ends_at"],
            now=now,
            urgency=request["urgency"],
        )
    )


def _check_second(found: Dossier, hold: dossier.Row, second: Any, now: datetime) -> None:
    authority.check_approver(
        found.request["legal_basis"],
        rank=Rank(second.rank),
        powers=frozenset(Power(power) for power in second.powers),
        officer_active=authority.is_serving(second.active, second.appointed_until, now),
        whole_account=hold["whole_account"],
        now=now,
    )


async def _check_first_signature(conn: AsyncConnection, found: Dossier, payload: bytes, second: str | None) -> None:
    """Hold the first officer's signature against the very bytes that the second one, with key ``second``, signed."""
    filed = found.request["signature"]
    if filed is None:
        # It was filed before officers signed; two signatures it can never have.
        raise SignatureRefused("missing")
    first = signatures.read(filed, Kind.REQUEST)
    if second == first.kid:
        raise SignatureRefused("same_key")
    public, _ = keyring.public_key(await _unrevoked(conn, first.kid))
    signatures.verify(first, payload, public)


async def _unrevoked(conn: AsyncConnection, kid: str) -> dict[str, Any]:
    """Return a key that signed: one that has run out since was good then, a revoked one was perhaps anybody's."""
    key: Any = (await conn.execute(sa.select(_KEYS).where(_KEYS.c.kid == kid))).one()
    if key.revoked_at is not None:
        raise SignatureRefused("key_revoked")
    return dict(key.jwk)
