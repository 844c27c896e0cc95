"""The dispatch queue's statements, one twin a database; the only SQL of the engine that depends on which one it is."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.engine.store import postgres, sqlite
from service.engine.store.rows import Call, Claimed, Free, Retry, Stats, cancel

__all__ = ["Call", "Claimed", "Free", "QueueStore", "Retry", "Stats", "cancel", "of"]


class QueueStore(Protocol):
    """What the engine asks of the queue; every call runs inside the caller's transaction.

    Each change of a leased row is fenced: it names the lease, and what settles a call its attempt too; a row whose
    lease was lost is left alone and missing from the answer. ``claim`` and ``reap`` skip rows that others hold and
    therefore never wait for an action.
    """

    async def claim(
        self,
        conn: AsyncConnection,
        free: Mapping[UUID, Free],
        *,
        cap: int,
        node: str,
        lease: UUID,
        within: timedelta,
        floors: Mapping[UUID, datetime] | None = None,
    ) -> list[Claimed]:
        """Lease what is due, at most ``cap`` rows and at most what ``free`` allows per endpoint, for ``within``.

        What became due before an endpoint's floor is not looked at.
        """
        ...

    async def least(self, conn: AsyncConnection, endpoints: Collection[UUID]) -> dict[UUID, datetime]:
        """Return the earliest instant from which anything may go to each endpoint for which something waits."""
        ...

    async def complete(self, conn: AsyncConnection, calls: Collection[Call], lease: UUID) -> set[Call]:
        """Delete the rows of calls that are done, dead or over; return those that were still ours and not over."""
        ...

    async def retry(self, conn: AsyncConnection, retries: Collection[Retry], lease: UUID) -> set[Call]:
        """Hand rows back for a later attempt; return the calls whose rows were still ours."""
        ...

    async def release(
        self, conn: AsyncConnection, lease: UUID, *, keep: Collection[int] = (), begun: Collection[int] = ()
    ) -> int:
        """Hand back what ``lease`` holds except ``keep``; only of what was ``begun`` does the attempt count."""
        ...

    async def put_back(self, conn: AsyncConnection, queue_ids: Collection[int], lease: UUID) -> None:
        """Hand back some of what was just claimed, as if it had not been."""
        ...

    async def reap(self, conn: AsyncConnection, ttl: timedelta, own: UUID) -> int:
        """Free the rows of nodes not seen for ``ttl`` (never of ``own``) and of leases that ended; return how many."""
        ...

    async def stats(self, conn: AsyncConnection) -> Stats:
        """Count what is ready, leased and overdue."""
        ...


def of(dialect: str) -> QueueStore:
    """Return the queue of a dialect, ``sqlite`` or ``postgresql``."""
    return sqlite.Queue() if dialect == "sqlite" else postgres.Queue()
