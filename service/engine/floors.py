"""Floors: the instants below which nothing waits, so that what was looked past before is not walked at each look.

While somebody holds a snapshot (a report, a dump), PostgreSQL keeps the index entries of all that was ever sent or met
meanwhile. Whoever looks for what is due from the beginning walks over them each time; from a floor, hardly any.
A floor is only ever a hint: at each turn everything is looked through from the beginning.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db
from service.engine.store import QueueStore

# Between two looks from the beginning, in seconds: so many times what the last one took, but no less, and no more than
# ten times that.
EVERY = 1.0
SHARE = 20
AT_MOST = 10
# A row bears the instant at which its transaction took its chains, and is seen when that has committed.
MARGIN = timedelta(seconds=10)


class Turns:
    """When it is time to look from the beginning again: seldom enough that this costs a twentieth of a node."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._began = self._next = float("-inf")

    def begins(self) -> bool:
        """Tell whether a look that begins now must be one from the beginning."""
        self._began = clock.monotonic()
        return self._began >= self._next

    def ended(self) -> None:
        """Note that the look from the beginning that began last has ended."""
        at = clock.monotonic()
        self._next = at + min(max(self._every, SHARE * (at - self._began)), AT_MOST * self._every)

    def now(self) -> None:
        """Have the next look be one from the beginning."""
        self._next = float("-inf")


class Floor:
    """The floor of what is due for one purpose, which rises as it is looked through."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._at: datetime | None = None

    def at(self, now: datetime) -> datetime | None:
        """Return from which instant on to look at ``now``, or None: from the beginning."""
        if self._turns.begins():
            self._at = None
        # A database's clock that was set back makes what lies below what was seen before.
        return None if self._at is None else min(self._at, now - MARGIN)

    def looked(self, least: datetime | None, now: datetime) -> None:
        """Take in what was the least that was found, if there was anything, by the look that began last."""
        found = (now if least is None else min(least, now)) - MARGIN
        if self._at is None:
            self._turns.ended()
            self._at = found
        self._at = max(self._at, found)

    def forget(self) -> None:
        """Look from the beginning next time."""
        self._turns.now()


class LaneFloors:
    """The floors of the lanes of one node."""

    def __init__(self, queue: QueueStore, every: float = EVERY) -> None:
        self._queue = queue
        self._turns = Turns(every)
        self._floors: dict[UUID, datetime] = {}

    async def of(self, conn: AsyncConnection, endpoints: Collection[UUID]) -> Mapping[UUID, datetime]:
        """Return the floors of endpoints, of those that have one, looking from the beginning where it is time to."""
        if self._turns.begins():
            before, now = self._floors, await db.now(conn)
            least = await self._queue.least(conn, endpoints)
            # Else they were forgotten while this looked, which may not have seen what was handed back.
            if self._floors is before:
                self._floors = {each: min(least.get(each, now), now) - MARGIN for each in endpoints}
                self._turns.ended()
        return self._floors

    def forget(self) -> None:
        """Look from the beginning next time: rows were handed back that may lie below."""
        self._turns.now()
        self._floors = {}
