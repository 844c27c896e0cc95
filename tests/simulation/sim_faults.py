"""What goes wrong: nodes that die, stand still or have a wrong clock, a database that fails, bad habits."""

import asyncio
import contextvars
from datetime import timedelta
from typing import TYPE_CHECKING

from sim_network import Habit, lasting
from sim_nodes import Process
from sim_people import BANKS, PHONES
from world import AGENCY

from service.engine.hub import OPERATOR

if TYPE_CHECKING:
    from sim_world import Simulation

# Faults of the machines; a seed draws which of them it knows (a swarm finds more than all of them at once).
KINDS = ("crash", "pause", "clock", "database_clock", "outage", "commits", "rolling", "lossy_calls", "endpoints")


class Faults:
    """Breaks things at instants and statements that the seed decides, until ``over`` is called."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.is_out = False
        self.kinds: list[str] = []
        self._share_of_commits = 0.0
        self._over = False
        self.ended_at = 0.0
        self.happened: dict[str, int] = {}

    def plan(self, seconds: float, busy: list[float]) -> None:
        """Plan the faults of the first so many seconds, most of them soon after the instants at which much happens."""
        chance = self.simulation.chance
        self.kinds = [kind for kind in KINDS if chance.random() < 0.5]
        self.simulation.tell("faults", kinds="+".join(self.kinds) or "none")
        used = "', '".join((AGENCY, OPERATOR, *BANKS, *PHONES))
        rows = self.simulation.store.rows(f"SELECT id FROM endpoints WHERE tenant IN ('{used}')")
        endpoints = sorted(row[0] for row in rows)
        for kind in self.kinds:
            for _ in range(chance.randrange(1, 4)):
                soon = chance.choice(busy) + chance.choice((0.3, 10, 400)) * chance.random()
                at = soon if chance.random() < 0.7 else chance.uniform(0.5, seconds)
                self.simulation.loop.call_later(at, self._begin, kind, endpoints)

    def _begin(self, kind: str, endpoints: list[str]) -> None:
        if not self._over:
            self.happened[kind] = self.happened.get(kind, 0) + 1
            self.simulation.outside(getattr(self, f"_{kind}")(endpoints))

    async def over(self) -> None:
        """Let everything be well again, and every node be there."""
        self._over = True
        self.is_out, self._share_of_commits, self.simulation.people.loss = False, 0.0, 0.0
        self.simulation.network.heal()
        self.simulation.clocks.database_offset = timedelta()
        self._disturb()
        self.ended_at = self.simulation.loop.time()
        for process in self.simulation.processes:
            process.clock_offset, process.paused_until, process.fuse = timedelta(), 0.0, None
            await self._return(process)
        # The database's clock has been set right: who sleeps until something is due looks anew.
        self.simulation.stir(None)

    # Around every statement of a node.

    async def before(self, owner: Process, kind: str) -> None:
        """Wait, fail or die before a statement takes effect."""
        simulation, chance = self.simulation, self.simulation.chance
        if kind == "begin":
            await owner.awake()
            await asyncio.sleep(chance.uniform(0.0001, 0.003))
        elif kind == "commit":
            await asyncio.sleep(chance.uniform(0.0001, 0.002))
        if owner.fuse is not None and kind != "rollback":
            owner.fuse -= 1
            if owner.fuse < 0:
                self._die(owner, f"before {kind}")
                await asyncio.sleep(0)
        if self.is_out and kind != "rollback":
            raise simulation.store.broken("the database is out (simulated)")
        if kind == "commit" and self._share_of_commits and chance.random() < self._share_of_commits:
            simulation.tell("commit", outcome="not applied", node=owner.name)
            raise simulation.store.broken("the commit failed (simulated)")

    async def after(self, owner: Process, kind: str) -> None:
        """Wait, fail or die after a commit took effect and before anybody knows."""
        if kind != "commit":
            return
        simulation, chance = self.simulation, self.simulation.chance
        if owner.fuse == 0 and chance.random() < 0.5:
            self._die(owner, "after commit")
            await asyncio.sleep(0)
        if self._share_of_commits and chance.random() < self._share_of_commits:
            simulation.tell("commit", outcome="answer lost", node=owner.name)
            raise simulation.store.broken("the commit's answer was lost (simulated)")

    def _die(self, process: Process, when: str) -> None:
        self.simulation.tell("crash", node=process.name, when=when)
        self._disturb(process)
        process.kill()
        self.simulation.outside(self._return_after(process))

    async def _return_after(self, process: Process) -> None:
        await asyncio.sleep(self.simulation.chance.choice((0.5, 4, 30)) * self.simulation.chance.random())
        await self._return(process)

    async def _return(self, process: Process) -> None:
        if process.is_alive or process.is_starting:
            return
        process.is_starting = True
        await process.buried()
        process.start()
        for seconds in (6.0, 12.0):
            self.simulation.loop.call_later(seconds, self.simulation.stir, None, context=contextvars.Context())

    # The faults.

    def _disturb(self, *processes: Process, until: float = 0.0) -> None:
        """Note that these nodes, or all, may look dead to the others by now."""
        for process in processes or self.simulation.processes:
            process.must_beat = True
            process.disturbed_at = max(process.disturbed_at, self.simulation.loop.time(), until)

    def _one(self) -> Process:
        return self.simulation.chance.choice(self.simulation.processes)

    async def _crash(self, _: list[str]) -> None:
        process = self._one()
        if process.is_alive:
            process.fuse = int(self.simulation.chance.choice((1, 10, 100)) * self.simulation.chance.random())

    async def _pause(self, _: list[str]) -> None:
        process, chance = self._one(), self.simulation.chance
        seconds = chance.choice((2, 8, 60)) * chance.random()
        self.simulation.tell("pause", node=process.name, seconds=round(seconds, 3))
        process.paused_until = self.simulation.loop.time() + seconds
        self._disturb(process, until=process.paused_until)
        for later in (5.5, 7.0, seconds + 0.1):
            self.simulation.loop.call_later(later, self.simulation.stir, None)

    async def _clock(self, _: list[str]) -> None:
        process, chance = self._one(), self.simulation.chance
        off = timedelta(seconds=chance.choice((0.5, 3, 60, 86_400)) * chance.choice((-1, 1)))
        self.simulation.tell("clock", node=process.name, off=off.total_seconds())
        process.clock_offset = off
        self._disturb(process)
        self.simulation.stir(None)
        await asyncio.sleep(chance.uniform(5, 900))
        process.clock_offset = timedelta()
        self._disturb(process)
        self.simulation.stir(None)

    async def _database_clock(self, _: list[str]) -> None:
        # A standby that is promoted has a clock of its own, until it is set right.
        chance = self.simulation.chance
        step = timedelta(seconds=chance.choice((1, 5, 30)) * chance.uniform(-1, 1))
        self.simulation.tell("database.clock", step=step.total_seconds())
        self._disturb()
        self.simulation.clocks.step(step)
        self.simulation.stir(None)
        await asyncio.sleep(chance.uniform(5, 200))
        if not self._over:
            self._disturb()
            self.simulation.clocks.step(-step)
            self.simulation.stir(None)

    async def _outage(self, _: list[str]) -> None:
        chance = self.simulation.chance
        self.is_out = True
        self.simulation.tell("outage")
        await asyncio.sleep(chance.choice((0.3, 3, 20)) * chance.random())
        self.is_out = False
        self._disturb()
        self.simulation.stir(None)

    async def _commits(self, _: list[str]) -> None:
        chance = self.simulation.chance
        self._share_of_commits = chance.choice((0.05, 0.3))
        seconds = chance.uniform(5, 300)
        self._disturb(until=self.simulation.loop.time() + seconds)
        await asyncio.sleep(seconds)
        self._share_of_commits = 0.0

    async def _rolling(self, _: list[str]) -> None:
        for process in self.simulation.processes:
            if not process.is_well or self._over:
                continue
            self.simulation.tell("leave", node=process.name)
            self._disturb(process)
            await asyncio.wait({process.spawn(process.leave())}, timeout=60)
            process.kill()
            await self._return(process)

    async def _lossy_calls(self, _: list[str]) -> None:
        self.simulation.people.loss = 0.25
        await asyncio.sleep(self.simulation.chance.uniform(10, 1200))
        self.simulation.people.loss = 0.0

    async def _endpoints(self, endpoints: list[str]) -> None:
        chance, network = self.simulation.chance, self.simulation.network
        for endpoint in chance.sample(endpoints, chance.randrange(1, 6)):
            habit = chance.choice(list(Habit))
            self.simulation.tell("habit", endpoint=endpoint[-8:], habit=str(habit))
            network.misbehave(endpoint, habit, lasting(self.simulation).total_seconds())
