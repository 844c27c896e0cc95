"""T-ANOM: three attacks are held as soon as they pass a bound, and a benign month is left alone."""

import random
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import bounded_harm
import pytest
import trust_sizes
import world as worlds
from bounded_harm import Asked, Month
from hub.conftest import FastForward
from steps import vnd
from world import World

from service import db
from service.engine.hub import Hub
from service.models import ActionRequest, Dispatch, Order, Task
from workflows.terms import DispatchKind, RequestState

Record = Callable[[str, object], None]
REQUESTS = trust_sizes.size(gate=600, full=6_000)
ATTACKS = {
    "burst by one officer": (bounded_harm.burst, trust_sizes.size(gate=35, full=300)),
    "spread over the agency": (bounded_harm.spread, trust_sizes.size(gate=60, full=400)),
    "slow amounts by a pair": (bounded_harm.slow, trust_sizes.size(gate=16, full=120)),
}


async def test_attacks_are_held_and_a_benign_month_is_not(
    hub: Hub, fast_forward: FastForward, record_property: Record
) -> None:
    month = Month(World(hub, room=False), fast_forward, random.Random(trust_sizes.seed()))
    await month.settle_in()
    filed, held = await month.pass_by(REQUESTS)
    allowed = filed // 100
    record_property(
        *trust_sizes.figure(
            "P14",
            "T-ANOM, 30 benign days",
            n=filed,
            violations=len(month.wrong) + max(0, held - allowed),
            held=held,
            percent=round(100 * held / filed, 2),
            database=hub.database.dialect,
        )
    )
    assert month.wrong == []
    assert held <= allowed, f"seed {trust_sizes.seed()}: {held} of {filed} benign requests were held"
    for what, (attack, many) in ATTACKS.items():
        # A quiet night in between: each attack meets the agency as the month left it.
        await fast_forward(hours=3)
        await _attacked(month, what, attack, many, record_property)


async def _attacked(
    month: Month, what: str, attack: Callable[..., list[Asked]], many: int, record_property: Record
) -> None:
    world, wrong, excess = month.world, [], 0
    filed: dict[UUID, bool] = {}
    async with world.hub.database.read() as conn:
        started = before = await db.now(conn)
    for planned in attack(started, many):
        if planned.at > before:
            await month.forward(seconds=(planned.at - before).total_seconds())
            before = planned.at
        request_id = await _file(world, planned)
        [row] = await world.rows(ActionRequest, id=request_id)
        # The instant at which it really became active, or would have.
        asked = Asked(row["activated_at"] or row["held_at"], planned.maker, planned.approver, planned.amount)
        expected = month.oracle.holds(asked)
        is_held = row["state"] is RequestState.HELD_FOR_CALLBACK
        excess += expected
        filed[request_id] = expected
        if is_held is not expected:
            wrong.append(f"{asked}: {row['state']}, must be held: {expected}")
        if not expected:
            month.oracle.note(asked, False)
    wrong += await _sent_or_lost(world, filed)
    figure = {"held": excess, "went out": many - excess, "database": world.hub.database.dialect}
    record_property(*trust_sizes.figure("P14", f"T-ANOM, {what}", n=many, violations=len(wrong), **figure))
    assert wrong == []
    assert 0 < excess < many, "the attack never passed a bound, or never stayed within one"


async def _file(world: World, asked: Asked) -> UUID:
    body = worlds.freeze(officer_id=asked.maker, amount=vnd(asked.amount))
    filed = await world.submit(body)
    await world.approve(filed.id, asked.approver)
    return filed.id


async def _sent_or_lost(world: World, filed: dict[UUID, bool]) -> list[str]:
    """What of the excess was sent, what has no task to call back, and what of the rest was not sent."""
    tasks = {row["request_id"] for row in await world.rows(Task, kind="callback")}
    orders = {row["request_id"] for row in await world.rows(Order)}
    sent = {row["request_id"] for row in await world.rows(Dispatch, kind=DispatchKind.ORDER)}
    wrong = [
        f"{one} was sent although it passes a bound" for one, over in filed.items() if over and one in orders | sent
    ]
    wrong += [
        f"{one} is held and nobody is asked to call back" for one, over in filed.items() if over and one not in tasks
    ]
    wrong += [f"{one} passes no bound and was not sent" for one, over in filed.items() if not over and one not in sent]
    return wrong


@pytest.mark.parametrize("minutes", [59, 61])
async def test_the_window_slides(hub: Hub, fast_forward: FastForward, minutes: int) -> None:
    """The oracle's own edge: the twenty-first freeze of an officer within the hour is held, after it, it is not."""
    world = World(hub, room=False)
    await world.settle_in()
    for _ in range(20):
        await world.active(worlds.freeze())
    await fast_forward(seconds=timedelta(minutes=minutes).total_seconds())
    filed = await world.active(worlds.freeze())
    [row] = await world.rows(ActionRequest, id=filed.id)
    assert row["state"] is (RequestState.HELD_FOR_CALLBACK if minutes < 60 else RequestState.ACTIVE)
