"""Who a client system is: its participant, roles and registered keys, as they are now."""

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import Client, Participant, PublicKey, table_of
from service.security.keyring import KeyUnfit, VerificationKey
from service.security.profiles import KeyPurpose
from workflows.terms import Role, Sector

_CLIENTS = table_of(Client)
_PARTICIPANTS = table_of(Participant)
_KEYS = table_of(PublicKey)
_AT = sa.func.hub_now(type_=db.INSTANT).label("at")


@dataclass(frozen=True, slots=True)
class KnownClient:
    """An active client of an active participant, and the database's instant at which it was found to be one."""

    id: str
    tenant: str
    sector: Sector
    roles: frozenset[Role]
    at: datetime


async def find(
    conn: AsyncConnection, client_id: str, *, key: str | None = None, keep: bool = False
) -> KnownClient | None:
    """Return the client if it, its participant and (when named by thumbprint) its key are all in force.

    With ``keep`` whoever would change that waits until this transaction is over, and others who only ask do not.
    """
    query = _asked(with_key=key is not None, keep=keep)
    row = (await conn.execute(query, {"client": client_id, "key": key})).one_or_none()
    if row is None:
        return None
    return KnownClient(row.id, row.tenant, row.sector, frozenset(Role(role) for role in row.roles), row.at)


# Each call at a door asks twice: what is asked is put into words once.
@functools.cache
def _asked(*, with_key: bool, keep: bool) -> sa.Select[Any]:
    client_id: sa.BindParameter[str] = sa.bindparam("client")
    key: sa.BindParameter[str] = sa.bindparam("key")
    query = (
        sa.select(_CLIENTS.c.id, _CLIENTS.c.tenant, _CLIENTS.c.roles, _PARTICIPANTS.c.sector, _AT)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _CLIENTS.c.tenant)
        .where(_CLIENTS.c.id == client_id, _CLIENTS.c.active, _PARTICIPANTS.c.status == "active")
    )
    if with_key:
        query = query.join(_KEYS, _KEYS.c.owner_id == _CLIENTS.c.id).where(
            _KEYS.c.kid == key, _KEYS.c.owner_kind == "client", _KEYS.c.revoked_at.is_(None)
        )
    return query.with_for_update(read=True) if keep else query


async def assertion_key(conn: AsyncConnection, client_id: str, kid: str) -> VerificationKey | None:
    """Return a client's registered key for assertions, unless it was revoked."""
    query = sa.select(_KEYS).where(
        _KEYS.c.kid == kid,
        _KEYS.c.owner_kind == "client",
        _KEYS.c.owner_id == client_id,
        _KEYS.c.purpose == "assertion",
        _KEYS.c.revoked_at.is_(None),
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    try:
        return VerificationKey.from_jwk(
            row.jwk,
            issuer=client_id,
            purpose=KeyPurpose.CLIENT_ASSERTION,
            not_before=row.not_before,
            not_after=row.not_after,
        )
    except KeyUnfit:
        return None
