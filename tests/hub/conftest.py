"""What every hub test stands on: a hub on each of the two databases, migrated by alembic, and time that moves."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import owed_now
import pytest
import sqlalchemy as sa
import world as worlds
from builders import MASTER, Builder, make_hub, unbound
from postgres import LOGIN, OWNER, QUICK
from rigs import FastForward, Rig, still

from service import clock, db, migrations
from service.db import Database
from service.engine.hub import Hub
from service.vault import FileMasters, roots

FILE = "hoatoc.sqlite3"


class Templates:
    """Migrated databases of each kind, empty or with a settled network, made at the first use and copied for tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # By whether a network has settled in.
        self._files: dict[bool, Path] = {}
        self._names: dict[bool, str] = {}

    @property
    def server(self) -> str:
        """The URL of the PostgreSQL server; its absence fails the test, it never skips it. No test here kills it."""
        url = os.environ.get(QUICK)
        if not url:
            pytest.fail(f"{QUICK} is not set: python tests/postgres.py -- pytest …", pytrace=False)
        return url

    async def sqlite(self, folder: Path, *, settled: bool) -> None:
        """Copy the migrated file to where a hub with this data folder looks for it."""
        if settled not in self._files:
            made = self._folder / ("settled" if settled else "empty")
            made.mkdir()
            if settled:
                await self.sqlite(made, settled=False)
                await worlds.keep_settled(None, made)
            else:
                await _migrate(f"sqlite+aiosqlite:///{made / FILE}")
            self._files[settled] = made / FILE
        shutil.copy(self._files[settled], folder / FILE)
        if settled:
            worlds.is_settled(None, folder)

    async def postgresql(self, folder: Path, *, settled: bool) -> str:
        """Create a database as a copy of the migrated one and return its name."""
        if settled not in self._names:
            if settled:
                name = await self.postgresql(folder, settled=False)
                await worlds.keep_settled(self.url(name, LOGIN), folder)
            else:
                name = f"template_{uuid4().hex}"
                await self.admin(f'CREATE DATABASE "{name}" OWNER {OWNER}')
                await _migrate(self.url(name, OWNER))
            self._names[settled] = name
        copy = f"test_{uuid4().hex}"
        # Without its crash to survive, copying files costs less than logging them.
        template = f'TEMPLATE "{self._names[settled]}" STRATEGY FILE_COPY'
        await self.admin(f'CREATE DATABASE "{copy}" OWNER {OWNER} {template}')
        if settled:
            worlds.is_settled(self.url(copy, LOGIN), folder)
        return copy

    def url(self, name: str, login: str) -> str:
        """Return the URL of one database for one login; the server asks for no password."""
        return sa.make_url(f"{self.server}/{name}").set(username=login).render_as_string(hide_password=False)

    async def admin(self, statement: str) -> None:
        """Run one statement outside of any transaction."""
        connection = await asyncpg.connect(self.server.replace("+asyncpg", "") + "/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def drop(self) -> None:
        """Remove the PostgreSQL templates at the end of the run."""
        for name in self._names.values():
            asyncio.run(self.admin(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """The migrated databases that tests get copies of."""
    made = Templates(tmp_path_factory.mktemp("templates"))
    yield made
    made.drop()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(
    request: pytest.FixtureRequest, templates: Templates, tmp_path: Path
) -> AsyncIterator[str | None]:
    """A migrated database of one's own: None for the embedded one in ``tmp_path``, else a PostgreSQL URL.

    For a test that has a ``world`` the network has settled in there already.
    """
    settled = "world" in request.fixturenames
    if request.param == "sqlite":
        await templates.sqlite(tmp_path, settled=settled)
        yield None
        return
    name = await templates.postgresql(tmp_path, settled=settled)
    yield templates.url(name, LOGIN)
    await templates.admin(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def hub(database_url: str | None, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub on a database of its own; the test runs once on SQLite and once on PostgreSQL."""
    made = make_hub(database_url, tmp_path)
    yield made
    async with made.database.read(db.HUB) as conn:
        wrong = await owed_now.wrong(conn)
    await made.database.close()
    assert not wrong, wrong


@pytest.fixture
def build(hub: Hub) -> Builder:
    """Writes rows for a test: participants, endpoints, requests, orders and their dispatches."""
    return Builder(hub)


@pytest.fixture
async def rig(hub: Hub) -> AsyncIterator[Rig]:
    """A node whose delivery is moved by hand, with a speaker instead of a network."""
    made = await Rig(hub).start()
    yield made
    await made.stop()


@pytest.fixture
async def world(hub: Hub) -> worlds.World:
    """A settled network; a file that needs another one makes its own."""
    made = worlds.World(hub)
    await made.settle_in()
    return made


@pytest.fixture
def fast_forward(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> FastForward:
    """``await fast_forward(minutes=15)`` moves the database's clock and this machine's, and nothing waits."""
    moved = timedelta()
    real = clock.utc_now
    monkeypatch.setattr(clock, "utc_now", lambda: real() + moved)

    async def forward(**by: float) -> None:
        async with still():
            await move(timedelta(**by))

    async def move(by: timedelta) -> None:
        nonlocal moved
        moved += by
        if hub.database.dialect == "postgresql":
            shift = f"interval '{int(moved.total_seconds() * 1_000_000)} microseconds'"
            body = f"SELECT clock_timestamp() + {shift}".replace("'", "''")
            moved_clock = sa.text(
                "CREATE OR REPLACE FUNCTION hub_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE"
                f" AS '{body}'"
            )
            async with unbound(hub) as database:
                await database.write(lambda conn: conn.execute(moved_clock), db.HUB)

    return forward


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrations.upgrade(database)
    await database.write(lambda conn: roots.write(conn, FileMasters.of(MASTER), MASTER), db.HUB)
    await database.close()
