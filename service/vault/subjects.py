"""The rows of keys: which subject has which, read in one query for all that is about to be opened, begun on demand."""

import functools
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, clock, db
from service.models import RootKey, SubjectKey, TenantKey, table_of
from service.models.subject_key import KeyOwner
from service.vault.sealing import KeyRow, Keys, Vault, key_of

SUBJECTS = table_of(SubjectKey)
TENANTS = table_of(TenantKey)
ROOTS = table_of(RootKey)
INDEX = "index"

# What a query adds to read a key along with a row; ``row`` takes it out of there.
COLUMNS: tuple[sa.Label[Any], ...] = (
    SUBJECTS.c.id.label("key_id"),
    SUBJECTS.c.tenant.label("key_tenant"),
    SUBJECTS.c.wrapped.label("key_wrapped"),
    TENANTS.c.id.label("key_tenant_key_id"),
    TENANTS.c.wrapped.label("key_tenant_wrapped"),
    TENANTS.c.master.label("key_master"),
)
_WITH_TENANTS = SUBJECTS.outerjoin(TENANTS, TENANTS.c.id == SUBJECTS.c.tenant_key_id)


def row(found: sa.Row[Any]) -> KeyRow | None:
    """Return the key that a query with ``COLUMNS`` found, if it found one."""
    if found.key_id is None:
        return None
    return KeyRow(
        found.key_id,
        found.key_tenant,
        found.key_wrapped,
        found.key_tenant_key_id,
        found.key_tenant_wrapped,
        found.key_master,
    )


async def of(conn: AsyncConnection, *sealed: bytes | None) -> Keys:
    """Read the keys that open these values, by one query; what has been destroyed comes as such."""
    wanted = {key_id for value in sealed if (key_id := key_of(value)) is not None}
    return await by_id(conn, wanted)


async def by_id(conn: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, KeyRow]:
    """Read keys by their ids, which for requests are the requests'."""
    if not ids:
        return {}
    query = sa.select(*COLUMNS).select_from(_WITH_TENANTS).where(among.of(conn, SUBJECTS.c.id, ids))
    return {found.key_id: key for found in (await conn.execute(query)).all() if (key := row(found)) is not None}


async def of_request(conn: AsyncConnection, vault: Vault, tenant: str, request_id: UUID) -> KeyRow:
    """Return the key of a request, begun now where an earlier build filed it."""
    return await of_subject(conn, vault, tenant, KeyOwner.REQUEST, str(request_id), request_id)


async def of_house(conn: AsyncConnection, vault: Vault, tenant: str) -> KeyRow:
    """Return the key of a member's own secrets, begun now if it has none."""
    return await of_subject(conn, vault, tenant, KeyOwner.HOUSE, tenant)


async def of_subject(
    conn: AsyncConnection, vault: Vault, tenant: str, kind: KeyOwner, subject: str, key_id: UUID | None = None
) -> KeyRow:
    """Return a subject's key, begun now if it has none; a destroyed one stays destroyed, and seals nothing."""
    return await _find(conn, tenant, kind, subject) or await begin(conn, vault, tenant, kind, subject, key_id)


async def begin(
    conn: AsyncConnection, vault: Vault, tenant: str, kind: KeyOwner, subject: str, key_id: UUID | None = None
) -> KeyRow:
    """Make a subject's key: one INSERT, which takes only if the tenant's key that wraps it is still in force."""
    key_id = key_id or clock.new_id()
    while True:
        above = vault.current(tenant) or await _current(conn, vault, tenant)
        wrapped = vault.new_subject_key(above, key_id)
        begun = {"key": key_id, "about": kind, "name": subject, "sealed": wrapped}
        begun |= {"of": tenant, "above": above.tenant_key_id, "under": above.master}
        if (await conn.execute(_begun(conn.dialect.name), begun)).first() is not None:
            return KeyRow(key_id, tenant, wrapped, above.tenant_key_id, above.tenant_wrapped, above.master)
        # Rotated meanwhile, or begun by a transaction that was undone; or another one has begun the very subject's.
        vault.forget(tenant)
        if (key := await _find(conn, tenant, kind, subject)) is not None:
            return key


@functools.cache
def _begun(dialect: str) -> sa.Executable:
    values = sa.select(
        sa.bindparam("key", type_=SUBJECTS.c.id.type),
        TENANTS.c.tenant,
        sa.bindparam("about", type_=SUBJECTS.c.kind.type),
        sa.bindparam("name", type_=sa.String()),
        TENANTS.c.id,
        sa.bindparam("sealed", type_=sa.LargeBinary()),
        sa.func.hub_now(type_=SUBJECTS.c.created_at.type),
    ).where(
        TENANTS.c.tenant == sa.bindparam("of"),
        TENANTS.c.id == sa.bindparam("above"),
        TENANTS.c.master == sa.bindparam("under"),
        TENANTS.c.retired_at.is_(None),
    )
    names = ["id", "tenant", "kind", "subject", "tenant_key_id", "wrapped", "created_at"]
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(SUBJECTS).from_select(names, values).on_conflict_do_nothing().returning(SUBJECTS.c.id)


async def destroy(conn: AsyncConnection, ids: Collection[UUID], at: datetime) -> int:
    """Destroy the keys of subjects and return how many there were; what they sealed opens for nobody any more.

    The wrapped key is overwritten, not marked: SQLite wipes the bytes at once (``secure_delete``), PostgreSQL keeps the
    row's earlier version until it is vacuumed.
    """
    gone = sa.update(SUBJECTS).where(SUBJECTS.c.id.in_(ids), SUBJECTS.c.destroyed_at.is_(None))
    return (await conn.execute(gone.values(wrapped=None, tenant_key_id=None, destroyed_at=at))).rowcount


async def master_in_force(conn: AsyncConnection) -> str:
    """Return the id of the master key that wraps whatever is made now: the one that wraps the root."""
    return (await conn.execute(sa.select(ROOTS.c.master).where(ROOTS.c.name == INDEX))).scalar_one()  # type: ignore[no-any-return]


async def new_tenant_key(conn: AsyncConnection, vault: Vault, tenant: str) -> None:
    """Give a tenant a key, unless another transaction has just done so."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    key_id, master = clock.new_id(), await master_in_force(conn)
    row = {
        "id": key_id,
        "tenant": tenant,
        "master": master,
        "wrapped": vault.new_tenant_key(master, key_id, tenant),
        "created_at": await db.now(conn),
    }
    await conn.execute(insert(TENANTS).values(row).on_conflict_do_nothing())


async def _find(conn: AsyncConnection, tenant: str, kind: KeyOwner, subject: str) -> KeyRow | None:
    wanted = (SUBJECTS.c.tenant == tenant, SUBJECTS.c.kind == kind, SUBJECTS.c.subject == subject)
    found = (await conn.execute(sa.select(*COLUMNS).select_from(_WITH_TENANTS).where(*wanted))).one_or_none()
    return None if found is None else row(found)


async def _current(conn: AsyncConnection, vault: Vault, tenant: str) -> KeyRow:
    query = sa.select(TENANTS).where(TENANTS.c.tenant == tenant, TENANTS.c.retired_at.is_(None))
    found = (await conn.execute(query)).one_or_none()
    if found is None:
        await new_tenant_key(conn, vault, tenant)
        found = (await conn.execute(query)).one()
    above = KeyRow(found.id, tenant, None, found.id, found.wrapped, found.master)
    vault.remember(above)
    return above
