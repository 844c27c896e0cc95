"""Two servers, one of which follows the other at every commit; the one that leads can die, and the other takes over."""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from journey_processes import until
from postgres import LOGIN, OWNER, USER, Server


class Pair:
    """A primary and its synchronous standby. Without a standby nothing is committed, on neither of them, ever."""

    def __init__(self) -> None:
        self.primary, self.standby = Server(), Server()

    async def make(self) -> None:
        """Start both."""
        await asyncio.to_thread(self.primary.make)
        # Before the copy is made: whoever is promoted waits for a standby of its own from its first moment.
        await ask(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await ask(self.primary, "SELECT pg_reload_conf()")
        await self._follow()

    async def create(self, name: str) -> None:
        """Create a database, and return when both servers know it: whoever looks for the primary may ask both."""
        await ask(self.primary, f"CREATE DATABASE {name} OWNER {OWNER}")

        async def arrived() -> bool:
            return await ask(self.standby, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 1

        await until(arrived, 30, "a database on the standby")

    def url(self, name: str) -> str:
        """Return the URL of a database for the hub: both servers, and whichever of them takes writes."""
        hosts = [("host", f"127.0.0.1:{port}") for port in sorted((self.primary.port, self.standby.port))]
        made = sa.engine.URL.create("postgresql+asyncpg", username=LOGIN, database=name)
        made = made.update_query_pairs([*hosts, ("target_session_attrs", "read-write")], append=True)
        return made.render_as_string(hide_password=False)

    async def fall_behind(self) -> int:
        """Let the standby write nothing down any more, wait until commits wait for it; return what was stopped."""
        receiver: int = await ask(self.standby, "SELECT pid FROM pg_stat_wal_receiver")
        os.kill(receiver, signal.SIGSTOP)

        async def somebody_waits() -> bool:
            return bool(await self.waiting())

        try:
            await until(somebody_waits, 30, "a commit that waits for the standby")
        except BaseException:
            os.kill(receiver, signal.SIGCONT)
            raise
        return receiver

    async def waiting(self) -> Sequence[int]:
        """Return the sessions that wait for the standby."""
        found: Sequence[int] | None = await ask(
            self.primary, "SELECT array_agg(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        return found or ()

    async def fail_over(self, receiver: int) -> None:
        """``kill -9`` the primary, promote the standby that stood still, and let the former primary follow it."""
        await asyncio.to_thread(self.primary.crash)
        os.kill(receiver, signal.SIGCONT)
        assert await ask(self.standby, "SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary
        await self._follow()

    async def _follow(self) -> None:
        behind, ahead = self.standby, self.primary
        behind.give_folder()
        shutil.rmtree(behind.data, ignore_errors=True)
        copy = ("-D", str(behind.data), "-h", "127.0.0.1", "-p", str(ahead.port), "-U", USER)
        await asyncio.to_thread(behind.run, "pg_basebackup", *copy, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        await asyncio.to_thread(behind.start)

        async def follows() -> bool:
            return await ask(ahead, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1

        await until(follows, 60, "a standby that follows")

    def stop(self) -> None:
        """Stop both and remove their files."""
        for server in (self.standby, self.primary):
            server.stop()


async def ask(server: Server, statement: str) -> Any:
    """Run a statement as the server's administrator and return its one value."""
    admin = await asyncpg.connect(host="127.0.0.1", port=server.port, user=USER, database="postgres")
    try:
        return await admin.fetchval(statement)
    finally:
        await admin.close()
