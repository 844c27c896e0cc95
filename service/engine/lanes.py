"""The lanes: how many dispatches may be under way to each endpoint and begin in a second; no one holds the others."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from service import db, metrics
from service.db import Database
from service.engine import definitions, parcels
from service.engine.rates import Rates
from service.engine.sending import Door
from service.engine.store import Claimed, Free
from service.models import Alias, Endpoint, EndpointState, table_of
from service.vault import subjects
from workflows.terms import Channel

_ENDPOINTS = table_of(Endpoint)
_STATES = table_of(EndpointState)
_ALIASES = table_of(Alias)

REFRESH_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Openings:
    """Where there is room: lanes with a closed breaker, and endpoints whose breaker waits for one probe.

    ``calls`` is how many calls may begin to each endpoint that takes batches: there, ``free`` counts messages.
    """

    free: dict[UUID, Free]
    tripped: tuple[UUID, ...]
    cap: int
    calls: dict[UUID, int]


class Lanes:
    """Counts what is under way per endpoint; endpoints and their breakers are read from the database once a second."""

    def __init__(self, database: Database, cap: int, refresh_every: float = REFRESH_EVERY) -> None:
        self._database = database
        self._cap = cap
        self._refresh_every = refresh_every
        self._read_at = float("-inf")
        self._doors: dict[UUID, Door] = {}
        self._in_flight: Counter[UUID] = Counter()
        self._retries: Counter[UUID] = Counter()
        self._probes: set[UUID] = set()
        self._rates = Rates()
        self.tripped: set[UUID] = set()

    async def refresh(self) -> None:
        """Read the endpoints and the breakers that are not closed, unless that was done a moment ago."""
        at = _monotonic()
        if at - self._read_at < self._refresh_every:
            return
        self._read_at = at
        async with self._database.read(db.HUB) as conn:
            sent_to = sa.and_(definitions.is_switched_on(), _ENDPOINTS.c.channel != Channel.PULL)
            named = (_name("bin"), _name("swift"))
            rows = (await conn.execute(sa.select(_ENDPOINTS, *named).where(sent_to))).all()
            open_ones = sa.select(_STATES.c.endpoint_id).where(_STATES.c.open_until.is_not(None))
            self.tripped = set((await conn.execute(open_ones)).scalars())
            sealed = [
                each for row in rows for each in (row.secret_sealed, row.previous_secret_sealed, row.address_sealed)
            ]
            keys = await subjects.of(conn, *sealed)
        # Anew each time: what was opened of an endpoint is never older than its row.
        self._doors = {row.id: Door(row, keys) for row in rows}

    @property
    def endpoints(self) -> Collection[UUID]:
        """The endpoints that are sent to, as they were last read."""
        return self._doors.keys()

    def door(self, endpoint_id: UUID) -> Door | None:
        """Return an endpoint as it was last read."""
        return self._doors.get(endpoint_id)

    def openings(self, live_nodes: int) -> Openings:
        """Return where there is room now; a lane's limit and its rate are shared by the nodes that are alive.

        At most half of a lane's slots are for retries, and one is kept for them; where there is but one, it is theirs
        one time in four. The order of the lanes is drawn each time, so that the cap of the whole node does not favour
        anybody.
        """
        cap = self._cap - self._in_flight.total()
        endpoints = [door.row for door in self._doors.values()]
        random.shuffle(endpoints)
        nodes, at = max(1, live_nodes), _monotonic()
        free: dict[UUID, Free] = {}
        calls: dict[UUID, int] = {}
        for row in endpoints:
            limit = max(1, row.max_in_flight // nodes)
            slots = limit - self._in_flight[row.id]
            if row.max_per_second is not None:
                slots = min(slots, self._rates.left(row.id, row.max_per_second / nodes, at))
            if row.id in self.tripped or slots <= 0:
                continue
            retries = max(1, limit // 2) - self._retries[row.id]
            if row.batch:
                # A retry is a call of its own; how many calls the first attempts make, their sizes will tell.
                calls[row.id] = slots
                retries, slots = min(retries, slots), parcels.MOST
            free[row.id] = Free(
                slots, max(0, retries), reserves=retries > 0 and (slots > 1 or parcels.is_turn_of_retries())
            )
        tripped = tuple(row.id for row in endpoints if row.id in self.tripped - self._probes)
        return Openings(free, tripped, max(0, cap), calls)

    def take(self, claimed: Collection[Claimed], probes: Collection[UUID]) -> None:
        """Count a call for each of ``claimed`` as under way; those to ``probes`` are the one probe of their breaker."""
        at = _monotonic()
        for row in claimed:
            self._in_flight[row.endpoint_id] += 1
            self._retries[row.endpoint_id] += row.is_retry
            self._rates.take(row.endpoint_id, at)
        self._probes.update(row.endpoint_id for row in claimed if row.endpoint_id in probes)
        metrics.IN_FLIGHT.set(self._in_flight.total())

    def give_back(self, claimed: Claimed, *, was_probe: bool) -> None:
        """Count the call of one as no longer under way."""
        self._in_flight[claimed.endpoint_id] -= 1
        self._retries[claimed.endpoint_id] -= claimed.is_retry
        if was_probe:
            self._probes.discard(claimed.endpoint_id)
        metrics.IN_FLIGHT.set(self._in_flight.total())


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _name(scheme: str) -> sa.Label[str]:
    """Return how banks call an endpoint's participant: of several codes always the same one."""
    first = sa.select(sa.func.min(_ALIASES.c.value)).where(
        _ALIASES.c.participant_id == _ENDPOINTS.c.tenant, _ALIASES.c.scheme == scheme, _ALIASES.c.valid_to.is_(None)
    )
    return first.correlate(_ENDPOINTS).scalar_subquery().label(scheme)
