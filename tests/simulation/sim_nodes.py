"""A node of the hub as the simulation runs it: the real engine, a database that fails, a process that can die."""

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

from builders import MASTER, ORDER_KEY
from sim_time import ACTING, Meant
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.registry import Adapters
from adapters.webhook import Webhook
from service import clock, db
from service.db import Database
from service.engine import firing, handing_over
from service.engine.delivery import POLL, Delivery
from service.engine.hub import Hub
from service.engine.node import Node
from service.engine.writer import Writer
from service.queries.registry import Registry
from service.settings import Settings
from service.vault import Vault

if TYPE_CHECKING:
    from sim_world import Simulation

NODES = ("node-a", "node-b", "node-c")
# Who looks at the database when all is over.
CHECKER = "checker"
# How long the loops of a node leave in peace what is due and cannot be done now: twice as long each time.
_LONGEST_PAUSE = 20.0
_LOOK = """
SELECT (SELECT min(run_at) FROM dispatch_queue WHERE NOT leased),
       (SELECT min(due_at) FROM deadlines WHERE state = 'pending'),
       (SELECT min(lease_until) FROM dispatch_queue WHERE leased),
       (SELECT min(open_until) FROM endpoint_states WHERE open_until IS NOT NULL),
       (SELECT count(*) FROM dispatch_queue WHERE leased),
       (SELECT count(*) FROM dispatches WHERE state = 'pending' AND kind = 'order' AND participant_id = 'techcombank')
"""


class SharedDatabase(Settings):
    """Settings of a node that shares its database with others, be it a file: the simulation keeps them apart."""

    @property
    def embedded(self) -> bool:
        """No file of this node's own."""
        return False


def was_meant(error: BaseException | None) -> bool:
    """Tell whether an error goes back to what the simulation broke.

    Who waits in vain for a connection waits for a machine that stands still; were it lost, nobody would get an answer.
    """
    while error is not None:
        if isinstance(error, Meant | PoolTimeout):
            return True
        original = getattr(error, "orig", None)
        if original is not None and original is not error and was_meant(original):
            return True
        error = error.__cause__ or error.__context__
    return False


class Stirring(Writer):
    """Writes as the hub does, and lets the other nodes notice what has changed."""

    def __init__(self, process: "Process") -> None:
        super().__init__(process.database)
        self._process = process

    async def run(self, unit: Any, singles: Any = (), *, reach: Any) -> Any:
        """Run a unit, and stir up the others if it moved anything, also where nobody learned that it did."""
        try:
            return await super().run(unit, singles, reach=reach)
        finally:
            self._process.simulation.moved(self._process)


class Process:
    """One node: what it runs ends with it, and its next life knows nothing but the database."""

    # Kept from seed to seed, for what they have compiled; made and connected once before the first one.
    bases: ClassVar[dict[tuple[str, str], Database]] = {}

    def __init__(self, simulation: "Simulation", name: str) -> None:
        self.simulation = simulation
        self.name = name
        self.clock_offset = timedelta()
        self.is_alive = False
        self.is_leaving = False
        self.is_starting = False
        self.paused_until = 0.0
        # When something last happened after which the others may take it for dead.
        self.disturbed_at = float("-inf")
        # So many statements on, it dies; None: not now.
        self.fuse: int | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._pause = POLL
        # A clock has changed: the next beat will tell.
        self.must_beat = False
        self.lives = 0
        kind = simulation.template.kind
        self.database, self.hearts = self.bases[kind, name], self.bases[kind, f"{name}/heart"]

    @classmethod
    async def prepare(cls, kind: str) -> None:
        """Connect every database once: a first connection asks more than the later ones do."""
        for name in (*NODES, *(f"{name}/heart" for name in NODES), CHECKER):
            made = cls.bases[kind, name] = Database(f"{kind}:///simulated")
            await made.write(db.now, db.HUB)
            async with made.read(db.HUB) as conn:
                await db.now(conn)
            await made.close()

    # Its life.

    def start(self) -> None:
        """Begin a life."""
        self.lives += 1
        self.is_alive, self.is_leaving, self.is_starting, self.fuse = True, False, False, None
        self.must_beat = False
        settings = SharedDatabase(node=self.name, data_dir=Path("simulated"), certification="optional")
        self.hub = Hub(
            settings=settings,
            database=self.database,
            vault=Vault.of(MASTER),
            writer=Stirring(self),
            registry=Registry(settings.policy),
            signing=(),
            order_keys=(ORDER_KEY,),
        )
        with mock.patch("service.engine.node.Database", lambda url, pool, of: self.hearts):
            self.node = Node(self.hub)
        adapters = Adapters(Webhook(settings.address, lambda: clock.utc_now().timestamp()))
        self.delivery = Delivery(self.hub, self.node, adapters, self.simulation.network)
        self._aside = firing.Aside()
        self.spawn(self._live())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something as a part of this process."""
        context = contextvars.Context()
        context.run(ACTING.set, self)
        return self.simulation.loop.create_task(work, context=context)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Take a task for a part of this process."""
        self._tasks[task] = None
        task.add_done_callback(lambda ended: self._tasks.pop(ended, None))
        if not self.is_alive:
            task.cancel()

    def poke(self) -> None:
        """Let its loops look at once."""
        if self.is_alive:
            self.hub.writer.wake.set()

    def kill(self) -> None:
        """End it as SIGKILL does: nothing is handed back, what was not committed is gone."""
        if self.is_alive:
            self.is_alive, self.fuse = False, None
            self.simulation.store.cut(self)
            for task in list(self._tasks):
                task.cancel()

    async def buried(self) -> None:
        """Wait until nothing of the former life moves any more."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        await self.database.close()
        await self.hearts.close()

    async def leave(self) -> None:
        """Go in good order, as at SIGTERM; whatever fails then is the business of the others."""
        if not self.is_alive:
            return
        self.is_leaving = True
        self.node.stop_claiming()
        try:
            await self.delivery.drain(8.0)
        except Exception as error:
            self.simulation.unexpected("drain", error)
        await self.node.stop()
        self.kill()

    async def awake(self) -> None:
        """Wait while the whole machine stands still."""
        if (seconds := self.paused_until - self.simulation.loop.time()) > 0:
            await asyncio.sleep(seconds)
            # It may have been stopped anew meanwhile.
            await self.awake()

    @property
    def is_well(self) -> bool:
        """Tell whether it runs now: its heart beats although nobody watches."""
        return self.is_alive and self.paused_until <= self.simulation.loop.time()

    def seen(self, at: float) -> None:
        """Note that its heart went on beating while nothing else happened."""
        if self.node._seen > float("-inf"):
            self.node._seen = max(self.node._seen, at)

    # Its loops.

    async def _live(self) -> None:
        while True:
            try:
                await self.node.start()
                break
            except Exception as error:
                self.simulation.unexpected("start", error)
                await asyncio.sleep(1.0)
        self.simulation.tell("node.started", node=self.name, boot=str(self.node.boot)[-8:])
        self.spawn(self._settle())
        while True:
            await self.awake()
            try:
                await self._step()
            except Exception as error:
                # The worker's scheduler would start the loop anew.
                self.simulation.unexpected("loop", error)
                self._pause = max(self._pause, 1.0)
            await self._rest()

    async def _settle(self) -> None:
        while True:
            await self.awake()
            try:
                await self.delivery.settle_once()
            except Exception as error:
                self.simulation.unexpected("settle", error)

    async def _step(self) -> None:
        chance = self.simulation.chance
        if self.must_beat or self.node._seen == float("-inf") or chance.random() < 0.02:
            try:
                await self.node.beat()
                self.must_beat = False
            except Exception as error:
                self.simulation.unexpected("beat", error)
        self.node.check()
        queue, deadlines, _, _, leased, waiting = self.looked()
        now = self.simulation.clocks.database()
        if leased and (self._is_anything_orphaned() or chance.random() < 0.1):
            await self.node.sweep()
        if not self.node.may_work():
            return
        if waiting and chance.random() < 0.5:
            await handing_over.hand_over(self.hub)
        if deadlines is not None and deadlines <= now:
            while (result := await firing.fire_once(self.hub, self._aside)).more and result.fired:
                continue
        if self.is_leaving:
            return
        while (queue := self.looked()[0]) is not None and queue <= self.simulation.clocks.database():
            if not await self.delivery.claim_once():
                break

    def looked(self) -> tuple[Any, ...]:
        """Look what is due when, as any loop of the worker does four times a second."""
        [row] = self.simulation.store.rows(_LOOK)
        return *(None if each is None else _instant(each) for each in row[:4]), *row[4:]

    def _is_anything_orphaned(self) -> bool:
        """Tell whether a sweep would find something; one that finds nothing is made only now and then."""
        boots = {each.node.boot.hex for each in self.simulation.processes if each.is_well}
        now = self.simulation.clocks.database_text()
        leases = self.simulation.store.rows("SELECT lease_id, lease_until FROM dispatch_queue WHERE leased")
        return any(lease not in boots or until < now for lease, until in leases)

    def coming(self) -> float | None:
        """Return in how many seconds the next thing is due; None where nothing is."""
        queue, deadlines, *_ = self.looked()
        instants = [each for each in (queue, deadlines) if each is not None]
        return (min(instants) - self.simulation.clocks.database()).total_seconds() if instants else None

    async def _rest(self) -> None:
        queue, deadlines, leases, breakers, leased, _ = self.looked()
        now = self.simulation.clocks.database()
        instants = [each for each in (queue, deadlines, leases, breakers) if each is not None]
        if any(each <= now for each in (queue, deadlines) if each is not None) or leased:
            pause = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        else:
            pause, self._pause = 2_592_000.0, POLL
        coming = [(each - now).total_seconds() for each in instants if each > now]
        pause = min([pause, *coming])
        wake = self.hub.writer.wake
        wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause + self.simulation.chance.uniform(0, POLL)):
                await wake.wait()
                self._pause = POLL


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.UTC)
