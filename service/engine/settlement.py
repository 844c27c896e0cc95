"""Settling results: many a transaction; one whose chain or breaker another transaction holds waits, and no other."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, log, metrics, outages
from service.engine import breaker, completing, store
from service.engine.completing import Result, Settled
from service.engine.hub import Hub
from service.engine.lanes import Lanes
from service.engine.node import Node

_log = log.get(__name__)

BATCH = 500
BATCH_WITHIN = 0.005
# What another transaction holds is free in a moment, or when the server has ended that one.
AGAIN = 0.05
OUTAGE_PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class _Done:
    """What one transaction came to, and what it left for the next one because another transaction holds it."""

    settled: Settled
    locked: tuple[Result, ...]
    moved: tuple[breaker.Move, ...]
    written: tuple[breaker.Move, ...]


class Settlement:
    """Takes in how attempts ended and writes what follows; ``over`` is called with each result that is done with."""

    def __init__(
        self, hub: Hub, node: Node, lanes: Lanes, breakers: breaker.Breakers, over: Callable[[Result], None]
    ) -> None:
        self._hub = hub
        self._node = node
        self._lanes = lanes
        self._breakers = breakers
        self._over = over
        self._queue = store.of(hub.database.dialect)
        self._ended: asyncio.Queue[Result] = asyncio.Queue()
        # Sent, but what came of it could not be written: the rows stay leased.
        self.given_up: set[int] = set()
        # Results and moves of breakers that another transaction kept from being written; results keep their lease.
        self._locked: list[Result] = []
        self._moves: dict[UUID, breaker.Move] = {}
        # In the transaction that is being written: for as long as the database does not answer, they are many.
        self._under_way = 0

    def take(self, result: Result) -> None:
        """Take in how an attempt ended."""
        self._ended.put_nowait(result)
        self._show()

    async def once(self) -> None:
        """Wait for a result, take in those that come within 5 ms, and settle them with what was left before."""
        new = await self._gathered()
        batch, self._locked = [*self._locked, *new], []
        self._under_way = len(batch)
        opening = {endpoint for endpoint, move in self._moves.items() if move.opens}
        tripped = self._lanes.tripped - self._moves.keys() | opening
        moves = self._breakers.observe(self._outcomes(new), tripped)
        self._moves |= {move.outcome.endpoint_id: move for move in moves}
        try:
            for lease, results in groupby(sorted(batch, key=lambda one: one.lease), key=lambda one: one.lease):
                await self._settle_or_split(list(results), lease)
            if self._moves and not batch:
                await self._settle_or_split([], self._node.boot)
        finally:
            waiting = {result.call for result in self._locked}
            for result in batch:
                if result.call not in waiting:
                    self._over(result)
            self._under_way = 0
            self._show()

    def _show(self) -> None:
        metrics.UNSETTLED.set(self._ended.qsize() + self._under_way + len(self._locked))

    async def _gathered(self) -> list[Result]:
        new: list[Result] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN if self._locked or self._moves else None):
                new.append(await self._ended.get())
            async with asyncio.timeout(BATCH_WITHIN):
                while len(new) < BATCH:
                    new.append(await self._ended.get())
        return new

    async def _settle_or_split(self, results: Sequence[Result], lease: UUID) -> None:
        """Settle results of one lease together; where one of them breaks the transaction, the others do not notice."""
        try:
            self._note(await self._settle_through_outage(results, lease, tuple(self._moves.values())))
        except Exception:
            _log.exception("settling.broke", node=self._node.name, count=len(results))
            self._moves.clear()
            for result in results:
                try:
                    self._note(await self._settle_through_outage([result], lease, ()))
                except Exception:
                    # Its lease ends by itself and it is sent again, under the same id.
                    self.given_up.add(result.claimed.queue_id)
                    _log.exception("settling.given_up", dispatch_id=str(result.claimed.dispatch_id))

    async def _settle_through_outage(
        self, results: Sequence[Result], lease: UUID, moves: Sequence[breaker.Move]
    ) -> _Done:
        for pause in OUTAGE_PAUSES:
            try:
                return await self._hub.writer.run(lambda conn: self._unit(conn, results, lease, moves), reach=db.HUB)
            except Exception as error:
                if not outages.is_outage(error):
                    raise
                await asyncio.sleep(pause)
        return await self._hub.writer.run(lambda conn: self._unit(conn, results, lease, moves), reach=db.HUB)

    async def _unit(
        self, conn: AsyncConnection, results: Sequence[Result], lease: UUID, moves: Sequence[breaker.Move]
    ) -> _Done:
        chains = {result.chain for result in results} | {chain for move in moves for chain in move.chains}
        # Waited for would be whoever holds a chain, by everybody, were it a node that lost its power.
        facts = await audit.Log.open(conn, None, chains, wait=False)
        actor = self._hub.actor
        held = [result for result in results if facts.holds(result.chain)]
        settled = await completing.settle(conn, facts, actor, self._queue, held, lease)
        await self._breakers.let_go(conn, {one.claimed.endpoint_id for one in held if one.was_probe}, lease)
        ready = [move for move in moves if all(facts.holds(chain) for chain in move.chains)]
        moved, written = await self._breakers.write(conn, facts, actor, ready)
        await facts.flush()
        locked = tuple(result for result in results if not facts.holds(result.chain))
        return _Done(settled, locked, moved, written)

    def _outcomes(self, results: Sequence[Result]) -> list[breaker.Outcome]:
        return [
            breaker.Outcome(
                endpoint_id=result.claimed.endpoint_id,
                tenant=door.row.tenant,
                channel=str(result.claimed.channel),
                error=result.error,
                request_id=result.claimed.request_id,
                request_tenant=result.claimed.tenant,
            )
            for result in results
            if result.leads
            and (door := self._lanes.door(result.claimed.endpoint_id)) is not None
            and breaker.counts(result.error, result.retryable)
        ]

    def _note(self, done: _Done) -> None:
        for result in done.locked:
            if result.leads and not result.was_probe:
                # The call is over: others may go there, although nobody has written yet what came of this one.
                self._lanes.give_back(result.claimed, was_probe=False)
            self._locked.append(replace(result, leads=result.leads and result.was_probe))
        for move in done.written:
            self._moves.pop(move.outcome.endpoint_id, None)
            (self._lanes.tripped.add if move.opens else self._lanes.tripped.discard)(move.outcome.endpoint_id)
        for move in done.moved:
            metrics.BREAKER_MOVES.labels(move.outcome.tenant, "open" if move.opens else "closed").inc()
        now, settled = self._node.now(), done.settled
        for result in (*settled.delivered, *settled.retried, *settled.answered, *settled.dead):
            claimed = result.claimed
            metrics.ATTEMPTS.labels(str(claimed.kind), str(claimed.channel), result.error or "ok").inc()
            metrics.ATTEMPT_SECONDS.labels(str(claimed.channel)).observe(result.latency)
        for result in settled.delivered:
            waited = (now - result.claimed.since).total_seconds()
            metrics.DELIVERED_AFTER.labels(str(result.claimed.kind)).observe(waited)
        for result in settled.dead:
            metrics.DEAD.labels(str(result.claimed.kind)).inc()
        metrics.SUPERSEDED.inc(len(settled.superseded))
