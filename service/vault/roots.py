"""Opens the vault over a database: the root of the blind indexes is made at the first start, and read ever after."""

import os
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.db import Database
from service.models import ActionRequest, Contact, Endpoint, Officer, table_of
from service.vault.masters import KEY_BYTES, Masters
from service.vault.sealing import Vault
from service.vault.subjects import INDEX, ROOTS

_EARLIER = (table_of(ActionRequest), table_of(Officer), table_of(Contact), table_of(Endpoint))


class RootMissing(OSError):
    """The database was sealed by an earlier build under a key file that is not here."""


async def open_vault(database: Database, masters: Masters) -> Vault:
    """Return the vault of this database. Raises ``SealBroken`` under another installation's keys, ``MasterMissing``.

    A database that an earlier build filled keeps its blind indexes: the key that they came from becomes the root.
    """
    async with database.read(db.HUB) as conn:
        found = await _roots(conn)
    if not found:
        await database.write(lambda conn: _make(conn, masters), db.HUB)
        async with database.read(db.HUB) as conn:
            found = await _roots(conn)
    opened = {each.name: masters.unwrap(each.master, each.wrapped, bound_to(each.name)) for each in found}
    [made_at] = [each.created_at for each in found if each.name == INDEX]
    return Vault(masters, opened.pop(INDEX), made_at=made_at, former=tuple(opened.values()))


async def is_replaced(conn: AsyncConnection, vault: Vault) -> bool:
    """Tell whether the database has another root than the one that this vault was opened with."""
    in_force = (await conn.execute(sa.select(ROOTS.c.created_at).where(ROOTS.c.name == INDEX))).scalar_one_or_none()
    return None not in (in_force, vault.rooted_at) and in_force != vault.rooted_at


async def replace(conn: AsyncConnection, masters: Masters) -> Vault:
    """Put a new root in the place of the one in force, which stays as a former one; return the vault over it.

    Facts name blind indexes of the former roots, and facts are not rewritten.
    """
    old = (await conn.execute(sa.select(ROOTS).where(ROOTS.c.name == INDEX).with_for_update())).one()
    count = (await conn.execute(sa.select(sa.func.count()).select_from(ROOTS))).scalar_one()
    name = f"{INDEX}.{count}"
    former = masters.unwrap(old.master, old.wrapped, bound_to(INDEX))
    wrapped = masters.wrap(old.master, former, bound_to(name))
    await conn.execute(sa.insert(ROOTS).values({**old._mapping, "name": name, "wrapped": wrapped}))
    root, at = os.urandom(KEY_BYTES), await db.now(conn)
    values = {"wrapped": masters.wrap(old.master, root, bound_to(INDEX)), "created_at": at}
    await conn.execute(sa.update(ROOTS).where(ROOTS.c.name == INDEX).values(values))
    return Vault(masters, root, made_at=at, former=(former,))


def bound_to(name: str) -> bytes:
    """Return what the wrapping of a root key is bound to."""
    return f"root_keys|{name}".encode()


async def _roots(conn: AsyncConnection) -> Sequence[sa.Row[str, str, bytes]]:
    return (await conn.execute(sa.select(ROOTS).order_by(ROOTS.c.created_at))).all()


async def _make(conn: AsyncConnection, masters: Masters) -> None:
    root = os.urandom(KEY_BYTES)
    if await _is_filled(conn):
        if masters.first_file is None:
            raise RootMissing("an earlier build sealed this database: start once with its vault.key, without a token")
        root = masters.first_file
    await write(conn, masters, root)


async def write(conn: AsyncConnection, masters: Masters, root: bytes) -> None:
    """Write the root, wrapped by this node's newest master key, unless there is one."""
    master = masters.ids()[-1]
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    row = {
        "name": INDEX,
        "master": master,
        "wrapped": masters.wrap(master, root, bound_to(INDEX)),
        "created_at": await db.now(conn),
    }
    # Two nodes start at once: the first one's root is the root.
    await conn.execute(insert(ROOTS).values(row).on_conflict_do_nothing())


async def _is_filled(conn: AsyncConnection) -> bool:
    for table in _EARLIER:
        if (await conn.execute(sa.select(sa.literal(1)).select_from(table).limit(1))).first() is not None:
            return True
    return False
