"""A signature key is registered: an officer's, or the one that a participant signs its answers with."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service import errors
from service.actions import changes
from service.actions.changes import Change
from service.actions.enroll_client import LONGEST_VALIDITY
from service.engine.hub import Hub
from service.models import Officer, PublicKey, table_of
from service.schemas.registry import KeyEnrolled, NewKey
from service.security import keyring
from service.security.keyring import KeyUnfit
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import Sector

_OFFICERS = table_of(Officer)
_KEYS = table_of(PublicKey)


async def enroll(hub: Hub, principal: Principal, participant_id: str, body: NewKey) -> KeyEnrolled:
    """Register the public half of a signature key, for a year at most; the owner's other keys stay valid.

    The hub's administrators alone may: an agency that registered its own officers' keys could sign as two of them.
    Raises ``NotFound``, ``InvalidInput`` (key, officer), ``Conflict`` when the key is another's or was revoked.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> KeyEnrolled:
        row = await changes.participant(change)
        if row.sector is Sector.AGENCY:
            owner = ("officer", await _officer(change, body))
        elif body.officer_id is not None:
            raise errors.InvalidInput.of("/officer_id", "officer.unknown")
        else:
            owner = ("participant", participant_id)
        kid = _thumbprint(body)
        not_after = _end(body, change.at)
        await _write(change, body, kid, owner, not_after)
        change.note("key.enrolled", kid=kid, owner_kind=owner[0], owner_id=owner[1])
        return KeyEnrolled(kid=kid, participant_id=participant_id, officer_id=body.officer_id, not_after=not_after)

    return await changes.run(hub, principal, participant_id, work)


async def _officer(change: Change, body: NewKey) -> str:
    if body.officer_id is None:
        raise errors.InvalidInput.of("/officer_id", "field.missing")
    query = sa.select(_OFFICERS.c.id).where(_OFFICERS.c.id == body.officer_id, _OFFICERS.c.tenant == change.tenant)
    if (await change.conn.execute(query)).first() is None:
        raise errors.InvalidInput.of("/officer_id", "officer.unknown")
    return body.officer_id


def _thumbprint(body: NewKey) -> str:
    members = body.key.model_dump(exclude_none=True)
    try:
        _, kid = keyring.public_key(members)
    except KeyUnfit as unfit:
        raise errors.InvalidInput.of("/key", unfit.code) from None
    if members.get("kid", kid) != kid:
        raise errors.InvalidInput.of("/key/kid", "key.kid")
    return kid


def _end(body: NewKey, now: datetime) -> datetime:
    latest = now + LONGEST_VALIDITY
    not_after = body.not_after or latest
    if not now < not_after <= latest:
        raise errors.InvalidInput.of("/not_after", "key.validity", latest=latest.isoformat())
    return not_after


async def _write(change: Change, body: NewKey, kid: str, owner: tuple[str, str], not_after: datetime) -> None:
    known: Any = (await change.conn.execute(sa.select(_KEYS).where(_KEYS.c.kid == kid))).one_or_none()
    if known is not None:
        is_theirs = (known.tenant, known.owner_kind, known.owner_id) == (change.tenant, *owner)
        # A passkey signs as one and nothing else does: what a key is, it stays.
        if not is_theirs or known.credential_id != body.credential_id or known.revoked_at is not None:
            raise errors.Conflict("key.taken")
        await change.conn.execute(sa.update(_KEYS).where(_KEYS.c.kid == kid).values(not_after=not_after))
        return
    row = {
        "kid": kid,
        "tenant": change.tenant,
        "owner_kind": owner[0],
        "owner_id": owner[1],
        "purpose": "passkey" if body.credential_id else "signature",
        "jwk": body.key.model_dump(include={"kty", "crv", "x", "y"}),
        "not_before": change.at,
        "not_after": not_after,
        "credential_id": body.credential_id,
    }
    await change.conn.execute(sa.insert(_KEYS).values(row))
