"""``make soak``: two nodes under load for long, while a reader holds one snapshot open; does anything degrade?

``--minutes 30`` says for how long, ``--rate 5`` how many requests of five orders are filed a second.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import bench
import bench_load
import postgres
from bench_figures import percentile
from bench_ground import Ground, Grounds
from journey_processes import Process, until

from service import audit, db
from service.app import close_hub, open_hub

MINUTE = 60.0
# What churns: behind an open snapshot none of its dead rows can go.
CHURNING = ("dispatch_queue", "deadlines", "dispatches", "audit_heads")
WITHIN = 120.0
# Worse in the last third than in the first by half, and by more than what nobody would notice.
WORSE, LEAST_MS, LEAST_MIB = 1.5, 50.0, 64.0
_WATCHED = {"claim_ms": LEAST_MS, "fire_ms": LEAST_MS, "delivery_ms": LEAST_MS, "memory_mib": LEAST_MIB}
_SAMPLES = {
    "claim": (
        "SELECT extract(epoch FROM a.started_at - d.created_at)::float8 FROM attempts a"
        " JOIN dispatches d ON d.id = a.dispatch_id"
        " WHERE d.kind = 'order' AND a.attempt = 1 AND a.started_at >= $1 AND a.started_at < $2"
    ),
    "delivery": (
        "SELECT extract(epoch FROM delivered_at - created_at)::float8 FROM dispatches"
        " WHERE kind = 'order' AND delivered_at >= $1 AND delivered_at < $2"
    ),
    "fire": (
        "SELECT extract(epoch FROM settled_at - due_at)::float8 FROM deadlines"
        " WHERE state = 'missed' AND settled_at >= $1 AND settled_at < $2"
    ),
}
# As many deadlines come due, evenly, as orders were placed: those of the minute before.
_COME_DUE = """
UPDATE deadlines SET started_at = hub_now(), due_at = hub_now() + $1::float8 * random() * interval '1 second'
 WHERE state = 'pending' AND stage = 'execute' AND rung = 0 AND due_at > hub_now() + $1::float8 * interval '1 second'
"""
_FIRE_THE_REST = "UPDATE deadlines SET due_at = hub_now() WHERE state = 'pending' AND stage = 'execute' AND rung = 0"
_LEFT = (
    "SELECT (SELECT count(*) FROM dispatches WHERE kind = 'order' AND delivered_at IS NULL)"
    " + (SELECT count(*) FROM deadlines WHERE state = 'pending' AND due_at <= hub_now())"
)


@dataclass(frozen=True, slots=True)
class Minute:
    """What one minute showed: 99th percentiles in ms, the nodes' memory, and what the snapshot keeps from going."""

    minute: int
    filed: int
    refused: int
    claim_ms: float
    fire_ms: float
    delivery_ms: float
    memory_mib: float
    dead_rows: int
    queue_mib: float
    snapshot_s: float


@dataclass(frozen=True, slots=True)
class Soaked:
    """All minutes, what is wrong in the end (nothing, or the run is no good), and what grew worse."""

    minutes: Sequence[Minute]
    wrong: Sequence[str]
    worse: Sequence[str]


async def run(ground: Ground, minutes: int, rate: float, length: float = MINUTE) -> Soaked:
    """File at ``rate`` for so many minutes of ``length`` seconds, let all of it be delivered and fire, and look."""
    nodes = [ground.node("a"), ground.node("b", door=False)]
    police, taken, told = bench_load.Police(ground), 0, []
    async with (
        ground.receivers(),
        ground.running(*nodes),
        bench_load.lines(ground, 16) as lines,
        ground.admin() as conn,
        _snapshot(ground) as reader,
    ):
        began = await _now(conn)
        since = began
        for number in range(1, minutes + 1):
            await conn.execute(_COME_DUE, length)
            filed = await bench_load.file_at(rate, lines, police, max(1, round(rate * length)))
            ended = await _now(conn)
            taken += len(filed.took)
            told.append(await _minute(conn, number, since, ended, len(filed.took), filed.refused, nodes, reader))
            print(_line(told[-1]), flush=True)
            since = ended
        await _settled(conn)
        wrong = await _wrong(ground, conn, taken)
        held = await reader.conn.fetchval("SELECT count(*) FROM orders")
        if held != reader.orders:
            wrong.append(f"the snapshot saw {reader.orders} orders, and then {held}")
    return Soaked(told, wrong, worse(told))


def worse(minutes: Sequence[Minute]) -> list[str]:
    """Say what is worse in the last third than in the first, of which the first minute, a start, does not count.

    Of fewer than three minutes there is nothing to say.
    """
    if len(minutes) < 3:
        return []
    third = max(1, (len(minutes) - 1) // 3)
    first, last = minutes[1 : 1 + third], minutes[-third:]
    found = []
    for name, least in _WATCHED.items():
        before, after = (statistics.median(getattr(each, name) for each in part) for part in (first, last))
        if after > before * WORSE and after - before > least:
            found.append(f"{name}: {before:.0f} -> {after:.0f}")
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    conn: asyncpg.Connection
    since: datetime
    orders: int


@contextlib.asynccontextmanager
async def _snapshot(ground: Ground) -> AsyncIterator[_Reader]:
    """Hold one snapshot of the whole database, as a report or a dump does."""
    async with ground.admin() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        yield _Reader(conn, await _now(conn), await conn.fetchval("SELECT count(*) FROM orders"))


async def _now(conn: asyncpg.Connection) -> datetime:
    now: datetime = await conn.fetchval("SELECT hub_now()")
    return now


async def _minute(
    conn: asyncpg.Connection,
    number: int,
    since: datetime,
    ended: datetime,
    filed: int,
    refused: int,
    nodes: Sequence[Process],
    reader: _Reader,
) -> Minute:
    late = {}
    for name, asked in _SAMPLES.items():
        seconds = [row[0] for row in await conn.fetch(asked, since, ended)]
        late[name] = percentile(seconds, 0.99) * 1000
    dead = "SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables WHERE relname = ANY($1)"
    size = "SELECT pg_total_relation_size('dispatch_queue')"
    return Minute(
        number,
        filed,
        refused,
        late["claim"],
        late["fire"],
        late["delivery"],
        sum(_resident(node.pid) for node in nodes),
        await conn.fetchval(dead, CHURNING) or 0,
        await conn.fetchval(size) / 2**20,
        (ended - reader.since).total_seconds(),
    )


async def _settled(conn: asyncpg.Connection) -> None:
    """Wait until every order was delivered and nothing is due."""
    await conn.execute(_FIRE_THE_REST)

    async def is_settled() -> bool:
        return not await conn.fetchval(_LEFT)

    await until(is_settled, WITHIN, lambda: "orders or deadlines are left")


async def _wrong(ground: Ground, conn: asyncpg.Connection, filed: int) -> list[str]:
    """Return what must not be, however slow the machine: lost, twice, or a log that does not hold."""
    counts = {
        "orders placed": ("SELECT count(*) FROM orders", filed * bench_load.ORDERS),
        "orders delivered": ("SELECT count(*) FROM orders WHERE delivered_at IS NOT NULL", filed * bench_load.ORDERS),
        "deadlines to execute that fired": (
            "SELECT count(*) FROM deadlines WHERE stage = 'execute' AND rung = 0 AND state = 'missed'",
            filed * bench_load.ORDERS,
        ),
        "facts of missed deadlines beyond one each": (
            "SELECT count(*) - count(DISTINCT deadline_id) FROM audit_entries WHERE code = 'deadline.missed'",
            0,
        ),
        "facts in no month": ("SELECT count(*) FROM audit_entries_default", 0),
    }
    wrong = [
        f"{name}: {found}, not {wanted}"
        for name, (asked, wanted) in counts.items()
        if (found := await conn.fetchval(asked)) != wanted
    ]
    hub = await open_hub(ground.settings)
    try:
        async with hub.database.read(db.HUB) as reading:
            verdict = await audit.verify(reading)
    finally:
        await close_hub(hub)
    return wrong + [f"{each.kind} {each.chain} {each.sequence}" for each in verdict.findings[:5]]


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


_HEADS = ("minute", "filed", "refused", "claim", "fire", "delivery", "memory", "dead rows", "queue", "snapshot")


def _line(of: Minute) -> str:
    cells = [f"{value:,.0f}" if isinstance(value, float) else f"{value:,}" for value in asdict(of).values()]
    return "".join(f"{cell:>11}" for cell in cells)


async def _soak(server: str, minutes: int, rate: float) -> Soaked:
    with tempfile.TemporaryDirectory(prefix="hoatoc-soak-") as folder:
        grounds = Grounds(Path(folder), server)
        ground = await grounds.fresh("postgresql")
        return await run(ground, minutes, rate)


def main(arguments: list[str]) -> int:
    """Soak, print a line a minute and a verdict; return 1 where something is lost, twice or does not hold."""
    parser = argparse.ArgumentParser(description="run the hub for long behind an open snapshot")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second, of five orders each")
    parser.add_argument("--out", type=Path, default=bench.ROOT / "build" / "soak.json")
    given = parser.parse_args(arguments)
    if given.minutes < 1 or given.rate <= 0:
        parser.error("--minutes must be at least 1, --rate above 0")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print("p99 lateness in ms, memory and queue in MiB, the snapshot's age in s", flush=True)
    print("".join(f"{head:>11}" for head in _HEADS), flush=True)
    with postgres.running() as server:
        os.environ[postgres.VARIABLE] = server
        soaked = asyncio.run(_soak(server, given.minutes, given.rate))
    told: dict[str, Any] = asdict(soaked)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({**told, "rate": given.rate}, indent=1) + "\n")
    print("it degrades: " + "; ".join(soaked.worse) if soaked.worse else "it does not degrade", flush=True)
    for each in soaked.wrong:
        print(f"WRONG: {each}", flush=True)
    return 1 if soaked.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
