"""A backlog: orders that were really filed, and as many copies of them as a benchmark needs, sealed anew one by one."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import bench_load
import bench_sampling
from bench_ground import Ground
from bench_sampling import Pattern

from service import db
from service.app import close_hub, open_hub
from service.vault import subjects
from service.vault.sealing import key_of

# Requests really filed: together they reach every participant.
FILED = 20
LIFE = (
    *("cases", "requests", "targets", "subject_keys", "orders", "deadlines", "dispatches", "dispatch_queue"),
    *("audit_entries", "audit_heads"),
)
# Nothing moves before the nodes run and are told to.
_LATER = "hub_now() + interval '1 day'"
_QUEUED = ("tenant", "dispatch_id", "endpoint_id", "priority", "run_at", "order_key")
_STEP = 500
_MANY = 2_000
# Those that no constraint stands on, of a divided table the whole's.
_INDEXES = (
    "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index"
    " WHERE indrelid = ANY($1::text[]::regclass[])"
    " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
)
SOON = timedelta(seconds=3)
# Far below what any machine does.
WRITTEN_A_SECOND = 4_000


async def file(ground: Ground, requests: int = FILED, *, quiet: bool = False) -> Pattern | None:
    """File requests through the door and return, on PostgreSQL, the rows that this wrote.

    With ``quiet`` no deadline comes due before tomorrow: of the copies neither, however long they take to lay down.
    """
    node = ground.node("a", delivers=False)
    police = bench_load.Police(ground)
    async with ground.running(node), bench_load.lines(ground, 8) as lines:
        await police.sign_in()
        if ground.kind == "sqlite":
            await bench_load.file_all(lines, police, requests)
            return None
        async with ground.admin() as conn:
            # Keys of the agencies come into being with the first request of each: they are no part of it.
            await bench_load.file_all(lines, police, FILED)
            point = await bench_sampling.mark(conn)
            await bench_load.file_all(lines, police, requests)
            if quiet:
                await conn.execute(f"UPDATE deadlines SET due_at = {_LATER} WHERE {bench_sampling.SEEN} >= {point}")
            return (await bench_sampling.since(conn, point)).only(LIFE)


async def orders(ground: Ground, count: int) -> int:
    """Lay down at least so many orders, all due in a day, as are their deadlines; return how many there are."""
    per_request = bench_load.ORDERS
    if ground.kind == "sqlite":
        await file(ground, max(1, -(-count // per_request)))
        later(ground)
        return _count(ground)
    pattern = await file(ground)
    assert pattern is not None
    await copy(ground, pattern, max(0, -(-count // (FILED * per_request)) - 1))
    await seal(ground)
    async with ground.admin() as conn:
        await conn.execute(f"UPDATE deadlines SET due_at = {_LATER}; UPDATE dispatch_queue SET run_at = {_LATER}")
        found: int = await conn.fetchval("SELECT count(*) FROM dispatch_queue")
        await conn.execute("VACUUM ANALYZE")
    return found


async def copy(ground: Ground, pattern: Pattern, times: int, first: int = 1) -> None:
    """Write so many copies of the pattern; references hold, though nobody checks them."""
    async with ground.admin() as conn:
        await conn.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        # Of very many rows an index is made in a fraction of the time that it takes to grow.
        grown = await conn.fetch(_INDEXES, [table.name for table in pattern.tables]) if times >= _MANY else []
        for index in grown:
            await conn.execute(f"DROP INDEX {index['name']}")
        for start in range(first, first + times, _STEP):
            # One transaction a step: the copies of a step share its instant, by which their ids agree.
            async with conn.transaction():
                for statement in pattern.copies(start, min(start + _STEP, first + times) - 1):
                    await conn.execute(statement)
        for index in grown:
            await conn.execute(index["made"].replace(" ON ONLY ", " ON "))
        # What is kept in order is one case's at one place: a copy is another case.
        await conn.execute("UPDATE dispatch_queue SET order_key = hashtextextended(dispatch_id::text, 0)")


async def seal(ground: Ground) -> None:
    """Give each copy of a dispatch its own message, sealed for its own row: as it was, but for its names."""
    hub = await open_hub(ground.settings)
    try:
        async with ground.admin() as conn:
            rows = await conn.fetch(
                "SELECT id, tenant, order_id, request_id, message_sealed FROM dispatches ORDER BY message_sealed, id"
            )
            async with hub.database.read(db.HUB) as reading:
                keys = await subjects.of(reading, *{row["message_sealed"] for row in rows})
            texts: dict[bytes, tuple[str, asyncpg.Record]] = {}
            for row in rows:
                # Of rows that are sealed alike, one is the original: the only one that it opens for.
                try:
                    text = hub.vault.unseal(keys, "dispatches", row["id"], row["tenant"], row["message_sealed"])
                except Exception:
                    continue
                texts[row["message_sealed"]] = (text, row)
            made: list[tuple[object, bytes]] = []
            for row in rows:
                text, of = texts[row["message_sealed"]]
                if of["id"] == row["id"]:
                    continue
                key = keys[_key_id(row["message_sealed"])]
                told = json.loads(text)
                told["id"] = f"msg_{row['id'].hex}"
                said = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
                for name in ("order_id", "request_id"):
                    said = said.replace(str(of[name]), str(row[name]))
                made.append((row["id"], hub.vault.seal(key, "dispatches", row["id"], said)))
            await conn.execute("CREATE TEMPORARY TABLE sealed (id uuid, message bytea)")
            await conn.copy_records_to_table("sealed", records=made)
            await conn.execute("UPDATE dispatches d SET message_sealed = s.message FROM sealed s WHERE s.id = d.id")
    finally:
        await close_hub(hub)


def _key_id(sealed: bytes) -> object:
    from_head = key_of(sealed)
    assert from_head is not None
    return from_head


async def spread(ground: Ground, rate: float) -> dict[str, float]:
    """Let the orders come due one after the other at ``rate``, from soon on; return when, by webhook id.

    Afterwards they look as if each had been placed at that instant.
    """
    begin = await _begin(ground, "dispatch_queue")
    if ground.kind == "sqlite":
        with embedded(ground) as conn:
            ids = [row[0] for row in conn.execute("SELECT dispatch_id FROM dispatch_queue ORDER BY id")]
            due = {one: begin + timedelta(seconds=at / rate) for at, one in enumerate(ids)}
            values = [(at.strftime("%Y-%m-%d %H:%M:%S.%f"), one) for one, at in due.items()]
            conn.executemany("UPDATE dispatch_queue SET run_at = ? WHERE dispatch_id = ?", values)
            conn.executemany("UPDATE dispatches SET created_at = ? WHERE id = ?", values)
        return {f"msg_{one.replace('-', '')}": at.timestamp() for one, at in due.items()}
    async with ground.admin() as conn:
        await conn.execute(
            "WITH o AS (SELECT id, row_number() OVER (ORDER BY hashtext(dispatch_id::text)) - 1 AS place"
            " FROM dispatch_queue) UPDATE dispatch_queue q"
            " SET run_at = $1::timestamptz + o.place / $2::float8 * interval '1 second'"
            " FROM o WHERE o.id = q.id",
            begin,
            rate,
        )
        await conn.execute(
            "UPDATE dispatches d SET created_at = q.run_at FROM dispatch_queue q WHERE q.dispatch_id = d.id"
        )
        await conn.execute("VACUUM ANALYZE dispatch_queue, dispatches")
        rows = await conn.fetch("SELECT dispatch_id, run_at FROM dispatch_queue")
    return {f"msg_{row['dispatch_id'].hex}": row["run_at"].timestamp() for row in rows}


async def deadlines_over(ground: Ground, seconds: float) -> tuple[int, float]:
    """Let all deadlines come due evenly over ``seconds``, 0 for one instant; return how many and when they begin.

    They were set a second before: the rungs behind them come minutes later, so what fires is the deadlines alone.
    """
    begin = await _begin(ground, "deadlines")
    if ground.kind == "sqlite":
        with embedded(ground) as conn:
            ids = [row[0] for row in conn.execute("SELECT id FROM deadlines WHERE state = 'pending' AND rung = 0")]
            step = seconds / max(1, len(ids))
            due = [begin + timedelta(seconds=at * step) for at in range(len(ids))]
            form = "%Y-%m-%d %H:%M:%S.%f"
            conn.executemany(
                "UPDATE deadlines SET due_at = ?, started_at = ? WHERE id = ?",
                [
                    (at.strftime(form), (at - timedelta(seconds=1)).strftime(form), one)
                    for at, one in zip(due, ids, strict=True)
                ],
            )
            conn.execute("DELETE FROM dispatch_queue")
        return len(ids), begin.timestamp()
    async with ground.admin() as conn:
        found: int = await conn.fetchval("SELECT count(*) FROM deadlines WHERE state = 'pending' AND rung = 0")
        await conn.execute(
            "WITH o AS (SELECT id, $1::timestamptz + (row_number() OVER (ORDER BY hashtext(id::text)) - 1) * $2::float8"
            " * interval '1 second' AS due FROM deadlines WHERE state = 'pending' AND rung = 0)"
            " UPDATE deadlines d SET due_at = o.due, started_at = o.due - interval '1 second' FROM o WHERE o.id = d.id",
            begin,
            seconds / max(1, found),
        )
        await conn.execute("VACUUM ANALYZE")
    return found, begin.timestamp()


async def _begin(ground: Ground, table: str) -> datetime:
    """Return an instant by which all rows of a table will have been given theirs."""
    rows: Any = (await asked(ground, f"SELECT count(*) FROM {table}"))[0][0]
    return datetime.now(UTC) + SOON + timedelta(seconds=rows / WRITTEN_A_SECOND)


async def deadlines_beside(ground: Ground, seconds: float, begin: float) -> None:
    """Let the deadlines to execute come due evenly over ``seconds`` from ``begin`` on, and nothing else."""
    async with ground.admin() as conn:
        found = await conn.fetchval("SELECT count(*) FROM deadlines WHERE stage = 'execute' AND rung = 0")
        await conn.execute(
            "WITH o AS (SELECT id, to_timestamp($1) + row_number() OVER (ORDER BY hashtext(id::text)) * $2::float8"
            " * interval '1 second' AS due FROM deadlines WHERE stage = 'execute' AND rung = 0)"
            " UPDATE deadlines d SET due_at = o.due, started_at = o.due - interval '1 second' FROM o WHERE o.id = d.id",
            begin,
            seconds / max(1, found),
        )


async def at(instant: float) -> None:
    """Wait for an instant, in seconds since 1970."""
    await asyncio.sleep(max(0.0, instant - time.time()))


async def keep_queue(ground: Ground) -> list[tuple[object, ...]]:
    """Return the rows of the queue, to be laid down once more."""
    return [
        tuple(row)
        for row in await asked(ground, f"SELECT {', '.join(_QUEUED)} FROM dispatch_queue ORDER BY dispatch_id")
    ]


async def lay_down(ground: Ground, kept: Sequence[tuple[object, ...]]) -> None:
    """Let all be delivered once more, as if it never had been."""
    fresh = "UPDATE dispatches SET state = 'pending', attempts = 0, delivered_at = NULL, settled_at = NULL"
    orders = "UPDATE orders SET state = 'placed', delivered_at = NULL"
    clean = ("DELETE FROM dispatch_queue", "DELETE FROM attempts", "DELETE FROM endpoint_states", fresh, orders)
    if ground.kind == "sqlite":
        later(ground)
        with embedded(ground) as conn:
            for statement in clean:
                conn.execute(statement)
            places = ", ".join("?" * len(_QUEUED))
            into = f"INSERT INTO dispatch_queue ({', '.join(_QUEUED)}, leased, attempt) VALUES ({places}, 0, 0)"
            conn.executemany(into, kept)
        return
    async with ground.admin() as conn:
        for statement in clean:
            await conn.execute(statement)
        await conn.copy_records_to_table(
            "dispatch_queue", records=[(*row, False, 0) for row in kept], columns=[*_QUEUED, "leased", "attempt"]
        )


async def wait_a_day(ground: Ground) -> None:
    """Let no deadline come due, and nothing be sent."""
    async with ground.admin() as conn:
        await conn.execute("TRUNCATE dispatch_queue")
        await conn.execute(f"UPDATE deadlines SET due_at = {_LATER} WHERE state = 'pending'")


async def rewind(ground: Ground) -> None:
    """Let the deadlines of an embedded database wait once more, for a day; the facts of their firing leave them."""
    later(ground)
    with embedded(ground) as conn:
        conn.execute("DELETE FROM deadlines WHERE rung > 0")
        conn.execute("UPDATE audit_entries SET deadline_id = NULL")
        conn.execute("UPDATE deadlines SET state = 'pending', settled_at = NULL, settled_by = NULL")


def epoch(ground: Ground, instant: str) -> str:
    """Return SQL for an instant as seconds since 1970."""
    if ground.kind == "sqlite":
        return f"((julianday({instant}) - 2440587.5) * 86400.0)"
    return f"extract(epoch FROM {instant})::float8"


def later(ground: Ground) -> None:
    """Move all that an embedded database has to do a day away."""
    with embedded(ground) as conn:
        at = ((datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S.%f"),)
        conn.execute("UPDATE deadlines SET due_at = ?", at)
        conn.execute("UPDATE dispatch_queue SET run_at = ?", at)


async def let_go(ground: Ground) -> None:
    """Let all that is queued come due now."""
    if ground.kind == "sqlite":
        with embedded(ground) as conn:
            conn.execute("UPDATE dispatch_queue SET run_at = ?", (datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),))
        return
    async with ground.admin() as conn:
        await conn.execute("UPDATE dispatch_queue SET run_at = hub_now()")


async def asked(ground: Ground, statement: str) -> Sequence[Sequence[object]]:
    """Return what a statement that both databases understand finds."""
    if ground.kind == "sqlite":
        with embedded(ground) as conn:
            return conn.execute(statement).fetchall()
    async with ground.admin() as conn:
        return [tuple(row) for row in await conn.fetch(statement)]


def _count(ground: Ground) -> int:
    with embedded(ground) as conn:
        (found,) = conn.execute("SELECT count(*) FROM dispatch_queue").fetchone()
    return int(found)


def embedded(ground: Ground) -> sqlite3.Connection:
    """Return a connection to an embedded database, beside the hub's own."""
    return sqlite3.connect(ground.settings.data_dir / "hoatoc.sqlite3", timeout=30)
