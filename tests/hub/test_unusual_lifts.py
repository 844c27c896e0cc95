"""An upheld appeal is a lift by one officer: it counts as one, and where it is too many somebody is called."""

from datetime import timedelta
from typing import Any

import appeal_steps
import bounding
import pytest
import steps
import world as worlds
from registry_forms import ADMIN
from rigs import FastForward
from world import AGENCY, World

from service.actions import resolve_task, set_duty_phone
from service.engine import baselines
from service.engine.hub import Hub
from service.models import Baseline, Task
from service.queries import tasks
from service.schemas.callbacks import NewDutyPhone
from service.schemas.tasks import TaskAnswer, TaskResolution
from workflows.terms import BoundKind, BoundSubject, OrderState, RequestState

PHONE = "+842838387342"
FACT = "appeal.lifts_unusual"


@pytest.fixture
async def world(hub: Hub) -> World:
    """A network in which two lifts an hour are an officer's bound."""
    made = World(hub, room=False)
    await made.settle_in()
    await steps.second_officer(made)
    await bounding.set_bounds(hub, {"subject": "officer", "kind": "lifts", "count": 2})
    await set_duty_phone.set_duty_phone(hub, ADMIN, AGENCY, NewDutyPhone(phone=PHONE))
    return made


async def contested(world: World, outcome: str = "upheld", officer: str = "approver") -> dict[str, Any]:
    """A hold whose bank appealed, and whose appeal was decided; returns its order."""
    order = await steps.held(world)
    await appeal_steps.decide(world, await appeal_steps.file(world, order), outcome, officer)
    return await steps.order_now(world, order)


async def lift(world: World, officer: str) -> RequestState:
    order = await steps.held(world)
    return (await world.submit(worlds.lift(order["request_id"], officer_id=officer))).state


async def calls(world: World) -> list[TaskAnswer]:
    """The calls that coordinators are asked for because of upheld appeals."""
    rows = await world.rows(Task, kind="unusual_lifts")
    async with world.hub.database.read() as conn:
        return [await tasks.one(conn, world.hub.vault, row["id"]) for row in rows]


async def test_what_upheld_appeals_lifted_leaves_less_room_for_lifts(world: World, fast_forward: FastForward) -> None:
    for _ in range(2):
        await contested(world)
    assert await lift(world, "approver") is RequestState.HELD_FOR_CALLBACK
    # Those of another officer, those that were rejected and those of an hour ago take none of it.
    assert await lift(world, "second") is RequestState.ACTIVE
    await fast_forward(minutes=61)
    for _ in range(2):
        await contested(world, "rejected")
    assert await lift(world, "approver") is RequestState.ACTIVE


async def test_lifts_leave_less_room_for_upheld_appeals(world: World) -> None:
    await contested(world, officer="second")
    await lift(world, "second")
    assert await calls(world) == []
    order = await contested(world, officer="second")
    assert FACT in await world.facts(order["request_id"])


async def test_one_upheld_too_many_lifts_and_a_coordinator_calls_the_agency(world: World) -> None:
    orders = [await contested(world) for _ in range(4)]
    # Whoever was found to be right waits for nobody.
    assert [order["state"] for order in orders] == [OrderState.LAPSED] * 4
    assert all(order["lift_ordered"] for order in orders)
    told = [(await world.facts(order["request_id"])).count(FACT) for order in orders]
    assert told == [0, 0, 1, 1]
    # One call at a time: it is about the agency, not about one of the appeals.
    [task] = await calls(world)
    assert (task.request_id, task.data) == (orders[2]["request_id"], {"bounds": ["officer_count"]})
    assert task.call is not None and (task.call.participant_id, task.call.phone) == (AGENCY, PHONE)
    assert task.due_at - task.opened_at == timedelta(minutes=15)
    await resolve_task.resolve(world.hub, world.coordinator, task.id, TaskResolution(note="Trực ban xác nhận"))
    await contested(world)
    assert len(await calls(world)) == 2
    assert await steps.findings(world) == []


async def test_an_appeal_counts_what_it_contests(world: World) -> None:
    numbers = await appeal_steps.held_numbers(world, "+84980000021", "+84980000022", "+84980000023")
    one = await appeal_steps.file(world, numbers[0])
    await appeal_steps.decide(world, one)
    assert await calls(world) == []
    reference = (await steps.request_now(world, numbers[0]["request_id"]))["reference"]
    rest = await appeal_steps.file_for_a_person(world, request_reference=reference)
    await appeal_steps.decide(world, rest)
    [task] = await calls(world)
    assert task.data == {"bounds": ["officer_count"]}


async def test_upheld_appeals_are_learned_as_lifts(world: World, fast_forward: FastForward) -> None:
    for _ in range(2):
        await contested(world)
    await fast_forward(hours=25)
    await baselines.learn(world.hub)
    [usual] = await world.rows(Baseline, kind=BoundKind.LIFTS, subject_kind=BoundSubject.OFFICER)
    assert (usual["subject"], usual["p99_count"], usual["p99_amount"]) == ("approver", 2, 2 * steps.ASKED)
    [agency] = await world.rows(Baseline, kind=BoundKind.LIFTS, subject_kind=BoundSubject.AGENCY)
    assert (agency["subject"], agency["p99_count"]) == (AGENCY, 2)
    assert await world.rows(Baseline, kind=BoundKind.LIFTS, subject_kind=BoundSubject.PAIR) == []
