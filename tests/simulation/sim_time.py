"""Virtual time: an event loop that never waits, the machine clocks of the nodes, and the one clock of the database."""

import asyncio
import contextvars
import itertools
import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

from service import clock, embedded

# The nearest to now that a timer may be without the loop asking the clock again: far below any wait of the hub.
_RESOLUTION = 1e-6
# The process on whose behalf something runs: a node of the hub, or None for the world around it.
ACTING: contextvars.ContextVar[Any] = contextvars.ContextVar("acting", default=None)


class Meant:
    """Marks an error that the simulation caused on purpose."""


class Stalled(Exception):
    """Nothing is ready and nothing will ever be: the simulation waits for what nobody does."""


class _Jump:
    """Stands where an event loop asks its sockets: instead of waiting it moves the time to the next timer."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stalled
        if timeout > 0:
            self._loop.jump(timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks as asyncio does, in an order that depends on nothing but them; its time stands still while they run.

    ``on_jump`` is called with the old and the new time (seconds since the start) before time moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self._elapsed = 0.0
        self._selector = _Jump(self)
        self._clock_resolution = _RESOLUTION
        self.on_jump: Callable[[float, float], None] = lambda before, after: None
        self.set_task_factory(_adopted)

    def time(self) -> float:
        """Return the seconds since the simulation began."""
        return self._elapsed

    def jump(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self.on_jump(self._elapsed, self._elapsed + seconds)
        self._elapsed += seconds

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There is no other thread to be woken by."""


def _adopted(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
    """Make a task, and note whose it is: what a process has started ends with it."""
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    context = options.get("context")
    owner = context.get(ACTING) if context is not None else ACTING.get()
    if owner is not None:
        owner.adopt(task)
    return task


class Clocks:
    """Every clock of one simulation: ``began`` is its first instant, ``database_offset`` the sum of the steps."""

    def __init__(self, loop: VirtualLoop, began: datetime, chance: random.Random) -> None:
        self._loop = loop
        self._began = began
        self._chance = chance
        self.database_offset = timedelta()

    def step(self, by: timedelta) -> None:
        """Let the database's clock jump: a standby that is promoted has a clock of its own."""
        self.database_offset += by

    def true(self) -> datetime:
        """Return the instant outside of every machine."""
        return self._began + timedelta(microseconds=round(self._loop.time() * 1_000_000))

    def at(self, elapsed: float) -> datetime:
        """Return the true instant of a time of the loop."""
        return self._began + timedelta(seconds=elapsed)

    def database(self) -> datetime:
        """Return the database's instant, which alone the deadlines obey."""
        return self.true() + self.database_offset

    def machine(self) -> datetime:
        """Return the instant of whoever acts: a node's clock may be off."""
        owner = ACTING.get()
        return self.true() + (owner.clock_offset if owner is not None else timedelta())

    def new_id(self) -> UUID:
        """Return a UUID of version 7 drawn from the seed."""
        milliseconds = int(self.machine().timestamp() * 1000) & ((1 << 48) - 1)
        drawn = self._chance.getrandbits(74)
        value = milliseconds << 80 | 0x7 << 76 | (drawn >> 62) << 64 | 0b10 << 62 | drawn & ((1 << 62) - 1)
        return UUID(int=value)

    def database_text(self) -> str:
        """Return the database's instant as SQLite stores one."""
        return self.database().strftime("%Y-%m-%d %H:%M:%S.%f")

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Let the hub read these clocks and draw from this chance instead of the machine's."""
        drawn = itertools.count(1)
        secrets = types.SimpleNamespace(
            choice=self._chance.choice,
            token_urlsafe=lambda size=32: f"drawn-{next(drawn)}-{self._chance.getrandbits(64):x}",
        )
        with (
            mock.patch.object(clock, "utc_now", self.machine),
            mock.patch.object(clock, "new_id", self.new_id),
            mock.patch.object(clock, "monotonic", self._loop.time),
            mock.patch.object(embedded, "_now", self.database_text),
            mock.patch("service.actions.references.secrets", secrets),
            mock.patch("service.security.signatures.secrets", secrets),
        ):
            yield
