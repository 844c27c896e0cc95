"""A9: the pages that a desk and an officer live in, at the served hub, behind 100,000 orders, a tenth of them open."""

import re
import time
from datetime import timedelta
from typing import Any

import bench_load
import bench_rows
import httpx
import sqlalchemy as sa
from bench_figures import Goal, Outcome, percentile
from bench_ground import PLATFORMS, Ground
from bench_profile import Profiles
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.actions import changes, make_sign_in_link
from service.app import close_hub, open_hub
from service.engine import owing
from service.engine.hub import OPERATOR, Hub
from service.models import Order, table_of
from service.schemas.policies import NewSignInLink
from workflows.terms import Role

# At full size; of so many orders each tenth is open, and of those a quarter is overdue.
ORDERS = 100_000
OPEN, LATE = 10, 4
REPEATS = 40
# The promise: at the median, on a machine that does nothing else.
WITHIN_MS = 100
_DONE = ("executed", "met", "delivered")
_OVER = timedelta(days=2)

COORDINATORS = (
    *("/board", "/board?group=running", "/", "/requests/{request}", "/requests/{request}/case", "/orders/{order}"),
    *("/tasks", "/escalations", "/delivery", "/handover", "/participants", "/participants/{participant}", "/about"),
)
OFFICERS = ("/mine", "/board", "/requests/{request}", "/requests/new")


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Lay the orders down, settle most of them, and ask for each page as a coordinator and as an officer."""
    count = max(500, int(ORDERS * scale))
    began = time.monotonic()
    laid = await _lay(ground, count)
    values: dict[str, float] = {"laying down s": time.monotonic() - began}
    goals = []
    hub = await open_hub(ground.settings)
    try:
        officer = await _busiest(ground)
        links = {
            "": await _link(hub, OPERATOR, "bench", Role.COORDINATOR),
            " as officer": await _link(hub, officer, f"{officer}-maker", Role.MAKER),
        }
        ids = {who: await _ids(ground, None if who == "" else officer) for who in links}
    finally:
        await close_hub(hub)
    node = ground.node("a", delivers=False)
    async with ground.running(node):
        for who, link in links.items():
            async with httpx.AsyncClient(base_url=ground.settings.address, timeout=60.0) as client:
                assert (await client.post(link)).status_code == 303
                for page in COORDINATORS if who == "" else OFFICERS:
                    took = await _ask(client, page.format(**ids[who]))
                    name = f"{page}{who}"
                    values[f"{name} ms p50"] = percentile(took, 0.5) * 1000
                    values[f"{name} ms p99"] = percentile(took, 0.99) * 1000
                    goals.append(Goal(f"{name} ms p50", WITHIN_MS, most=True))
    return Outcome(values, goals, {"orders": laid, "open": laid // OPEN, "repeats": REPEATS})


async def _ask(client: httpx.AsyncClient, path: str) -> list[float]:
    """Return how many seconds each answer took, whole; the first ones warm up and do not count."""
    took = []
    for _ in range(REPEATS + 3):
        began = time.monotonic()
        answer = await client.get(path, headers={"Accept": "text/html"})
        took.append(time.monotonic() - began)
        assert answer.status_code == 200, f"{re.sub('[0-9a-f-]{36}', '…', path)}: {answer.status_code}"
    return took[3:]


async def _link(hub: Hub, tenant: str, person: str, role: Role) -> str:
    body = NewSignInLink(participant_id=tenant, person=person, role=role)
    made = await make_sign_in_link.make(hub, changes.local_administrator("bench"), body)
    return made.path


async def _lay(ground: Ground, count: int) -> int:
    if ground.kind == "sqlite":
        await bench_rows.file(ground, max(1, -(-count // bench_load.ORDERS)))
        with bench_rows.embedded(ground) as conn:
            for statement in _settled(
                "(unixepoch() % 97 + rowid)", "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-1 hour')"
            ):
                conn.execute(statement)
            (laid,) = conn.execute("SELECT count(*) FROM orders").fetchone()
        await _owe(ground)
        return int(laid)
    pattern = await bench_rows.file(ground, quiet=True)
    assert pattern is not None
    behind = pattern.only([name for name in bench_rows.LIFE if name != "dispatch_queue"])
    await bench_rows.copy(ground, behind, max(0, -(-count // (bench_rows.FILED * bench_load.ORDERS)) - 1))
    async with ground.admin() as conn:
        for statement in _settled("hashtext(id::text)", "hub_now() - interval '1 hour'"):
            await conn.execute(statement)
        laid = await conn.fetchval("SELECT count(*) FROM orders")
        await _owe(ground)
        await conn.execute("VACUUM ANALYZE")
    return int(laid)


async def _owe(ground: Ground) -> None:
    """Let each order say when what it owes is due, as the engine does."""
    hub = await open_hub(ground.settings)
    try:

        async def unit(conn: AsyncConnection) -> None:
            await conn.execute(sa.update(table_of(Order)).values(**owing.due(conn)))

        await hub.database.write(unit, db.HUB)
    finally:
        await close_hub(hub)


def _settled(number: str, late: str) -> tuple[str, ...]:
    """Return what makes nine of ten orders executed two days ago, and a quarter of the open ones overdue."""
    order, deadline, dispatch = _DONE
    long_ago = late.replace("1 hour", f"{_OVER.days} days")
    theirs = "state = 'pending' AND subject_id IN (SELECT id FROM orders WHERE"
    some = f"abs({number}) %"
    return (
        f"UPDATE orders SET state = '{order}', changed_at = {long_ago} WHERE {some} {OPEN} <> 0",
        f"UPDATE deadlines SET state = '{deadline}', settled_at = {long_ago} WHERE {theirs} state = '{order}')",
        f"UPDATE dispatches SET state = '{dispatch}', settled_at = {long_ago} WHERE state = 'pending' AND order_id IN"
        f" (SELECT id FROM orders WHERE state = '{order}')",
        f"DELETE FROM dispatch_queue WHERE dispatch_id IN (SELECT id FROM dispatches WHERE state = '{dispatch}')",
        f"UPDATE deadlines SET state = 'missed', due_at = {late}, settled_at = {late}"
        f" WHERE rung = 0 AND {theirs} {some} {OPEN * LATE} = 0)",
    )


async def _busiest(ground: Ground) -> str:
    """Return the agency that has the most orders."""
    return str((await _first(ground, "SELECT tenant FROM orders GROUP BY tenant ORDER BY count(*) DESC, tenant"))[0])


async def _ids(ground: Ground, agency: str | None) -> dict[str, Any]:
    """Return the oldest of its kind: it was really filed, and what is sealed in it opens; of a copy it does not."""
    where = f" WHERE tenant = '{agency}'" if agency else ""
    request, order = await _first(ground, f"SELECT request_id, id FROM orders{where} ORDER BY id")
    return {"request": request, "order": order, "participant": PLATFORMS[0].id}


async def _first(ground: Ground, query: str) -> Any:
    if ground.kind == "sqlite":
        with bench_rows.embedded(ground) as conn:
            return conn.execute(f"{query} LIMIT 1").fetchone()
    async with ground.admin() as conn:
        return await conn.fetchrow(f"{query} LIMIT 1")
