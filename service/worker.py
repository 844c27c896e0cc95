"""The worker of one node: the claim, settle, fire and heartbeat loops, and the scheduler that watches over them."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from adapters.base import Transport
from service import clock, log, metrics
from service.db import Database
from service.engine import baselines, firing, handing_over, housekeeping, retaining
from service.engine.auditor import Auditor
from service.engine.delivery import POLL, Delivery
from service.engine.hub import Hub
from service.engine.node import Node
from service.engine.sending import Speakers

_log = log.get(__name__)

DRAIN_WITHIN = 8.0
LEARN_AFTER = timedelta(minutes=1)
# The next deadline may belong to a request that another node is just writing: do not spin on it.
_LEAST_PAUSE = 0.01

Loop = Callable[[], Coroutine[Any, Any, None]]


class Worker:
    """Starts and stops everything that moves by itself on this node."""

    def __init__(self, hub: Hub, adapters: Speakers, transport: Transport) -> None:
        self._hub = hub = _with_own_connections(hub)
        self.node = Node(hub)
        self.delivery = Delivery(hub, self.node, adapters, transport)
        self.auditor = Auditor(hub)
        self._loops: dict[str, Loop] = {
            "heartbeat": self.node.run,
            "claim": self.delivery.claim_forever,
            "settle": self.delivery.settle_forever,
            "fire": self._fire_forever,
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    async def start(self) -> None:
        """Join the other nodes and start working; raises ``node.AlreadyRunning`` on an embedded database in use."""
        await self.node.start()
        self._supervise()
        self._scheduler.add_listener(_note_job, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        self._scheduler.add_job(self._tick, "interval", seconds=1, id="tick")
        self._scheduler.add_job(self.node.sweep, "interval", seconds=0.5, id="sweep")
        self._scheduler.add_job(self._hand_over, "interval", seconds=1, id="hand_over")
        self._scheduler.add_job(self.auditor.look, "interval", seconds=10, id="audit")
        self._scheduler.add_job(housekeeping.tidy, "interval", hours=1, args=[self._hub], id="tidy")
        # At once: a hub that stood still for long finds its month made before many facts lie in none.
        months = {"hours": 1, "args": [self._hub], "id": "months", "next_run_time": clock.utc_now()}
        self._scheduler.add_job(housekeeping.make_months, "interval", **months)
        self._scheduler.add_job(self._retain, "interval", hours=1, id="retain")
        # A hub that is started anew every half an hour learns all the same.
        first = clock.utc_now() + LEARN_AFTER
        learn = {"hours": 1, "args": [self._hub], "id": "learn", "next_run_time": first}
        self._scheduler.add_job(baselines.learn, "interval", **learn)
        self._scheduler.start()
        self.node.tick()
        for loop in ("claim", "fire"):
            self.node.came_round(loop)
        _log.info("worker.started", node=self.node.name)

    async def stop(self) -> None:
        """Take on nothing new, wait up to eight seconds for what is under way, hand the rest back and leave."""
        self.node.stop_claiming()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        await self._end("claim", "fire")
        released = 0
        with contextlib.suppress(Exception):
            released = await self.delivery.drain(DRAIN_WITHIN)
        await self._end(*self._loops)
        await self.node.stop()
        if not self._hub.settings.embedded:
            await self._hub.database.close()
        _log.info("worker.stopped", node=self.node.name, released=released)

    def faults(self) -> list[str]:
        """Return the codes of what keeps this node from being ready; none when it is."""
        return self.node.faults()

    async def _retain(self) -> None:
        # Its instants are the database's: a node whose clock is off, or that is fenced, decides nothing.
        if self.node.may_work():
            await retaining.retain(self._hub)

    async def _hand_over(self) -> None:
        if self.node.may_work():
            await handing_over.hand_over(self._hub)

    async def _tick(self) -> None:
        self.node.tick()
        self._supervise()

    def _supervise(self) -> None:
        """Start each loop that does not run: at first all, later those that died."""
        for name, loop in self._loops.items():
            task = self._tasks.get(name)
            if task is not None and not task.done():
                continue
            if task is not None:
                metrics.LOOP_RESTARTS.labels(name).inc()
                error = None if task.cancelled() else task.exception()
                _log.error("loop.died", loop=name, node=self.node.name, exc_info=error)
            self._tasks[name] = asyncio.create_task(loop(), name=name)

    async def _end(self, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.pop(name, None))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fire_forever(self) -> None:
        """Fire what is due, sleep until the next deadline, and never longer than another node's commit may matter."""
        aside = firing.Aside()
        while True:
            pause = POLL
            self.node.came_round("fire")
            if self.node.may_work():
                result = await firing.fire_once(self._hub, aside)
                metrics.FIRED.inc(result.fired)
                if result.fired:
                    metrics.FIRED_LATE.observe(result.late)
                if result.more and result.fired:
                    continue
                if result.next_in is not None:
                    pause = min(max(result.next_in, _LEAST_PAUSE), POLL)
            await asyncio.sleep(pause)


def _with_own_connections(hub: Hub) -> Hub:
    """Return the hub over connections that the doors do not share: a deadline does not queue behind filings."""
    if hub.settings.embedded:
        return hub
    database = Database(hub.settings.url, hub.settings.worker_pool, "worker")
    return replace(hub, database=database, writer=hub.writer.over(database))


def _note_job(event: JobExecutionEvent) -> None:
    error = getattr(event, "exception", None)
    _log.error("job.failed" if error else "job.missed", job=event.job_id, exc_info=error)
