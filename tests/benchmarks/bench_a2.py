"""A2: delivering orders to twenty HTTPS endpoints, beside a bare loop of the same transport and two known queues."""

import asyncio
import json
import time
from typing import Any

import bench_rows
import sqlalchemy as sa
from bench_figures import Goal, Outcome
from bench_ground import HERE, ROOT, Ground
from bench_profile import Profiles

from adapters.base import Endpoint, Message
from adapters.transport import Transport
from adapters.webhook import Webhook
from service import db
from service.app import close_hub, open_hub
from service.engine import sending
from service.engine.lanes import Lanes
from service.engine.store import rows
from service.engine.store.rows import Claimed
from service.vault import subjects

ORDERS = 20_000
WITHIN = 600.0
# As many as the hub has under way: eight to each of twenty endpoints.
EACH = 8
YARDSTICKS = ("pgqueuer", "procrastinate")


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Measure one node's rate, then the bare transport's and the queues' with the same messages."""
    count = await bench_rows.orders(ground, max(100, int(ORDERS * scale)))
    kept = await bench_rows.keep_queue(ground)
    messages, endpoints = await _opened(ground)
    node = ground.node("a", door=ground.kind == "sqlite")
    async with ground.receivers() as receivers:
        bare = await _bare(messages, endpoints)
        async with ground.running(node):
            await bench_rows.let_go(ground)
            await emptied(ground)
        rate = count / await took(ground)
        others = {} if ground.kind == "sqlite" else await _yardsticks(ground, messages, endpoints)
    heard = [one for one in receivers.heard() if one[2].startswith("msg_")]
    if profiles.on and "A2" not in profiles.made and ground.kind == "postgresql":
        # Watched with a part of the same orders, once more.
        await bench_rows.lay_down(ground, kept[: max(1, count // 4)])
        async with ground.receivers(), ground.running(node), profiles.of(node, "A2"):
            await bench_rows.let_go(ground)
            await emptied(ground)
    values = {"orders/s": rate, "bare transport/s": bare, "share of transport %": 100 * rate / bare}
    goals = [Goal("orders/s", 1000), Goal("share of transport %", 40)]
    remarks = [] if len(heard) >= count else [f"{count - len(heard)} orders did not arrive"]
    for name, value in others.items():
        if isinstance(value, str):
            remarks.append(f"{name}: {value}")
            continue
        values |= {f"{name}/s": value, f"times {name}": rate / value}
    if ground.kind == "postgresql":
        goals += [Goal("times pgqueuer", 1), Goal("times procrastinate", 5)]
    return Outcome(values, goals, {"orders": count, "endpoints": len(endpoints), "in flight": EACH * 20}, remarks)


async def emptied(ground: Ground, which: str = "true") -> None:
    """Wait until nothing of ``which`` (a condition of the queue's rows) is left to deliver."""
    until = time.monotonic() + WITHIN
    while (await bench_rows.asked(ground, f"SELECT count(*) FROM dispatch_queue WHERE {which}"))[0][0]:
        if time.monotonic() > until:
            raise TimeoutError(f"orders are left after {WITHIN:.0f} s")
        await asyncio.sleep(0.2)


async def took(ground: Ground) -> float:
    """Return the seconds from the first attempt's begin to the last delivery's record."""
    if ground.kind == "sqlite":
        asked = (
            "SELECT (julianday(max(d.delivered_at)) - julianday(min(a.started_at))) * 86400 FROM dispatches d"
            " JOIN attempts a ON a.dispatch_id = d.id"
        )
    else:
        asked = (
            "SELECT extract(epoch FROM max(d.delivered_at) - min(a.started_at))::float8 FROM dispatches d"
            " JOIN attempts a ON a.dispatch_id = d.id"
        )
    found: Any = (await bench_rows.asked(ground, asked))[0][0]
    return float(found)


async def _opened(ground: Ground) -> tuple[list[tuple[str, Message]], dict[str, Endpoint]]:
    """Open all messages and endpoints as a node does, for those that send the same without one."""
    hub = await open_hub(ground.settings)
    try:
        lanes = Lanes(hub.database, 1)
        await lanes.refresh()
        async with hub.database.read(db.HUB) as conn:
            queued = (await conn.execute(_queued())).all()
            keys = await subjects.of(conn, *(row.message_sealed for row in queued))
            now = await db.now(conn)
        claimed = [Claimed(*row) for row in queued]
        messages = [(str(one.endpoint_id), sending.open_message(hub.vault, keys, one)) for one in claimed]
        endpoints = {}
        for name in {name for name, _ in messages}:
            door = lanes.door(next(one.endpoint_id for one in claimed if str(one.endpoint_id) == name))
            assert door is not None
            endpoints[name] = sending.open_endpoint(hub, door.keys, door.row, now)
        return messages, endpoints
    finally:
        await close_hub(hub)


def _queued() -> Any:
    both = rows.QUEUE.join(rows.DISPATCHES, rows.DISPATCHES.c.id == rows.QUEUE.c.dispatch_id)
    return sa.select(*rows.CLAIMED).select_from(both)


async def _bare(messages: list[tuple[str, Message]], endpoints: dict[str, Endpoint]) -> float:
    """Return how many a second the adapter and transport send when nothing is claimed and nothing recorded."""
    webhook, transport = Webhook("https://bench.example"), Transport(allow_loopback=True)
    waiting = {name: iter([message for to, message in messages if to == name]) for name in endpoints}

    async def lane(name: str) -> None:
        for message in waiting[name]:
            await webhook.send(message, endpoints[name], transport)

    began = time.monotonic()
    try:
        await asyncio.gather(*(lane(name) for name in endpoints for _ in range(EACH)))
        return len(messages) / (time.monotonic() - began)
    finally:
        await transport.aclose()


async def _yardsticks(
    ground: Ground, messages: list[tuple[str, Message]], endpoints: dict[str, Endpoint]
) -> dict[str, float | str]:
    """Let each known queue deliver the same messages by the same adapter; what cannot run says why."""
    python = ROOT / "build" / "bench-env" / "bin" / "python"
    if not python.exists():
        return dict.fromkeys(YARDSTICKS, "not installed here: what requirements/bench.txt names could not be had")
    work = ground.settings.data_dir / "work.json"
    work.write_text(
        json.dumps(
            {
                "url": (ground.admin_url or "").replace("+asyncpg", ""),
                "endpoints": {name: _plain(each) for name, each in endpoints.items()},
                "messages": [[name, _plain(message)] for name, message in messages],
            },
            default=str,
        )
    )
    found: dict[str, float | str] = {}
    for name in YARDSTICKS:
        child = await asyncio.create_subprocess_exec(
            *(str(python), str(HERE / "bench_yardsticks.py"), name, str(work)),
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(WITHIN):
                said, wrong = await child.communicate()
        except TimeoutError:
            found[name] = f"did not end within {WITHIN:.0f} s"
            continue
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        last = wrong.decode(errors="replace").strip().splitlines()[-1:] or ["no answer"]
        found[name] = float(said) if child.returncode == 0 else f"did not run: {last[0][:200]}"
    return found


def _plain(of: Message | Endpoint) -> dict[str, Any]:
    return {name: getattr(of, name) for name in type(of).__dataclass_fields__}
