"""Delivery: claims what is due, sends it lane by lane, and settles what came of it, many results a transaction."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Transport
from service import audit, clock, db, log, metrics, outages
from service.engine import breaker, completing, parcels, sending, store
from service.engine.completing import Result, Settled
from service.engine.hub import Hub
from service.engine.lanes import REFRESH_EVERY, Lanes
from service.engine.node import Node
from service.engine.parcels import Parcel
from service.engine.sending import Ending
from service.engine.store import Claimed, Free
from service.vault import Erased, Keys, MasterMissing, SealBroken, subjects
from service.vault.sealing import key_of

_log = log.get(__name__)

POLL = 0.25
# A burst of commits is claimed together rather than one by one.
PACE = 0.005
# Far above the longest call; a node that dies loses its leases by its heartbeat, long before.
LEASE = timedelta(seconds=60)
BATCH = 500
BATCH_WITHIN = 0.005
_OUTAGE_PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)


class Delivery:
    """The claim loop and the settling loop of one node."""

    def __init__(
        self,
        hub: Hub,
        node: Node,
        adapters: sending.Speakers,
        transport: Transport,
        *,
        refresh_every: float = REFRESH_EVERY,
    ) -> None:
        self._hub = hub
        self._node = node
        self._adapters = adapters
        self._transport = transport
        self._queue = store.of(hub.database.dialect)
        self._breakers = breaker.Breakers()
        self._lanes = Lanes(hub.database, hub.settings.in_flight, refresh_every)
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ended: asyncio.Queue[Result] = asyncio.Queue()
        self._unsettled = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # The last claim broke: rows may be leased to this node that it does not know of.
        self._uncertain = False
        node.when_fenced.append(self.cancel)

    async def claim_forever(self) -> None:
        """Claim at each commit of this node, and at least four times a second for those of the others."""
        wake = self._hub.writer.wake
        while True:
            wake.clear()
            if await self.claim_once():
                await asyncio.sleep(PACE)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await wake.wait()
                    await asyncio.sleep(PACE)

    async def claim_once(self) -> int:
        """Claim what is due and there is room for, start to send it, and return how many that were."""
        if not self._node.may_work():
            return 0
        await self._lanes.refresh()
        lease = self._node.boot
        room = self._lanes.openings(len(self._node.live))
        if room.cap == 0 or not (room.free or room.tripped):
            return 0

        async def unit(conn: AsyncConnection) -> tuple[list[Parcel], set[UUID], Keys]:
            if was_uncertain:
                await self._queue.release(conn, lease, tuple(self._under_way))
            pausing = await self._breakers.probes(conn, room.tripped, self._node.live - {lease})
            probes = {endpoint: Free(1, 1, urgent_only=is_pausing) for endpoint, is_pausing in pausing.items()}
            claimed = await self._queue.claim(
                conn, probes | room.free, cap=room.cap, node=self._node.name, lease=lease, within=LEASE
            )
            probed = {row.endpoint_id for row in claimed} & probes.keys()
            await self._breakers.hold(conn, probed, lease)
            packed, over = parcels.pack(claimed, room.calls, probed)
            await self._queue.put_back(conn, [row.queue_id for row in over], lease)
            return packed, probed, await subjects.of(conn, *(row.message_sealed for each in packed for row in each))

        was_uncertain, self._uncertain = self._uncertain, True
        try:
            packed, probed, keys = await self._hub.database.write(unit, db.HUB)
        except IntegrityError:
            # Another node claimed a row of the same order key at this very instant; nothing was leased.
            self._uncertain = was_uncertain
            return 0
        self._uncertain = False
        if lease != self._node.boot:
            # Fenced while claiming: the sweep gives the rows to whoever is alive.
            return 0
        self._lanes.take([parcel[0] for parcel in packed], probed)
        for parcel in packed:
            self._start(parcel, lease, keys, was_probe=parcel[0].endpoint_id in probed)
        return sum(map(len, packed))

    async def settle_forever(self) -> None:
        """Settle results in batches, as they come."""
        while True:
            await self.settle_once()

    async def settle_once(self) -> None:
        """Wait for a result, take in those that come within 5 ms, and settle them."""
        batch = [await self._ended.get()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BATCH_WITHIN):
                while len(batch) < BATCH:
                    batch.append(await self._ended.get())
        try:
            for lease, results in groupby(sorted(batch, key=lambda one: one.lease), key=lambda one: one.lease):
                await self._settle_or_split(list(results), lease)
        finally:
            for result in batch:
                self._over(result.claimed, was_probe=result.was_probe, leads=result.leads)

    async def drain(self, within: float) -> int:
        """Wait up to ``within`` seconds for what is under way, then let go of the rest; return how many those were."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()
        self.cancel()
        lease = self._node.boot
        return await self._hub.database.write(lambda conn: self._queue.release(conn, lease), db.HUB)

    async def settled(self) -> None:
        """Settle until nothing is under way any more."""
        while self._unsettled:
            await self.settle_once()

    def cancel(self) -> None:
        """Break off everything under way; the leases are left to whoever takes them over."""
        for task in list(self._under_way.values()):
            task.cancel()

    def _start(self, parcel: Parcel, lease: UUID, keys: Keys, *, was_probe: bool) -> None:
        self._unsettled += len(parcel)
        self._idle.clear()
        sender = asyncio.create_task(self._send(parcel, lease, keys, was_probe))
        self._under_way.update({claimed.queue_id: sender for claimed in parcel})

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                for claimed in parcel:
                    self._over(claimed, was_probe=was_probe, leads=claimed is parcel[0])

        sender.add_done_callback(ended)

    def _over(self, claimed: Claimed, *, was_probe: bool, leads: bool) -> None:
        self._under_way.pop(claimed.queue_id, None)
        if leads:
            self._lanes.give_back(claimed, was_probe=was_probe)
        self._unsettled -= 1
        if not self._unsettled:
            self._idle.set()

    async def _send(self, parcel: Parcel, lease: UUID, keys: Keys, was_probe: bool) -> None:
        began = clock.monotonic()
        try:
            door = self._lanes.door(parcel[0].endpoint_id)
            endings = await sending.send(
                self._hub, self._adapters, self._transport, parcel, keys, door, self._node.now()
            )
        except Exception:
            _log.exception("attempt.broke", dispatch_id=str(parcel[0].dispatch_id), channel=str(parcel[0].channel))
            endings = [Ending(clock.monotonic() - began, "hub.fault")] * len(parcel)
        for claimed, ending in zip(parcel, endings, strict=True):
            self._ended.put_nowait(
                Result(
                    claimed=claimed,
                    lease=lease,
                    node=self._node.name,
                    latency=ending.latency,
                    error=ending.error,
                    retryable=ending.retryable,
                    retry_after=ending.retry_after,
                    status=ending.status,
                    answer_sealed=self._sealed(claimed, keys, ending.head.decode("utf-8", "replace")),
                    was_probe=was_probe,
                    leads=claimed is parcel[0],
                )
            )

    def _sealed(self, claimed: Claimed, keys: Keys, text: str) -> bytes | None:
        key_id = key_of(claimed.message_sealed)
        # A message that an earlier build sealed has no key that its answer could be erased with.
        if not text or key_id is None or key_id not in keys:
            return None
        try:
            return self._hub.vault.seal(keys[key_id], "attempts", claimed.dispatch_id, text)
        except (Erased, MasterMissing, SealBroken):
            return None

    async def _settle_or_split(self, results: Sequence[Result], lease: UUID) -> None:
        """Settle results of one lease together; where one of them breaks the transaction, the others do not notice."""
        moves = self._breakers.observe(self._outcomes(results), self._lanes.tripped)
        try:
            await self._settle_through_outage(results, lease, moves)
        except Exception:
            _log.exception("settling.broke", node=self._node.name, count=len(results))
            for result in results:
                try:
                    await self._settle_through_outage([result], lease, [])
                except Exception:
                    # Its lease ends by itself and it is sent again, under the same id.
                    _log.exception("settling.given_up", dispatch_id=str(result.claimed.dispatch_id))

    async def _settle_through_outage(
        self, results: Sequence[Result], lease: UUID, moves: Sequence[breaker.Move]
    ) -> None:
        for pause in (*_OUTAGE_PAUSES, None):
            try:
                settled = await self._hub.writer.run(lambda conn: self._unit(conn, results, lease, moves), reach=db.HUB)
            except Exception as error:
                if pause is None or not outages.is_outage(error):
                    raise
                await asyncio.sleep(pause)
            else:
                self._note(settled, moves)
                return

    async def _unit(
        self, conn: AsyncConnection, results: Sequence[Result], lease: UUID, moves: Sequence[breaker.Move]
    ) -> Settled:
        chains = {result.chain for result in results} | {audit.tenant_chain(move.outcome.tenant) for move in moves}
        facts = await audit.Log.open(conn, await db.now(conn), chains)
        actor = self._hub.actor
        settled = await completing.settle(conn, facts, actor, self._queue, results, lease)
        probes = {result.claimed.endpoint_id for result in results if result.was_probe}
        await self._breakers.let_go(conn, probes, lease)
        await self._breakers.write(conn, facts, actor, moves)
        await facts.flush()
        return settled

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

    def _note(self, settled: Settled, moves: Sequence[breaker.Move]) -> None:
        for move in moves:
            (self._lanes.tripped.add if move.opens else self._lanes.tripped.discard)(move.outcome.endpoint_id)
            metrics.BREAKER_MOVES.labels(move.outcome.tenant, "open" if move.opens else "closed").inc()
        now = self._node.now()
        for result in (*settled.delivered, *settled.retried, *settled.dead):
            claimed = result.claimed
            metrics.ATTEMPTS.labels(str(claimed.kind), str(claimed.channel), result.error or "ok").inc()
            metrics.ATTEMPT_SECONDS.labels(str(claimed.channel)).observe(result.latency)
        for result in settled.delivered:
            waited = (now - result.claimed.since).total_seconds()
            metrics.DELIVERED_AFTER.labels(str(result.claimed.kind)).observe(waited)
        for result in settled.dead:
            metrics.DEAD.labels(str(result.claimed.kind)).inc()
        metrics.SUPERSEDED.inc(len(settled.superseded))
