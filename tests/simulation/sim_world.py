"""One simulation: the nodes, people, endpoints and faults that a seed decides, and the history that they make."""

import asyncio
import contextvars
import hashlib
import itertools
import random
import sys
import traceback
from collections import deque
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sim_checks
import structlog
from sim_faults import Faults
from sim_network import Network
from sim_nodes import NODES, Process, was_meant
from sim_office import Office
from sim_people import People
from sim_template import EPOCH, Template
from sim_time import Clocks, Stalled, VirtualLoop

from service.engine.delivery import POLL

# What the hub itself logs when something went wrong that it did not see coming.
_BROKE = frozenset({"firing.broke", "firing.given_up", "settling.broke", "settling.given_up", "attempt.broke"})
# After the last fault everything comes to its end, at the latest what is preserved for months.
CALM = timedelta(days=400)
LOOK_EVERY = 600.0
# Beyond the longest wait between two attempts and the longest pause of a breaker.
STANDSTILL = 2 * 3600.0
TAIL = 400


@dataclass
class Verdict:
    """What one seed came to: what was wrong, how much happened, a digest of the whole history and its last events."""

    seed: int
    violations: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    history: list[str] = field(default_factory=list)


class Simulation:
    """Everything that exists while a seed is played."""

    def __init__(self, seed: int, template: Template, *, keep: int = TAIL, scale: float = 1.0) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.chance = random.Random(seed)
        # The same base for a seed whatever else it draws.
        began = EPOCH + timedelta(hours=random.Random(f"began {seed}").randrange(24 * 90))
        self.clocks = Clocks(self.loop, began, random.Random(f"ids {seed}"))
        self.template = template
        self.store = template.copied(self.clocks.database_text)
        self.scale = scale
        self.verdict = Verdict(seed)
        self._digest = hashlib.sha256()
        self._history: deque[str] = deque(maxlen=keep)
        self._numbers = itertools.count(1)
        self._beaten = 0.0
        self._last_move = 0
        self._watched = (0, 0.0)
        self._others: dict[asyncio.Task[Any], None] = {}
        self.heads: list[tuple[str, int, bytes]] = []
        self.network = Network(self)
        self.people = People(self, template.world)
        self.processes = [Process(self, name) for name in NODES]
        self.faults = Faults(self)
        self.office = Office(self)

    # What happens is told here, and what must not.

    def tell(self, event: str, **said: Any) -> None:
        """Write one event into the history."""
        more = " ".join(f"{name}={value}" for name, value in said.items())
        line = f"{next(self._numbers):6} {self.loop.time():14.6f} {event} {more}"
        self._digest.update(line.encode())
        self._history.append(line)

    def wrong(self, promise: str, what: str) -> None:
        """Note that a promise was broken."""
        self.tell("WRONG", promise=promise, what=what)
        self.verdict.violations.append(f"{promise}: {what}")

    def outside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something that is no node's, whoever asks for it."""
        task = self.loop.create_task(work, context=contextvars.Context())
        self._others[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._others.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.wrong("simulation", f"{error!r} at {traceback.extract_tb(error.__traceback__)[-1]}")

    def moved(self, by: Process) -> None:
        """Let the other nodes notice a commit that changed something."""
        [[last]] = self.store.rows("SELECT max(id) FROM sim_moves")
        if last != self._last_move:
            self._last_move = last
            self.stir(by)

    def stir(self, but: Process | None) -> None:
        """Let the nodes notice within a quarter of a second that something was committed."""
        for process in self.processes:
            if process is not but and process.is_alive:
                self.loop.call_later(self.chance.uniform(0, POLL), process.poke, context=contextvars.Context())

    def unexpected(self, where: str, error: BaseException) -> None:
        """Note an error that a loop of a node ended with: one that nobody broke on purpose is wrong."""
        if was_meant(error) or isinstance(error, TimeoutError):
            self.tell("failed", where=where, error=type(error).__name__)
        else:
            self.wrong("broke", f"{where}: {error!r}")

    def logged(self, _logger: Any, _method: str, event: Any) -> Any:
        """Read the hub's own log as it is written."""
        if event.get("event") in _BROKE:
            error = event.get("exc_info")
            error = error if isinstance(error, BaseException) else _current()
            if error is None or not was_meant(error):
                self.wrong("broke", f"{event['event']}: {error!r}")
        raise structlog.DropEvent

    # How it is played.

    def run(self) -> Verdict:
        """Play it to its end and return what it came to."""
        random.seed(self.seed)
        asyncio.set_event_loop(self.loop)
        with ExitStack() as stack:
            stack.enter_context(self.clocks.in_force())
            stack.enter_context(self.template.inline(lambda: self.store))
            before = structlog.get_config()
            structlog.configure(processors=[self.logged])
            stack.callback(lambda: structlog.configure(**before))
            try:
                self.loop.run_until_complete(self._play())
            except Stalled:
                self.wrong("stalled", "nobody does anything any more")
            finally:
                self._end()
        self.verdict.digest = self._digest.hexdigest()[:16]
        self.verdict.history = list(self._history)
        return self.verdict

    async def _play(self) -> None:
        self.loop.on_jump = self._hearts
        self.store.before, self.store.after = self.faults.before, self.faults.after
        for process in self.processes:
            process.start()
        minutes = self.chance.choice((10, 40, 120)) * self.scale
        began: list[float] = []
        for _ in range(self.chance.randrange(1, 5)):
            began.append(self.chance.uniform(1, 60 * minutes))
            self.people.later(began[-1], self.people.matter)
        self.faults.plan(60 * minutes, began)
        self.office.plan(60 * minutes, began)
        await self._until(60 * minutes)
        # The ends of holds, and what people said they would do, still meet a fault now and then.
        await self.faults.over()
        await self.office.over()
        self.tell("calm")
        await self._until(self.loop.time() + CALM.total_seconds(), at_rest=True)
        if not self.verdict.violations:
            await sim_checks.at_the_end(self)

    async def _until(self, instant: float, *, at_rest: bool = False) -> None:
        while self.loop.time() < instant:
            pause = LOOK_EVERY
            if at_rest and (coming := self.processes[0].coming()) is not None:
                pause = max(pause, coming + LOOK_EVERY)
            await asyncio.sleep(min(pause, instant - self.loop.time()))
            sim_checks.in_passing(self)
            if self.verdict.violations or (at_rest and self._is_at_rest()):
                return
            if at_rest:
                self._watch()

    def _watch(self) -> None:
        """While all is well something must happen as long as something is due."""
        [[last]] = self.store.rows("SELECT max(id) FROM sim_moves")
        coming = self.processes[0].coming()
        if last != self._watched[0] or coming is None or coming > 0:
            self._watched = last, self.loop.time()
        elif self.loop.time() - self._watched[1] > STANDSTILL:
            self.wrong("stalled", "something is due, and nothing has happened for hours")

    def _is_at_rest(self) -> bool:
        [[waiting]] = self.store.rows(
            "SELECT (SELECT count(*) FROM deadlines WHERE state = 'pending') + (SELECT count(*) FROM dispatch_queue)"
        )
        return not waiting and not self.people.expected

    def _hearts(self, _before: float, after: float) -> None:
        """While nothing else happens hearts beat on: told once, at the end of the quiet, instead of every second."""
        if after - self._beaten < 1.0 or self.faults.is_out:
            return
        well = [each for each in self.processes if each.is_well and each.paused_until <= after]
        at = self.clocks.database() + timedelta(seconds=after - self.loop.time())
        if self.store.see([each.node.boot for each in well], at):
            self._beaten = after
            for each in well:
                each.seen(after)

    def _end(self) -> None:
        self.loop.on_jump = lambda before, after: None
        self.store.before = self.store.after = None
        for process in self.processes:
            process.kill()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(self._buried())
        self.store.close()
        self.loop.close()
        self.template.drop(self.store)

    async def _buried(self) -> None:
        for process in self.processes:
            await process.buried()


def _current() -> BaseException | None:
    return sys.exc_info()[1]
