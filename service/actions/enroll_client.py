"""A client system is enrolled: its roles and the public key with which it asks for tokens; nobody enrolls himself."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service import errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Client, PublicKey, table_of
from service.schemas.registry import ClientEnrolled, NewClient
from service.security import scopes
from service.security.keyring import KeyUnfit, VerificationKey
from service.security.principals import Principal
from service.security.profiles import KeyPurpose
from service.security.scopes import RoleNotAllowed, Scope
from workflows.terms import Sector

_CLIENTS = table_of(Client)
_KEYS = table_of(PublicKey)

# Every key has an end and a rehearsed replacement (PROMISES 8.7).
LONGEST_VALIDITY = timedelta(days=365)


async def enroll(hub: Hub, principal: Principal, participant_id: str, body: NewClient) -> ClientEnrolled:
    """Register a client with its roles and key; a known client of this participant gets the key besides its others.

    A listed participant becomes active by it. Raises ``NotFound``, ``InvalidInput`` (roles, key), ``Conflict`` when the
    id or the key is another's, the key was revoked, or the participant is suspended.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> ClientEnrolled:
        row = await changes.participant(change)
        _check_roles(body, row.sector)
        await changes.activate(change, row)
        await _write_client(change, body)
        key = _key(body, change.at)
        await _write_key(change, body, key)
        change.note("client.enrolled", client_id=body.id, roles=sorted(map(str, set(body.roles))), kid=key.kid)
        return ClientEnrolled(
            id=body.id,
            participant_id=participant_id,
            roles=sorted(set(body.roles)),
            kid=key.kid,
            not_after=key.not_after,
        )

    return await changes.run(hub, principal, participant_id, work)


def _check_roles(body: NewClient, sector: Sector) -> None:
    for position, role in enumerate(body.roles):
        try:
            scopes.check(role, sector)
        except RoleNotAllowed:
            raise errors.InvalidInput.of(f"/roles/{position}", "role.not_for_sector", sector=str(sector)) from None


def _key(body: NewClient, now: datetime) -> VerificationKey:
    latest = now + LONGEST_VALIDITY
    not_after = body.not_after or latest
    if not now < not_after <= latest:
        raise errors.InvalidInput.of("/not_after", "key.validity", latest=latest.isoformat())
    try:
        key = VerificationKey.from_jwk(
            body.key.model_dump(exclude_none=True),
            issuer=body.id,
            purpose=KeyPurpose.CLIENT_ASSERTION,
            not_before=now,
            not_after=not_after,
        )
    except KeyUnfit as unfit:
        raise errors.InvalidInput.of("/key", unfit.code) from None
    if key.kid != key.jkt:
        # The name of a key is what it is: one key cannot be registered under two names.
        raise errors.InvalidInput.of("/key/kid", "key.kid")
    return key


async def _write_client(change: Change, body: NewClient) -> None:
    roles = sorted({str(role) for role in body.roles})
    known = (await change.conn.execute(sa.select(_CLIENTS.c.tenant).where(_CLIENTS.c.id == body.id))).one_or_none()
    if known is None:
        row = {"id": body.id, "tenant": change.tenant, "roles": roles, "active": True, "created_at": change.at}
        await change.conn.execute(sa.insert(_CLIENTS).values(row))
    elif known.tenant != change.tenant:
        raise errors.Conflict("client.taken")
    else:
        await change.conn.execute(sa.update(_CLIENTS).where(_CLIENTS.c.id == body.id).values(roles=roles))


async def _write_key(change: Change, body: NewClient, key: VerificationKey) -> None:
    known: Any = (await change.conn.execute(sa.select(_KEYS).where(_KEYS.c.kid == key.kid))).one_or_none()
    if known is not None:
        if (known.tenant, known.owner_id) != (change.tenant, body.id) or known.revoked_at is not None:
            raise errors.Conflict("key.taken")
        await change.conn.execute(sa.update(_KEYS).where(_KEYS.c.kid == key.kid).values(not_after=key.not_after))
        return
    row = {
        "kid": key.kid,
        "tenant": change.tenant,
        "owner_kind": "client",
        "owner_id": body.id,
        "purpose": "assertion",
        "jwk": body.key.model_dump(include={"kty", "crv", "x", "y"}),
        "not_before": change.at,
        "not_after": key.not_after,
    }
    await change.conn.execute(sa.insert(_KEYS).values(row))
