"""The breakers: an endpoint that keeps failing is left in peace for a while, and that is told to people at once."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.engine import endpoint_tasks
from service.models import EndpointState, table_of
from workflows.terms import Actor, Fact

_STATES = table_of(EndpointState)

CONSECUTIVE = 5
WINDOW = 60.0
WINDOW_LEAST = 10
FIRST_PAUSE = 10
LONGEST_PAUSE = 300

# What went wrong on our side, or what the endpoint said about one message or its own load: it can be reached.
_NOT_ITS_FAULT = frozenset(
    {"channel.unavailable", "message.unreadable", "message.not_of_this_hub", "hub.fault", "http.429"}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended: ``tenant`` is the endpoint's, ``request_tenant`` the one of its dispatch's request."""

    endpoint_id: UUID
    tenant: str
    channel: str
    error: str | None
    request_id: UUID | None
    request_tenant: str


@dataclass(slots=True)
class _Memory:
    """What this node has seen of one endpoint."""

    consecutive: int = 0
    seen: deque[tuple[float, bool]] = field(default_factory=deque)
    # How many of those seen failed: an endpoint may have many thousands of outcomes in its window.
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A breaker that this node wants to open, keep open or close; ``outcome`` is the attempt that decided it."""

    outcome: Outcome
    opens: bool
    failures: int

    @property
    def chains(self) -> tuple[str, ...]:
        """The chains that the move is told on."""
        request_id = self.outcome.request_id
        of_request = () if request_id is None else (audit.request_chain(request_id),)
        return (audit.tenant_chain(self.outcome.tenant), *of_request)


def counts(error: str | None, retryable: bool) -> bool:
    """Tell whether an attempt says anything about its endpoint: a success does, a refusal of one message does not."""
    return error is None or (retryable and error not in _NOT_ITS_FAULT)


class Breakers:
    """Keeps the window of one node in memory and the breakers' state in the table that all nodes see."""

    def __init__(self) -> None:
        self._memory: dict[UUID, _Memory] = {}

    def observe(self, outcomes: Iterable[Outcome], tripped: Collection[UUID]) -> list[Move]:
        """Take in how attempts ended; return the moves that follow, at most one an endpoint (the last word counts)."""
        at = asyncio.get_running_loop().time()
        moves: dict[UUID, Move] = {}
        for outcome in outcomes:
            failed = outcome.error is not None
            memory = self._memory.setdefault(outcome.endpoint_id, _Memory())
            memory.consecutive = memory.consecutive + 1 if failed else 0
            memory.seen.append((at, failed))
            memory.failures += failed
            while memory.seen[0][0] < at - WINDOW:
                memory.failures -= memory.seen.popleft()[1]
            too_many = len(memory.seen) >= WINDOW_LEAST and 2 * memory.failures >= len(memory.seen)
            before = moves.get(outcome.endpoint_id)
            is_open = before.opens if before else outcome.endpoint_id in tripped
            if failed and (is_open or memory.consecutive >= CONSECUTIVE or too_many):
                moves[outcome.endpoint_id] = Move(outcome, True, memory.consecutive)
            elif not failed and is_open:
                # What failed before it came back must not open it again.
                memory.seen.clear()
                memory.failures = 0
                moves[outcome.endpoint_id] = Move(outcome, False, 0)
        return list(moves.values())

    async def probes(
        self, conn: AsyncConnection, tripped: Sequence[UUID], others: Collection[UUID]
    ) -> dict[UUID, bool]:
        """Lock the breakers whose one probe is free; the answer tells per endpoint whether its pause is not over yet.

        ``others`` are the other nodes that are alive: the probe of one that is gone is free again. A breaker that
        another node is looking at right now is skipped.
        """
        if not tripped:
            return {}
        untaken = sa.or_(_STATES.c.probed_by.is_(None), _STATES.c.probed_by.not_in([str(node) for node in others]))
        free = (
            sa.select(_STATES.c.endpoint_id, (_STATES.c.open_until > sa.func.hub_now()).label("pausing"))
            .where(_STATES.c.endpoint_id.in_(tripped), _STATES.c.open_until.is_not(None), untaken)
            .with_for_update(skip_locked=True)
        )
        return {row.endpoint_id: bool(row.pausing) for row in (await conn.execute(free)).all()}

    async def hold(self, conn: AsyncConnection, endpoints: Collection[UUID], lease: UUID) -> None:
        """Mark the probes that are on their way."""
        if endpoints:
            taken = sa.update(_STATES).where(_STATES.c.endpoint_id.in_(endpoints))
            await conn.execute(taken.values(probed_by=str(lease)))

    async def let_go(self, conn: AsyncConnection, endpoints: Collection[UUID], lease: UUID) -> None:
        """Give back probes that have ended, however they did."""
        if endpoints:
            held = sa.update(_STATES).where(_STATES.c.probed_by == str(lease), _STATES.c.endpoint_id.in_(endpoints))
            await conn.execute(held.values(probed_by=None))

    async def write(
        self, conn: AsyncConnection, log: audit.Log, actor: Actor, moves: Sequence[Move]
    ) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
        """Write the moves; of several nodes that open or close one breaker only the first tells it.

        Return those that this transaction told, and all that are done with; a breaker that another transaction holds
        is left alone, and its move is missing. ``log`` holds the ``chains`` of every move.
        """
        rows = await self._locked(conn, moves, log.at)
        written = tuple(move for move in moves if move.outcome.endpoint_id in rows)
        moved = []
        for move in sorted(written, key=lambda move: str(move.outcome.endpoint_id)):
            row = rows[move.outcome.endpoint_id]
            if await (self._open(conn, log, actor, move, row) if move.opens else self._close(conn, log, actor, move)):
                moved.append(move)
        return tuple(moved), written

    async def _open(self, conn: AsyncConnection, log: audit.Log, actor: Actor, move: Move, row: sa.Row[Any]) -> bool:
        outcome = move.outcome
        if row.open_until is not None and row.open_until > log.at:
            # A straggler, or an urgent order tried while the pause lasts: that it failed says nothing new.
            return False
        pause = min(max(FIRST_PAUSE, row.open_seconds * 2), LONGEST_PAUSE)
        await conn.execute(
            sa.update(_STATES)
            .where(_STATES.c.endpoint_id == outcome.endpoint_id)
            .values(
                failures=move.failures,
                open_seconds=pause,
                open_until=log.at + timedelta(seconds=pause),
                probed_by=None,
                changed_at=log.at,
            )
        )
        if row.open_until is not None:
            return False
        _tell(log, actor, Fact.ENDPOINT_DOWN, outcome, error=outcome.error, failures=move.failures)
        await endpoint_tasks.ask(conn, log, actor, outcome.tenant, outcome.endpoint_id, outcome.channel, outcome.error)
        return True

    async def _close(self, conn: AsyncConnection, log: audit.Log, actor: Actor, move: Move) -> bool:
        outcome = move.outcome
        was = sa.update(_STATES).where(_STATES.c.endpoint_id == outcome.endpoint_id, _STATES.c.open_until.is_not(None))
        closed = await conn.execute(
            was.values(failures=0, open_seconds=0, open_until=None, probed_by=None, changed_at=log.at)
        )
        if not closed.rowcount:
            return False
        _tell(log, actor, Fact.ENDPOINT_UP, outcome)
        await endpoint_tasks.settle(conn, log, actor, outcome.tenant, outcome.endpoint_id)
        return True

    async def _locked(self, conn: AsyncConnection, moves: Sequence[Move], at: datetime) -> dict[UUID, sa.Row[Any]]:
        if not moves:
            return {}
        insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
        blank = {"failures": 0, "open_seconds": 0, "changed_at": at}
        fresh = {move.outcome.endpoint_id: move.outcome.tenant for move in moves}
        rows = [{"endpoint_id": endpoint, "tenant": tenant, **blank} for endpoint, tenant in sorted(fresh.items())]
        await conn.execute(insert(_STATES).on_conflict_do_nothing(), rows)
        chosen = sa.select(_STATES).where(_STATES.c.endpoint_id.in_(fresh)).with_for_update(skip_locked=True)
        return {row.endpoint_id: row for row in (await conn.execute(chosen)).all()}


def _tell(log: audit.Log, actor: Actor, code: Fact, outcome: Outcome, **data: Any) -> None:
    chains: list[tuple[str, str, UUID | None]] = [(audit.tenant_chain(outcome.tenant), outcome.tenant, None)]
    if outcome.request_id is not None:
        chains.append((audit.request_chain(outcome.request_id), outcome.request_tenant, outcome.request_id))
    for chain, tenant, request_id in chains:
        log.record(
            chain,
            code,
            actor,
            tenant,
            request_id=request_id,
            endpoint_id=str(outcome.endpoint_id),
            participant_id=outcome.tenant,
            channel=outcome.channel,
            **data,
        )
