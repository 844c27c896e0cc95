"""A6: claim, fire and timeline with ever more rows behind them."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import bench_rows
import sqlalchemy as sa
from bench_figures import Goal, Outcome, percentile
from bench_ground import Ground
from bench_profile import Profiles

from service import clock, db
from service.app import close_hub, open_hub
from service.engine import firing, store
from service.engine.hub import OPERATOR, Hub
from service.engine.store.rows import Free
from service.models import ActionRequest, Deadline, Endpoint, table_of
from service.queries import timeline
from service.security import scopes
from service.security.principals import Principal
from workflows.terms import ActorKind, Role, Sector

# Rows behind, at full size: the first as it is, the others by the scale.
SIZES = (10_000, 1_000_000, 10_000_000)
REPEATS = 60
_ENDPOINTS, _REQUESTS, _DEADLINES = table_of(Endpoint), table_of(ActionRequest), table_of(Deadline)


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Measure behind few rows, lay down many, and measure again."""
    pattern = await bench_rows.file(ground, quiet=True)
    assert pattern is not None
    a_copy = sum(pattern.rows.values()) - pattern.rows.get("dispatch_queue", 0)
    behind = pattern.only([name for name in bench_rows.LIFE if name != "dispatch_queue"])
    values: dict[str, float] = {}
    laid, first = 0, 1
    measured: list[dict[str, float]] = []
    sizes = [SIZES[0], *(max(SIZES[0] * (2 + nth), int(size * scale)) for nth, size in enumerate(SIZES[1:]))]
    for size in sizes:
        copies = max(0, (size - laid) // a_copy)
        began = time.monotonic()
        await bench_rows.copy(ground, behind, copies, first)
        async with ground.admin() as conn:
            await conn.execute("VACUUM ANALYZE")
        laid, first = laid + copies * a_copy, first + copies
        values[f"laying down {size:,} s"] = time.monotonic() - began
        measured.append(await _measured(ground))
        values |= {f"{name} ms at {size:,}": value for name, value in measured[-1].items()}
    goals = []
    for name, before in measured[0].items():
        values[f"{name} ×"] = max(each[name] for each in measured[1:]) / before
        goals.append(Goal(f"{name} ×", 1.5, most=True))
    return Outcome(values, goals, {"rows behind": [f"{size:,}" for size in sizes], "repeats": REPEATS})


async def _measured(ground: Ground) -> dict[str, float]:
    """Return the medians, in ms, of one claim of 50, one firing of a deadline and one timeline."""
    hub = await open_hub(ground.settings)
    try:
        queue, lease = store.of(hub.database.dialect), clock.new_id()
        async with hub.database.read(db.HUB) as conn:
            endpoints = list((await conn.execute(sa.select(_ENDPOINTS.c.id))).scalars())
            newest = sa.select(_REQUESTS.c.id).order_by(_REQUESTS.c.submitted_at.desc()).limit(REPEATS)
            requests = list((await conn.execute(newest)).scalars())
            pending = sa.select(_DEADLINES.c.id).where(
                _DEADLINES.c.request_id.in_(requests), _DEADLINES.c.state == "pending", _DEADLINES.c.rung == 0
            )
            waiting = list((await conn.execute(pending.limit(REPEATS + 5))).scalars())
        free = {endpoint: Free(8, 4) for endpoint in endpoints}

        async def claim() -> None:
            async def unit(conn: Any) -> None:
                await queue.claim(conn, free, cap=50, node="bench", lease=lease, within=timedelta(seconds=60))

            await hub.database.write(unit, db.HUB)

        async def release() -> None:
            await hub.database.write(lambda conn: queue.release(conn, lease), db.HUB)

        who = _coordinator()

        async def tell(request_id: UUID) -> None:
            async with hub.database.read(db.HUB) as conn:
                await timeline.tell(conn, who, request_id)

        async def come_due(deadline: int) -> None:
            set_due = sa.update(_DEADLINES).where(_DEADLINES.c.id == deadline)
            now = sa.func.hub_now(type_=_DEADLINES.c.due_at.type)
            await hub.database.write(lambda conn: conn.execute(set_due.values(due_at=now, started_at=now)), db.HUB)

        return {
            "claim": await _median([(claim, release)] * REPEATS),
            "fire": await _median([(lambda: _fire(hub), None, lambda one=one: come_due(one)) for one in waiting]),
            "timeline": await _median([(lambda one=one: tell(one), None) for one in requests]),
        }
    finally:
        await close_hub(hub)


async def _fire(hub: Hub) -> None:
    await firing.fire_once(hub)


async def _median(rounds: list[Any]) -> float:
    """Return the median of the first part of each round, in ms; the second comes after it, the third before."""
    took = []
    for each in rounds:
        timed, after, before = (*each, None)[:3]
        if before is not None:
            await _run(before)
        began = time.monotonic()
        await _run(timed)
        took.append(time.monotonic() - began)
        if after is not None:
            await _run(after)
    return percentile(took[5:] or took, 0.5) * 1000


async def _run(part: Callable[[], Awaitable[None]]) -> None:
    await part()


def _coordinator() -> Principal:
    held = frozenset({Role.COORDINATOR})
    return Principal("bench", OPERATOR, Sector.HUB, held, scopes.scopes_of(held, Sector.HUB), None, ActorKind.CLIENT)
