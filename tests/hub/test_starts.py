"""A request takes effect at once: no start that lies ahead, and no instant that an answer cannot hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import steps
import world as worlds
from pydantic import ValidationError
from world import World

from service import errors
from service.engine.hub import Hub
from service.models import ActionRequest, Order

AML = {"legal_basis": "aml_postponement", "officer_id": "approver"}
DOMAIN = {"kind": "domain", "value": "scam.example.com"}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def refused(world: World, body: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(errors.InvalidInput) as answer:
        await world.submit(body)
    assert await world.rows(ActionRequest) == await world.rows(Order) == []
    return [(error.field, error.code) for error in answer.value.fields]


async def test_a_start_that_lies_ahead_is_refused_whatever_is_ordered(world: World) -> None:
    now = await steps.now(world)
    preserve = worlds.takedown(DOMAIN) | {"action": "preserve"}
    del preserve["measure"]
    for body in (worlds.freeze(), worlds.freeze(**AML), steps.emergency(), worlds.takedown(DOMAIN), preserve):
        for ahead in (timedelta(minutes=6), timedelta(days=365 * 10)):
            said = body | {"starts_at": (now + ahead).isoformat()}
            assert await refused(world, said) == [("/starts_at", "starts_at.future")]
            said["ends_at"] = (now + ahead + timedelta(hours=1)).isoformat()
            assert await refused(world, said) == [("/starts_at", "starts_at.future")]
    filed = await world.submit(preserve | {"starts_at": (now + timedelta(minutes=4)).isoformat()})
    assert filed.starts_at == now + timedelta(minutes=4)


async def test_a_start_that_other_clocks_call_now_prolongs_nothing(world: World) -> None:
    now = await steps.now(world)
    soon = (now + timedelta(minutes=4)).isoformat()
    late = (now + timedelta(hours=24, minutes=3)).isoformat()
    said = steps.emergency() | {"starts_at": soon, "ends_at": late}
    assert await refused(world, said) == [("/ends_at", "ends_at.beyond_maximum")]
    # The end that is chosen for him is none that the rule refuses.
    del said["ends_at"]
    filed = await world.submit(said)
    assert filed.ends_at == filed.submitted_at + timedelta(hours=24)


async def test_an_instant_whose_offset_leads_out_of_the_calendar_is_refused_and_its_neighbour_answered(
    world: World,
) -> None:
    for wrong in ("2999-12-31T23:59:59-23:59", "1900-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59"):
        for name in ("starts_at", "ends_at"):
            with pytest.raises(ValidationError) as unread:
                worlds.SUBMIT.validate_python(worlds.takedown(DOMAIN) | {name: wrong})
            assert [error["type"] for error in unread.value.errors()] == ["field.instant"]
    filed = await world.submit(worlds.takedown(DOMAIN) | {"ends_at": "2999-12-31T23:59:59Z"})
    assert filed.ends_at == datetime(2999, 12, 31, 23, 59, 59, tzinfo=UTC)
    await world.fire()


async def test_working_days_that_the_calendar_does_not_know_yet_are_refused(world: World, fast_forward: Any) -> None:
    await fast_forward(days=365 * 20)
    assert await refused(world, worlds.freeze(**AML)) == [("/ends_at", "calendar.unknown")]
