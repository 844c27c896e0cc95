"""Delivery: claims what is due, sends it lane by lane, and hands on what came of it to be settled."""

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Transport
from service import clock, db, log
from service.engine import breaker, parcels, sending, store
from service.engine.completing import Result, call
from service.engine.floors import LaneFloors
from service.engine.hub import Hub
from service.engine.lanes import REFRESH_EVERY, Lanes
from service.engine.node import Node
from service.engine.parcels import Parcel
from service.engine.sending import Ending
from service.engine.settlement import Settlement
from service.engine.store import Claimed, Free
from service.vault import UNREADABLE, Keys, subjects
from service.vault.sealing import key_of

_log = log.get(__name__)

POLL = 0.25
# A burst of commits is claimed together rather than one by one.
PACE = 0.005
# Far above the longest call; a node that dies loses its leases by its heartbeat, long before.
LEASE = timedelta(seconds=60)


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
        self._floors = LaneFloors(self._queue, refresh_every)
        self._under_way: dict[tuple[UUID, int, int], asyncio.Task[None]] = {}
        self._results = Settlement(hub, node, self._lanes, self._breakers, self._settled)
        self._unsettled = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # The last claim broke: rows may be leased to this node that it does not know of.
        self._uncertain = False
        node.when_fenced.append(self.cancel)
        node.when_freed.append(self._floors.forget)

    async def claim_forever(self) -> None:
        """Claim at each commit of this node, and at least four times a second for those of the others."""
        wake = self._hub.writer.wake
        while True:
            wake.clear()
            self._node.came_round("claim")
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
                keep = [queue_id for held, queue_id, _ in self._under_way if held == lease]
                await self._queue.release(conn, lease, keep=keep, begun=self._results.given_up)
                self._floors.forget()
            pausing = await self._breakers.probes(conn, room.tripped, self._node.live - {lease})
            probes = {endpoint: Free(1, 1, urgent_only=is_pausing) for endpoint, is_pausing in pausing.items()}
            free = probes | room.free
            floors = await self._floors.of(conn, self._lanes.endpoints)
            claimed = await self._queue.claim(
                conn, free, cap=room.cap, node=self._node.name, lease=lease, within=LEASE, floors=floors
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
        """Wait for a result, and settle it with those that come at the same time and those that were locked before."""
        await self._results.once()

    async def drain(self, within: float) -> int:
        """Wait up to ``within`` seconds for what is under way, then let go of the rest; return how many those were."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()
        begun = self._results.given_up.union(queue_id for _, queue_id, _ in self._under_way)
        self.cancel()
        lease = self._node.boot
        return await self._hub.database.write(lambda conn: self._queue.release(conn, lease, begun=begun), db.HUB)

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
        self._under_way.update({call(claimed, lease): sender for claimed in parcel})

        def ended(task: asyncio.Task[None]) -> None:
            broke = None if task.cancelled() else task.exception()
            if broke is not None:
                _log.error("attempt.broke", dispatch_id=str(parcel[0].dispatch_id), exc_info=broke)
                # Its call may have arrived: the attempt counts.
                self._results.given_up.update(claimed.queue_id for claimed in parcel)
            # Without results nobody else gives back what it took: a place of its lane, or the one probe of a breaker.
            if task.cancelled() or broke is not None:
                for claimed in parcel:
                    self._over(claimed, lease, was_probe=was_probe, leads=claimed is parcel[0])

        sender.add_done_callback(ended)

    def _settled(self, result: Result) -> None:
        self._over(result.claimed, result.lease, was_probe=result.was_probe, leads=result.leads)

    def _over(self, claimed: Claimed, lease: UUID, *, was_probe: bool, leads: bool) -> None:
        self._under_way.pop(call(claimed, lease), None)
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
        results = [
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
            for claimed, ending in zip(parcel, endings, strict=True)
        ]
        for result in results:
            self._results.take(result)

    def _sealed(self, claimed: Claimed, keys: Keys, text: str) -> bytes | None:
        key_id = key_of(claimed.message_sealed)
        # A message that an earlier build sealed has no key that its answer could be erased with.
        if not text or key_id is None or key_id not in keys:
            return None
        try:
            return self._hub.vault.seal(keys[key_id], "attempts", claimed.dispatch_id, text)
        except UNREADABLE:
            # Also where the token has gone meanwhile: that the call arrived counts more than what was answered.
            return None
