"""Whoever waits at an inbox is woken by the commit that laid something there; a lost ring is made good by looking."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator

from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, log, outages
from service.db import Database

_log = log.get(__name__)

CHANNEL = "hoatoc_inbox"
# A burst of commits is looked at together rather than one by one.
_PACE = 0.02
_LISTEN_AGAIN = 1.0


class Bell:
    """What one waiting call is woken by; nothing of the database is held meanwhile."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the call, now or when it next waits."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when it is rung, and after ``seconds`` at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._rung.wait()
                await asyncio.sleep(_PACE)
        self._rung.clear()


class Doorbell:
    """The bells of one process, by the participant that waits. A ring is a hint: it says where to look, not what."""

    def __init__(self) -> None:
        self._bells: defaultdict[str, set[Bell]] = defaultdict(set)
        self.is_closed = False

    @contextlib.contextmanager
    def waiting(self, participant_id: str) -> Iterator[Bell]:
        """Give a bell for one call of a participant. What is laid into its inbox after this rings it."""
        bell = Bell()
        self._bells[participant_id].add(bell)
        try:
            yield bell
        finally:
            self._bells[participant_id].discard(bell)
            if not self._bells[participant_id]:
                del self._bells[participant_id]

    def ring(self, participant_id: str) -> None:
        """Wake the calls of one participant."""
        for bell in self._bells.get(participant_id, ()):
            bell.ring()

    def ring_all(self) -> None:
        """Wake every call: something was committed here, and nobody said what."""
        for bells in self._bells.values():
            for bell in bells:
                bell.ring()

    def close(self) -> None:
        """Let nobody wait any longer: the process is about to end."""
        self.is_closed = True
        self.ring_all()

    async def listen_forever(self, database: Database) -> None:
        """Ring for what other processes commit (PostgreSQL); where that breaks, begin anew a second later."""
        while True:
            try:
                await database.listen(CHANNEL, self.ring)
            except outages.MAY_BE as error:
                _log.warning("doorbell.silent", exc_info=error)
            await asyncio.sleep(_LISTEN_AGAIN)


async def announce(conn: AsyncConnection, participant_ids: Collection[str]) -> None:
    """Ring at these participants, on every node, once the transaction is committed; on SQLite the writer rings."""
    for participant_id in sorted(participant_ids):
        await db.notify(conn, CHANNEL, participant_id)
