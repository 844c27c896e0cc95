"""What no standby is known to hold is not acknowledged, whatever the server says of the commit (PROMISES P1, 8.6)."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import postgres
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from journey_processes import until
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, standby
from service.db import Database
from service.web import problems

pytestmark = pytest.mark.xdist_group("standby")
_PAPERS = sa.text("CREATE TABLE papers (number int PRIMARY KEY)")


async def _write(conn: AsyncConnection) -> None:
    await conn.execute(sa.text("INSERT INTO papers VALUES (1)"))


class Server:
    """A server that waits for a standby that nobody ever started, or does not."""

    def __init__(self, url: str, admin: asyncpg.Connection) -> None:
        self.url, self._admin = f"{url}/postgres", admin

    async def wait_for(self, standby_name: str) -> None:
        """Let commits wait for this standby; with no name for none."""
        await self._admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby_name}'")
        await self._admin.execute("SELECT pg_reload_conf()")

        async def in_force() -> bool:
            return bool(await self._admin.fetchval("SHOW synchronous_standby_names") == standby_name)

        await until(in_force, 20, "the new setting")

    async def waiting(self) -> list[int]:
        """The sessions that wait for the standby."""
        rows = await self._admin.fetch("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        return [row["pid"] for row in rows]

    async def cancel_waiting(self) -> None:
        """Do what an impatient administrator does."""
        await until(self._is_somebody_waiting, 20, "a session that waits for the standby")
        for pid in await self.waiting():
            await self._admin.execute("SELECT pg_cancel_backend($1)", pid)

    async def _is_somebody_waiting(self) -> bool:
        return bool(await self.waiting())

    async def is_written(self) -> bool:
        """Tell whether the row is there."""
        return bool(await self._admin.fetchval("SELECT count(*) FROM papers"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.running(fsync=False) as made:
        yield made


@pytest.fixture
async def server(url: str) -> AsyncIterator[Server]:
    admin = await asyncpg.connect(url.replace("+asyncpg", "") + "/postgres")
    await admin.execute("SET synchronous_commit = local; DROP TABLE IF EXISTS papers")
    made = Server(url, admin)
    await admin.execute(str(_PAPERS))
    await made.wait_for("nobody")
    yield made
    await made.wait_for("")
    await admin.close()


@pytest.fixture
async def database(server: Server) -> AsyncIterator[Database]:
    made = Database(server.url, pool=2)
    yield made
    await made.close()


async def test_a_wait_for_the_standby_that_somebody_cancels_is_no_acknowledgement(
    server: Server, database: Database
) -> None:
    async with asyncio.timeout(60):
        writing = asyncio.create_task(database.write(_write, db.NOBODY))
        await server.cancel_waiting()
        with pytest.raises(standby.NotReplicated, match="01000"):
            await writing
        # PostgreSQL called it a success, and here it is: just not on the standby.
        assert await server.is_written()


async def test_the_warning_is_heard_though_the_role_wants_to_hear_none(server: Server, database: Database) -> None:
    async with asyncio.timeout(60):
        await server._admin.execute(f"ALTER ROLE {postgres.USER} SET client_min_messages = error")
        try:
            writing = asyncio.create_task(database.write(_write, db.NOBODY))
            await server.cancel_waiting()
            with pytest.raises(standby.NotReplicated):
                await writing
        finally:
            await server._admin.execute(f"ALTER ROLE {postgres.USER} RESET client_min_messages")


async def test_a_write_without_a_standby_is_given_up_and_leaves_nobody_waiting(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(60):
        monkeypatch.setattr(db, "COMMIT_WITHIN", 0.2)
        with pytest.raises(standby.NotReplicated, match=r"within 0\.2 s"):
            await database.write(_write, db.NOBODY)

        async def nobody_waits() -> bool:
            return await server.waiting() == []

        await until(nobody_waits, 20, "the end of the waiting")
        await server.wait_for("")
        assert await database.write(_count, db.NOBODY) == 1


async def test_a_caller_who_goes_away_leaves_no_wait_without_end(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(60):
        monkeypatch.setattr(db, "COMMIT_WITHIN", 0.5)
        writing = asyncio.create_task(database.write(_write, db.NOBODY))
        await until(server._is_somebody_waiting, 20, "a session that waits")
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await server.is_written()


async def test_a_change_of_tables_waits_as_long_as_it_takes(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(60):
        monkeypatch.setattr(db, "COMMIT_WITHIN", 0.01)
        altering = asyncio.create_task(database.alter(_write))
        await until(server._is_somebody_waiting, 20, "a session that waits")
        # It is let go, and not by a clock of ours.
        await server.wait_for("")
        await altering


async def test_a_reader_waits_for_nobody(server: Server, database: Database) -> None:
    async with asyncio.timeout(60):
        assert await database.write(_count, db.NOBODY) == 0


async def test_an_unreplicated_commit_is_answered_as_not_available() -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/write")
    async def write() -> None:
        raise standby.NotReplicated("the server warned")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.example") as http:
        answer = await http.get("/write")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")


async def _count(conn: AsyncConnection) -> int:
    return int((await conn.execute(sa.text("SELECT count(*) FROM papers"))).scalar_one())
