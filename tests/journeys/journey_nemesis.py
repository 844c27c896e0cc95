"""The nemesis: a schedule of faults that follows from a seed alone, and what carries it out."""

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from journey_faults import Fault, FaultProxy, Kind
from journey_processes import Process
from postgres import Server

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
# From what a node must notice to what it cannot miss; forward and back.
OFFSETS = (1.5, 3.0, 7.0, 60.0, 3_600.0, 86_400.0)
REVIVALS = 20


class What(StrEnum):
    """What may happen."""

    KILL = "kill"
    STOP = "stop"
    CLOCK = "clock"
    CUT_OFF = "cut_off"
    CRASH = "crash"
    CALLER = "caller"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class Step:
    """One fault: after how many acknowledgements and seconds since the one before; what, to whom, for how long, how.

    ``whom`` is a number, taken modulo how many there are.
    """

    acknowledged: int
    after: float
    what: What
    whom: int
    lasts: float
    fault: Fault


def plan(draw: random.Random, faults: int, whats: Sequence[What]) -> list[Step]:
    """Draw a schedule of so many faults, of which each kind is one at least.

    A step waits for acknowledgements rather than for time: on however slow a machine there is load between two faults,
    and now and then a second one while the first still lasts.
    """
    kinds = [*whats, *draw.choices(whats, k=max(0, faults - len(whats)))]
    draw.shuffle(kinds)
    return [
        Step(
            draw.choice((0, 0, 2, 5, 9)),
            round(draw.uniform(0.1, 1.5), 2),
            what,
            draw.randrange(1_000),
            round(draw.uniform(0.3, 4.0), 2),
            _fault(draw, what),
        )
        for what in kinds
    ]


def _fault(draw: random.Random, what: What) -> Fault:
    match what:
        case What.CUT_OFF:
            return Fault(draw.choice((Kind.BLACK_HOLE, Kind.RESET, Kind.DELAY)), 0.2)
        case What.CALLER:
            kind = draw.choice((Kind.DELAY, Kind.CUT, Kind.RESET, Kind.BLACK_HOLE, Kind.DUPLICATE))
            return Fault(kind, 0.3 if kind is Kind.DELAY else draw.randrange(400))
        case What.RECEIVER:
            kind = draw.choice((Kind.DELAY, Kind.CUT, Kind.RESET, Kind.BLACK_HOLE))
            # Half way into the handshake, or into the answer.
            return Fault(kind, 0.3 if kind is Kind.DELAY else draw.randrange(2_500))
        case What.CLOCK:
            return Fault(Kind.PASS, draw.choice(OFFSETS) * draw.choice((-1, 1)))
    return Fault()


class Wrist:
    """The watch of one node: a file that libfaketime reads; only the calendar runs wrong, never the stop watch."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, offset: float) -> None:
        """Let the node's clock be so many seconds ahead."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+.3f}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process look at it."""
        found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
        assert found, "libfaketime is not installed: python tests/system_packages.py"
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
        }


@dataclass
class Nemesis:
    """Carries out a schedule; ``done`` counts what really happened."""

    nodes: Sequence[Process]
    wrists: Sequence[Wrist]
    database: Server | None
    # Between node and database, between callers and node, between hub and receiver.
    lines: Sequence[FaultProxy]
    doors: Sequence[FaultProxy]
    fronts: Sequence[FaultProxy]
    done: Counter[str] = field(default_factory=Counter)
    _locks: dict[object, asyncio.Lock] = field(default_factory=dict)

    async def run(self, steps: Sequence[Step], acknowledged: Callable[[int], Awaitable[None]]) -> None:
        """Do everything, and return when all of it is over and every node is back.

        ``acknowledged`` waits until clients were told yes so many times more.
        """
        async with asyncio.TaskGroup() as group:
            for step in steps:
                await acknowledged(step.acknowledged)
                await asyncio.sleep(step.after)
                group.create_task(self._do(step))

    async def _do(self, step: Step) -> None:
        node = step.whom % len(self.nodes)
        match step.what:
            case What.KILL | What.STOP:
                async with self._lock("node", node):
                    await (self._kill if step.what is What.KILL else self._stop)(self.nodes[node], step.lasts)
            case What.CLOCK:
                async with self._lock("wrist", node):
                    self.wrists[node].set(step.fault.amount)
                    # Long enough for a heartbeat to find out.
                    await asyncio.sleep(step.lasts + 2)
                    self.wrists[node].set(0)
            case What.CRASH:
                assert self.database is not None
                async with self._lock("database", 0):
                    await asyncio.to_thread(self.database.crash)
                    await asyncio.sleep(step.lasts / 2)
                    await asyncio.to_thread(self.database.start)
            case What.CUT_OFF:
                await self._disturb("line", self.lines, step)
            case What.CALLER:
                await self._disturb("door", self.doors, step)
            case What.RECEIVER:
                await self._disturb("front", self.fronts, step)
        self.done[step.what] += 1

    async def _kill(self, node: Process, seconds: float) -> None:
        await node.kill()
        await asyncio.sleep(seconds / 4)
        await revive(node)

    async def _stop(self, node: Process, seconds: float) -> None:
        node.send(signal.SIGSTOP)
        try:
            # Beyond the time after which the others take its work: it wakes up with leases that are not its own.
            await asyncio.sleep(seconds * 2)
        finally:
            with contextlib.suppress(ProcessLookupError):
                node.send(signal.SIGCONT)

    async def _disturb(self, kind: str, among: Sequence[FaultProxy], step: Step) -> None:
        which = step.whom % len(among)
        async with self._lock(kind, which):
            among[which].fault = step.fault
            try:
                await asyncio.sleep(step.lasts)
            finally:
                among[which].fault = Fault()

    def _lock(self, kind: str, number: int) -> asyncio.Lock:
        return self._locks.setdefault((kind, number), asyncio.Lock())


async def revive(node: Process) -> None:
    """Start a node until it is ready, as a service manager does: it ends where it finds no database."""
    for _ in range(REVIVALS):
        await node.start()
        try:
            await node.ready()
            return
        except AssertionError:
            assert node.child is not None
            if node.child.returncode is None:
                raise
            await asyncio.sleep(0.5)
    raise AssertionError(f"the node does not come back:\n{node.text[-2000:]}")
