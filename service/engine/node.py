"""This node among its peers: heartbeat, fencing itself when it looks dead, sweeping up after those that are."""

import asyncio
import contextlib
import fcntl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, log, metrics
from service.db import Database
from service.engine import store
from service.engine.hub import Hub
from service.models import Node as NodeRow
from service.models import table_of
from service.queries import restorations
from service.vault import roots

_NODES = table_of(NodeRow)
_log = log.get(__name__)

TTL = timedelta(seconds=5)
BEAT_EVERY = 1.0
BEAT_WITHIN = 2.0
# The first one also opens the connection, on a machine that is just starting everything else.
FIRST_BEAT_WITHIN = 30.0
# By then its leases are about to be taken away: better to let go than to be found out.
FENCE_AFTER = TTL.total_seconds() - 1.0
OFFSET_STOPS = 1.0
OFFSET_UNREADY = 5.0
TICK_WITHIN = 10.0
# A loop comes round four times a second, and waits ten seconds for a connection.
ROUND_WITHIN = 30.0


class AlreadyRunning(Exception):
    """Another process works on this embedded database; it takes one process, PostgreSQL takes any number."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"another process holds {path}: an embedded database is for one process; for more use PostgreSQL"
        )


class Node:
    """One process that claims and fires; ``boot`` is its lease id, new on every start and after every fencing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._queue = store.of(hub.database.dialect)
        # A connection of its own, so that a pool that is used up does not make the node look dead.
        self._database = hub.database if hub.settings.embedded else Database(hub.settings.url, pool=1, of="heartbeat")
        self._lock: IO[bytes] | None = None
        self._seen = float("-inf")
        self._ticked = float("-inf")
        self._rounds: dict[str, float] = {}
        self._stopping = False
        self.name = hub.settings.node
        self.boot = clock.new_id()
        self.live: frozenset[UUID] = frozenset()
        self.offset = 0.0
        self.is_quarantined = False
        self.is_uprooted = False
        self.when_fenced: list[Callable[[], None]] = []
        self.when_freed: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Take the lock of an embedded database, be seen, and free what a former self still holds.

        Raises ``AlreadyRunning`` when another process has the embedded database.
        """
        if self._hub.settings.embedded:
            path = self._hub.database.engine.url.database
            self._lock = lock(Path(f"{path}.lock"))
            await self._hub.database.write(self._forget_former_selves, db.HUB)
        await self.beat(FIRST_BEAT_WITHIN)
        await self.sweep()

    async def run(self) -> None:
        """Beat every second, for ever; a beat that fails is noted and the next one comes."""
        while True:
            began = clock.monotonic()
            try:
                await self.beat()
            except Exception:
                metrics.HEARTBEATS_MISSED.inc()
                _log.warning("heartbeat.missed", node=self.name, exc_info=True)
            self.check()
            await asyncio.sleep(max(0.0, BEAT_EVERY - (clock.monotonic() - began)))

    async def beat(self, within: float | None = None) -> None:
        """Tell the others that this node is alive, and learn who is and how far this machine's clock is off.

        Raises ``TimeoutError`` after ``within`` seconds (two, unless told). The embedded database has no others to
        tell, and its one connection may rightly be busy for longer.
        """
        began, boot = clock.monotonic(), self.boot
        limit = None if self._hub.settings.embedded else within or BEAT_WITHIN
        async with asyncio.timeout(limit):
            seen = await self._database.write(lambda conn: self._be_seen(conn, boot), db.HUB)
            offset, live, self.is_quarantined = seen
            await self._look_at_root()
        if not self._hub.settings.embedded:
            self.offset = offset
            metrics.CLOCK_OFFSET.set(offset)
        if boot == self.boot:
            self._seen, self.live = began, live

    async def sweep(self) -> int:
        """Free the work of dead nodes and of leases that ended; return how many rows."""
        freed = await self._hub.database.write(lambda conn: self._queue.reap(conn, TTL, self.boot), db.HUB)
        if freed:
            metrics.REAPED.inc(freed)
            _log.warning("leases.reaped", node=self.name, count=freed)
            for told in self.when_freed:
                told()
            self._hub.writer.wake.set()
        return freed

    def check(self) -> None:
        """Fence this node if it has not been seen for so long that its leases are about to be taken away."""
        # The embedded database has one process: nobody takes its leases away.
        if self._hub.settings.embedded or self._seen == float("-inf"):
            return
        if clock.monotonic() - self._seen > FENCE_AFTER:
            self.boot, self._seen, self.live = clock.new_id(), float("-inf"), frozenset()
            metrics.FENCED.inc()
            _log.error("node.fenced", node=self.name)
            for tell in self.when_fenced:
                tell()

    def may_work(self) -> bool:
        """Tell whether this node may claim and fire now."""
        self.check()
        if self._seen == float("-inf") or self._stopping or self.is_quarantined or self.is_uprooted:
            return False
        return abs(self.offset) <= OFFSET_STOPS

    def now(self) -> datetime:
        """Return the database's instant as this machine can best tell it without asking."""
        return clock.utc_now() - timedelta(seconds=self.offset)

    def tick(self) -> None:
        """Note that the scheduler came by."""
        self._ticked = clock.monotonic()

    def came_round(self, loop: str) -> None:
        """Note that a loop of this node begins a round, and so has ended the one before."""
        self._rounds[loop] = clock.monotonic()

    def faults(self) -> list[str]:
        """Return the codes of what keeps this node from being ready; none when it is.

        Nothing that all nodes see alike is among them: all would leave at once, and nobody be left (ADR 0068).
        """
        self.check()
        found = []
        if self._stopping:
            found.append("node.stopping")
        if self._seen == float("-inf"):
            found.append("node.unseen")
        if self.is_quarantined:
            found.append("hub.restored")
        if self.is_uprooted:
            found.append("vault.root_replaced")
        if abs(self.offset) > OFFSET_UNREADY:
            found.append("clock.offset")
        if clock.monotonic() - self._ticked > TICK_WITHIN:
            found.append("worker.no_tick")
        if any(clock.monotonic() - at > ROUND_WITHIN for at in self._rounds.values()):
            found.append("worker.stuck")
        return found

    def stop_claiming(self) -> None:
        """Take on nothing new from now on."""
        self._stopping = True

    async def stop(self) -> None:
        """Leave: the others need not wait until this node looks dead."""
        with contextlib.suppress(Exception):
            await self._hub.database.write(self._leave, db.HUB)
        if self._database is not self._hub.database:
            await self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _be_seen(self, conn: AsyncConnection, boot: UUID) -> tuple[float, frozenset[UUID], bool]:
        now, offset = await measured(conn)
        insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
        row = insert(_NODES).values(id=boot, name=self.name, started_at=now, seen_at=now)
        await conn.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))
        live = (await conn.execute(sa.select(_NODES.c.id).where(_NODES.c.seen_at >= now - TTL))).scalars()
        return offset, frozenset(live), await restorations.is_quarantined(conn)

    async def _look_at_root(self) -> None:
        # After it was seen: who replaces the root waits for beats, and begins with none. Whoever comes back later asks.
        async with self._database.read(db.HUB) as conn:
            self.is_uprooted = await roots.is_replaced(conn, self._hub.vault)
        if self.is_uprooted:
            self._hub.vault.close_indexes()
            _log.error("vault.root_replaced", node=self.name)

    async def _leave(self, conn: AsyncConnection) -> None:
        await conn.execute(sa.delete(_NODES).where(_NODES.c.id == self.boot))

    async def _forget_former_selves(self, conn: AsyncConnection) -> None:
        await conn.execute(sa.delete(_NODES))


async def measured(conn: AsyncConnection) -> tuple[datetime, float]:
    """Return the database's instant, and by how many seconds this machine's clock is ahead of it (behind: below 0).

    No more than what is certain: an answer that was slow on its way is no offset of the clock.
    """
    before = clock.utc_now()
    now = await db.now(conn)
    after = clock.utc_now()
    return now, (max(before - now, timedelta()) or min(after - now, timedelta())).total_seconds()


def lock(path: Path) -> IO[bytes]:
    """Lock ``path`` for this process until the returned file is closed; raise ``AlreadyRunning`` if it is taken."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AlreadyRunning(path) from None
    return file
