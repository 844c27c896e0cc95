"""What is counted is counted one after the other, whatever comes at once; an officer of elsewhere is nobody here."""

import asyncio
from typing import Any

import bounding
import pytest
import steps
import world as worlds
from builders import table
from world import World

from service import db, errors
from service.actions import approve_request
from service.engine.hub import Hub
from service.models import Officer, Order
from workflows.terms import RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


def account(number: int) -> dict[str, str]:
    """An account of its own: two requests about one account wait for each other anyway."""
    return {**worlds.freeze()["target"], "value": f"99900011122{number:02}"}


async def test_five_emergency_holds_on_five_accounts_at_one_instant_are_two(world: World) -> None:
    bodies = [steps.emergency(case_number=f"{at:02}/2026/CA", target=account(at)) for at in range(5)]
    done = await asyncio.gather(*map(world.submit, bodies), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["Forbidden"] * 3 + ["RequestAccepted"] * 2
    assert len(await world.rows(Order)) == 2
    assert await steps.findings(world) == []


async def test_of_twelve_approvals_of_unlike_requests_at_one_instant_the_allowed_number_is_active(world: World) -> None:
    await bounding.set_bounds(world.hub, {"subject": "pair", "count": 3})
    filed = [
        (await world.submit(worlds.freeze(case_number=f"{at:02}/2026/CA", target=account(at)))).id for at in range(12)
    ]
    await asyncio.gather(*map(world.approve, filed))
    states = [(await steps.request_now(world, one))["state"] for one in filed]
    assert (states.count(RequestState.ACTIVE), states.count(RequestState.HELD_FOR_CALLBACK)) == (3, 9)
    assert len(await world.rows(Order)) == 3
    assert await steps.findings(world) == []


async def test_an_officer_whom_another_member_enrolled_is_as_unknown_as_nobody(world: World) -> None:
    async def unit(conn: Any) -> None:
        [known] = await world.rows(Officer, id="approver")
        row = {**known, "id": "stranger", "tenant": "bidv", "created_at": await db.now(conn)}
        await db.insert_rows(conn, table(Officer), [row])

    filed = await world.submit(worlds.freeze())
    await world.hub.writer.run(unit)
    for attempt in (
        world.submit(worlds.freeze(officer_id="stranger")),
        approve_request.approve(world.hub, world.police, filed.id, "stranger", "eyJ9..eyJ9"),
        world.withdraw(filed.id, "stranger"),
    ):
        with pytest.raises(errors.InvalidInput) as refused:
            await attempt
        assert [(field.field, field.code) for field in refused.value.fields] == [("/officer_id", "officer.unknown")]
    assert await world.rows(Order) == []
