"""The inventory of keys (ASVS V11.1.2): kind, owner, thumbprint, from when until when, state and place; no secret."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Endpoint, PublicKey, table_of
from service.security.keyring import SigningKey
from service.vault import Masters, subjects
from service.vault.subjects import SUBJECTS, TENANTS

_KEYS = table_of(PublicKey)
_ENDPOINTS = table_of(Endpoint)
DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Listed:
    """One key, or several of one owner (``count``) that nobody wants to read one by one.

    ``state`` is current, next, retired, unused, revoked, expired, previous or destroyed.
    """

    kind: str
    owner: str
    key: str
    state: str
    where: str
    created_at: datetime | None = None
    not_after: datetime | None = None
    count: int = 1


async def of_vault(conn: AsyncConnection, masters: Masters, operator: str) -> list[Listed]:
    """Return the master keys of this node, the tenants' keys, and how many subjects of each kind have one."""
    in_force = await subjects.master_in_force(conn)
    wrapping = sa.select(TENANTS.c.master).distinct()
    used = {in_force, *(await conn.execute(wrapping)).scalars()}
    here = masters.ids()
    later = set(here[here.index(in_force) + 1 :] if in_force in here else ())
    listed = [
        Listed("vault.master", operator, each, _master_state(each, in_force, used, later), masters.where(each))
        for each in here
    ]
    listed += [Listed("vault.master", operator, each, "missing", "not on this node") for each in used - set(here)]
    for row in (await conn.execute(sa.select(TENANTS).order_by(TENANTS.c.tenant, TENANTS.c.created_at))).all():
        state = "retired" if row.retired_at else "current"
        listed.append(Listed("vault.tenant", row.tenant, str(row.id), state, DATABASE, created_at=row.created_at))
    columns = (SUBJECTS.c.tenant, SUBJECTS.c.kind, SUBJECTS.c.destroyed_at.is_not(None).label("gone"))
    query = sa.select(*columns, sa.func.count().label("keys"), sa.func.min(SUBJECTS.c.created_at).label("since"))
    for each in (await conn.execute(query.group_by(*columns).order_by(*columns))).all():
        state = "destroyed" if each.gone else "current"
        kind = f"vault.{each.kind}"
        listed.append(Listed(kind, each.tenant, "", state, DATABASE, created_at=each.since, count=each.keys))
    return listed


def of_signing(kind: str, owner: str, keys: Sequence[SigningKey], now: datetime, where: str) -> list[Listed]:
    """Return signing keys of the hub: which signs now, which will, and which is only published any more."""
    fit = [key.not_before for key in keys if key.not_before <= now < key.not_after]
    newest = max(fit, default=None)
    return [
        Listed(kind, owner, key.kid, _signing_state(key, newest, now), where, key.not_before, key.not_after)
        for key in keys
    ]


async def of_others(conn: AsyncConnection, now: datetime) -> list[Listed]:
    """Return the registered public keys of members and officers, and the webhooks' shared secrets."""
    listed = []
    query = sa.select(_KEYS).order_by(_KEYS.c.tenant, _KEYS.c.owner_kind, _KEYS.c.owner_id, _KEYS.c.not_before)
    for row in (await conn.execute(query)).all():
        owner = f"{row.tenant}/{row.owner_id}" if row.owner_id != row.tenant else row.tenant
        kind = f"public.{row.owner_kind}.{row.purpose}"
        state = _public_state(row, now)
        listed.append(Listed(kind, owner, row.kid, state, DATABASE, row.not_before, row.not_after))
    secrets = sa.select(_ENDPOINTS).where(_ENDPOINTS.c.secret_sealed.is_not(None))
    for row in (await conn.execute(secrets.order_by(_ENDPOINTS.c.tenant, _ENDPOINTS.c.id))).all():
        listed += _secrets(row, now)
    return listed


def _secrets(row: sa.Row[Any], now: datetime) -> Iterable[Listed]:
    until = row.previous_secret_until
    yield Listed(
        "webhook.secret", row.tenant, str(row.id), "current" if row.active else "unused", DATABASE, row.created_at
    )
    if row.previous_secret_sealed and until and until > now:
        yield Listed("webhook.secret", row.tenant, str(row.id), "previous", DATABASE, not_after=until)


def _master_state(master: str, in_force: str, used: set[str], later: set[str]) -> str:
    if master == in_force:
        return "current"
    if master in used:
        return "retired"
    return "next" if master in later else "unused"


def _signing_state(key: SigningKey, newest: datetime | None, now: datetime) -> str:
    if key.not_after <= now:
        return "expired"
    if key.not_before > now:
        return "next"
    return "current" if key.not_before == newest else "previous"


def _public_state(row: sa.Row[Any], now: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.not_after <= now:
        return "expired"
    return "next" if row.not_before > now else "current"
