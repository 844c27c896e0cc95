"""The databases that simulations start from: migrated and settled once in a process, copied for each seed."""

import asyncio
import contextlib
import itertools
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import sim_postgresql
import sim_sqlite
import sqlalchemy as sa
import world as worlds
from builders import MASTER, SECRET, insert_endpoint, make_hub, table
from postgres import LOGIN, OWNER
from sim_nodes import Process
from sim_time import Clocks, VirtualLoop
from sim_witness import ON_POSTGRESQL, ON_SQLITE
from world import AGENCY, World

from service import db, directory, migrations
from service.db import Database
from service.engine.hub import OPERATOR
from service.models import Contact, Endpoint
from service.models.subject_key import KeyOwner
from service.vault import FileMasters, roots, subjects
from workflows.terms import Channel, Purpose, Sector

# Every simulation begins at or after this instant; keys are registered for a year from here.
EPOCH = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TWO_WAYS = "techcombank"
_STANDS_STILL = "SELECT timestamptz '2026-11-23 02:00:00+00'"
_MOVES = "SELECT current_setting(''sim.now'')::timestamptz"
_HUB_NOW = "CREATE OR REPLACE FUNCTION hub_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS "


@dataclass(frozen=True)
class Template:
    """A settled database file, and the people whose keys are registered in it."""

    world: World
    file: Path
    kind: str = "sqlite+aiosqlite"

    def copied(self, now: Callable[[], str]) -> sim_sqlite.Store:
        """Return a store of its own for one seed, whose ``hub_now()`` is ``now``."""
        return sim_sqlite.Store(sim_sqlite.new_file(self.file), now)

    def drop(self, store: sim_sqlite.Store) -> None:
        """Remove what a seed has used."""
        shutil.rmtree(store.path.parent)

    def inline(self, store: Callable[[], Any]) -> Any:
        """Let the hub's connections lead to the store."""
        return sim_sqlite.inline(store)


@dataclass(frozen=True)
class ServerTemplate:
    """A settled database of the tests' PostgreSQL server."""

    world: World
    name: str
    bridge: sim_postgresql.Bridge
    kind: str = "postgresql+asyncpg"
    _numbers: Any = None

    def copied(self, now: Callable[[], str]) -> sim_postgresql.Store:
        """Return a store of its own for one seed, whose ``hub_now()`` is ``now``."""
        name = f"{self.name}_{next(self._numbers)}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {self.name}")
        return sim_postgresql.Store(self.bridge, name, now)

    def drop(self, store: sim_postgresql.Store) -> None:
        """Remove what a seed has used."""
        self._admin(f"DROP DATABASE {store.name} WITH (FORCE)")

    def inline(self, store: Callable[[], Any]) -> Any:
        """Let the hub's connections lead to the store."""
        return sim_postgresql.inline(store)

    def _admin(self, statement: str) -> None:
        self.bridge.run(_admin(statement))


def make(folder: Path) -> Template:
    """Migrate and settle a database file in ``folder``."""
    virtual = VirtualLoop()
    clocks = Clocks(virtual, EPOCH, random.Random(0))
    with clocks.in_force():
        world = _settle(clocks, None, folder, None)
        file = folder / "hoatoc.sqlite3"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.executescript(ON_SQLITE)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store = sim_sqlite.Store(file, clocks.database_text)
        with sim_sqlite.inline(lambda: store):
            asyncio.run(Process.prepare(Template.kind))
        store.close()
    virtual.close()
    return Template(world, file)


def make_on_server(folder: Path, name: str) -> ServerTemplate:
    """Migrate and settle a database called ``name`` on the tests' server."""
    sim_postgresql.server()
    bridge, virtual = sim_postgresql.Bridge(), VirtualLoop()
    clocks = Clocks(virtual, EPOCH, random.Random(0))
    bridge.run(_admin(f"CREATE DATABASE {name} OWNER {OWNER}"))
    with clocks.in_force():
        world = _settle(clocks, _url(name, LOGIN), folder, _url(name, OWNER))
        bridge.run(_admin(f"{_HUB_NOW} '{_MOVES}'", name))
        bridge.run(_admin(ON_POSTGRESQL, name))
        store = sim_postgresql.Store(bridge, name, clocks.database_text)
        with sim_postgresql.inline(lambda: store):
            asyncio.run(Process.prepare(ServerTemplate.kind))
        store.close()
    virtual.close()
    return ServerTemplate(world, name, bridge, _numbers=itertools.count(1))


def _url(name: str, login: str) -> str:
    url = sa.make_url(f"{sim_postgresql.server()}/{name}").set(drivername="postgresql+asyncpg", username=login)
    return url.render_as_string(hide_password=False)


async def _admin(statement: str, name: str = "postgres") -> None:
    connection = await sim_postgresql.CONNECT(f"{sim_postgresql.server()}/{name}")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _settle(clocks: Clocks, url: str | None, folder: Path, owner: str | None) -> World:
    with mock.patch.object(worlds, "uuid4", clocks.new_id), _small_directory():
        return asyncio.run(_settled(url, folder, owner))


async def _settled(url: str | None, folder: Path, owner: str | None) -> World:
    hub = make_hub(url, folder)
    owned = Database(owner) if owner else hub.database
    await migrations.upgrade(owned)
    if owner is not None:
        await _admin(f"{_HUB_NOW} $now${_STANDS_STILL}$now$", sa.make_url(owner).database or "")
    await owned.write(lambda conn: roots.write(conn, FileMasters.of(MASTER), MASTER), db.HUB)
    world = World(hub)
    await world.settle_in()
    await hub.database.write(lambda conn: _endpoints(conn, world), db.HUB)
    await owned.close()
    await hub.database.close()
    return world


async def _endpoints(conn: Any, world: World) -> None:
    """Give each endpoint its secret, the agency its own with a contact, and one bank a second way."""
    endpoints = table(Endpoint)
    for row in (await conn.execute(sa.select(endpoints).order_by(endpoints.c.id))).all():
        sealed = await _secret(conn, world, row.tenant, row.id)
        await conn.execute(sa.update(endpoints).where(endpoints.c.id == row.id).values(secret_sealed=sealed))
    mine = sa.select(endpoints).where(endpoints.c.tenant == TWO_WAYS, endpoints.c.purpose == Purpose.ORDERS)
    row = dict((await conn.execute(mine)).one()._mapping)
    new_ones = (TWO_WAYS, Purpose.ORDERS, 2), (AGENCY, Purpose.STATUS, 1), (AGENCY, Purpose.NOTICES, 1)
    for tenant, purpose, position in new_ones:
        new = worlds.uuid4()
        sealed = await _secret(conn, world, tenant, new)
        url = f"https://{tenant}.example/{purpose}/{position}"
        changed = {"id": new, "tenant": tenant, "purpose": purpose, "position": position, "url": url}
        await insert_endpoint(conn, {**row, **changed, "channel": Channel.WEBHOOK, "secret_sealed": sealed})
        if purpose is Purpose.NOTICES:
            contact = (await conn.execute(sa.select(table(Contact)).limit(1))).one()._mapping
            theirs = {"id": worlds.uuid4(), "tenant": tenant, "endpoint_id": new}
            await db.insert_rows(conn, table(Contact), [{**contact, **theirs}])


async def _secret(conn: Any, world: World, tenant: str, endpoint: Any) -> bytes:
    key = await subjects.of_subject(conn, world.hub.vault, tenant, KeyOwner.HOUSE, tenant)
    return world.hub.vault.seal(key, "endpoints", endpoint, SECRET)


def _small_directory() -> Any:
    """Leave out who has not joined: a directory of hundreds is read again and again, and routes to nobody here."""
    joined = {*worlds.MEMBERS, AGENCY, OPERATOR, "sbv", "vnta"}
    everybody, every_alias = directory.participants(), directory.aliases()
    few = [row for row in everybody if row.id in joined or row.sector is Sector.SUPERVISOR]
    names = {row.id for row in few}
    return mock.patch.multiple(
        directory,
        participants=lambda: few,
        aliases=lambda: [row for row in every_alias if row.participant_id in names],
    )
