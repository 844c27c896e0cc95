"""What wakes the open boards of one node: it looks once a second whether anything was recorded, however many watch."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from service import clock, db, log, outages
from service.engine.hub import OPERATOR, Hub
from service.queries import live_board
from service.web.streams import Streams

_log = log.get(__name__)

MOST = 200
PER_PERSON = 6
# A commit of this process on SQLite rings earlier; on PostgreSQL this is how late a change is seen.
LOOK_EVERY = 1.0
# Time alone moves orders from one group to the next: what was read is read anew after so long.
_FRESH_FOR = 4.0
_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Kept:
    marker: tuple[int, int]
    read_at: float
    result: asyncio.Future[Any]


class Watch:
    """The boards that are open at one node, and what they share."""

    def __init__(self) -> None:
        self._places = Streams(MOST, PER_PERSON)
        self._looking: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._marker = (0, 0)
        self._kept: dict[Hashable, _Kept] = {}
        # A task that nobody refers to may be forgotten while it runs.
        self._reading: set[asyncio.Future[Any]] = set()

    @contextlib.contextmanager
    def place(self, hub: Hub, person: str) -> Iterator[None]:
        """Hold a place for one open board; the first one begins the looking, the last one ends it.

        Raises ``TooManyRequests`` where there is none: such a board renews itself every 15 seconds.
        """
        with self._places.place(person):
            if self._looking is None:
                self._looking = asyncio.create_task(self._look_forever(hub), name="board")
            try:
                yield
            finally:
                # Its own place is still among them.
                if len(self._places) == 1:
                    for task in (self._looking, *self._reading):
                        task.cancel()
                    self._looking = None
                    self._kept.clear()

    @property
    def next_move(self) -> asyncio.Event:
        """What is set when something is recorded from here on. Taken before reading, it misses nothing meanwhile."""
        return self._moved

    async def shared(self, key: Hashable, read: Callable[[], Awaitable[Any]]) -> Any:
        """Return what ``read`` returns, or what somebody who watches the same has just read."""
        kept = self._kept.get(key)
        now = clock.monotonic()
        if kept is None or kept.marker != self._marker or now - kept.read_at >= _FRESH_FOR:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = _Kept(self._marker, now, asyncio.ensure_future(read()))
            self._reading.add(kept.result)
            kept.result.add_done_callback(self._reading.discard)
        return await asyncio.shield(kept.result)

    async def _look_forever(self, hub: Hub) -> None:
        with hub.writer.doorbell.waiting(OPERATOR) as bell:
            while True:
                try:
                    async with hub.database.read(db.HUB) as conn:
                        marker = await live_board.marker(conn)
                except Exception as error:
                    if not outages.is_outage(error):
                        raise
                    # The boards renew themselves meanwhile, and say so.
                    _log.warning("board.blind")
                    marker = self._marker
                if marker != self._marker:
                    self._marker = marker
                    self._moved.set()
                    self._moved = asyncio.Event()
                await bell.wait(LOOK_EVERY)
