"""The same work by a queue that others would pick: run by an interpreter that has it, prints messages a second.

In: "pgqueuer" or "procrastinate", and the path of the work in JSON. Each has the messages in its own tables first; what
is measured is from the start of its worker to the last one delivered and recorded.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.base import Endpoint, Message
from adapters.transport import Transport
from adapters.webhook import Webhook
from workflows.terms import Channel, DispatchKind

# The hub's own: eight calls to each of twenty endpoints.
IN_FLIGHT = 160
Send = Callable[[str], Awaitable[None]]


class Sender:
    """Sends a job's message by the hub's adapter, and knows when all are done."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._endpoints = {
            name: Endpoint(**{**each, "channel": Channel(each["channel"]), "secrets": tuple(each["secrets"])})
            for name, each in work["endpoints"].items()
        }
        self._webhook, self._transport = Webhook("https://bench.example"), Transport(allow_loopback=True)
        self._left = len(work["messages"])
        self.done = asyncio.Event()

    async def send(self, job: str) -> None:
        """Send one."""
        name, told = json.loads(job)
        message = Message(
            **{
                **told,
                "kind": DispatchKind(told["kind"]),
                "occurred_at": datetime.fromisoformat(told["occurred_at"]),
            }
        )
        await self._webhook.send(message, self._endpoints[name], self._transport)
        self._left -= 1
        if not self._left:
            self.done.set()

    async def close(self) -> None:
        """Hang up."""
        await self._transport.aclose()


async def pgqueuer(url: str, jobs: list[str], sender: Sender) -> float:
    """Run PgQueuer's own worker."""
    import asyncpg  # noqa: PLC0415 - in this interpreter alone
    from pgqueuer import PgQueuer  # noqa: PLC0415
    from pgqueuer.db import AsyncpgPoolDriver  # noqa: PLC0415
    from pgqueuer.queries import Queries  # noqa: PLC0415

    async with asyncpg.create_pool(url, min_size=2, max_size=10) as pool:
        driver = AsyncpgPoolDriver(pool)
        queries = Queries(driver)
        await queries.install()
        for first in range(0, len(jobs), 1000):
            part = jobs[first : first + 1000]
            await queries.enqueue(["send"] * len(part), [job.encode() for job in part], [0] * len(part))
        queue = PgQueuer(driver)

        @queue.entrypoint("send")
        async def send(job: Any) -> None:
            await sender.send(job.payload.decode())

        began = time.monotonic()
        worker = asyncio.create_task(
            queue.run(dequeue_timeout=timedelta(seconds=1), batch_size=IN_FLIGHT // 2, max_concurrent_tasks=IN_FLIGHT)
        )
        await _until_recorded(worker, sender, lambda: pool.fetchval("SELECT count(*) FROM pgqueuer"))
        took = time.monotonic() - began
        queue.shutdown.set()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    return took


async def procrastinate(url: str, jobs: list[str], sender: Sender) -> float:
    """Run procrastinate's own worker."""
    import asyncpg  # noqa: PLC0415 - in this interpreter alone
    from procrastinate import App, PsycopgConnector  # noqa: PLC0415

    app = App(connector=PsycopgConnector(conninfo=url, min_size=2, max_size=10))

    @app.task(name="send")
    async def send(job: str) -> None:
        await sender.send(job)

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, len(jobs), 1000):
            await send.batch_defer_async(*({"job": job} for job in jobs[first : first + 1000]))
        began = time.monotonic()
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=IN_FLIGHT, wait=True, install_signal_handlers=False)
        )
        conn = await asyncpg.connect(url)
        undone = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        await _until_recorded(worker, sender, lambda: conn.fetchval(undone))
        took = time.monotonic() - began
        await conn.close()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    return took


async def _until_recorded(worker: "asyncio.Task[None]", sender: Sender, undone: Callable[[], Awaitable[int]]) -> None:
    """Wait until all were sent and the queue says so too; raise what the worker died of."""
    sent = asyncio.create_task(sender.done.wait())
    await asyncio.wait({worker, sent}, return_when=asyncio.FIRST_COMPLETED)
    if worker.done():
        sent.cancel()
        worker.result()
        raise RuntimeError("the worker ended before its work")
    while await undone():  # noqa: ASYNC110 - a row of another's table is no event
        await asyncio.sleep(0.02)


async def main(name: str, work: dict[str, Any]) -> None:
    """Print how many messages a second."""
    jobs = [json.dumps(each, ensure_ascii=False) for each in work["messages"]]
    sender = Sender(work)
    try:
        took = await {"pgqueuer": pgqueuer, "procrastinate": procrastinate}[name](work["url"], jobs, sender)
    finally:
        await sender.close()
    print(len(jobs) / took)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))
