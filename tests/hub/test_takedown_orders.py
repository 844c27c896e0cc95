"""A takedown fans out: an order for each participant and target that can be reached, a task for each that cannot."""

import json
from collections import Counter
from typing import Any

import pytest
import steps
import world as worlds
from opening import opened
from world import MEMBERS, World

from service import errors
from service.actions import resolve_task
from service.engine.hub import Hub
from service.models import ActionRequest, AuditEntry, Case, Deadline, Dispatch, Order, QueueItem, Target, Task
from service.queries import requests
from service.schemas.tasks import TaskResolution
from workflows.terms import OrderState, RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


def domains(count: int) -> list[dict[str, str]]:
    """Scam domains, all made up."""
    return [{"kind": "domain", "value": f"khuyen-mai-{number}.xyz"} for number in range(count)]


async def resolve(world: World, task_id: Any) -> None:
    """A coordinator has reached the participant by hand."""
    await resolve_task.resolve(world.hub, world.coordinator, task_id, TaskResolution(note=None))


async def test_a_hundred_domains_go_to_the_isp_in_reach_and_each_other_one_is_a_task(world: World) -> None:
    filed = await world.submit(worlds.takedown(*domains(100)))
    assert filed.recipients == ["fpt-isp"]
    orders = await world.orders(filed.id)
    assert Counter(order["participant_id"] for order in orders) == {"fpt-isp": 100}
    assert len({order["target_id"] for order in orders}) == 100
    assert len(await world.rows(Dispatch)) == len(await world.rows(QueueItem)) == 100
    assert len({row["order_key"] for row in await world.rows(QueueItem)}) == 100
    clocks = Counter(str(row["stage"]) for row in await world.rows(Deadline, subject_kind="order"))
    assert clocks == {"receipt": 100, "acknowledge": 100, "execute": 100}
    tasks = await world.rows(Task)
    assert tasks
    assert {str(task["kind"]) for task in tasks} == {"unreachable_participant"}
    names = sorted(task["participant_id"] for task in tasks)
    assert len(set(names)) == len(names)
    assert "fpt-isp" not in names
    assert [(entry.participant_id, entry.reason) for entry in filed.unreachable] == [
        (name, "no_endpoint") for name in names
    ]
    assert {entry.task_id for entry in filed.unreachable} == {task["id"] for task in tasks}
    # Each order reads like the one on paper: its own target, its own clocks, the road back.
    bodies = [await message(world, row) for row in await world.rows(Dispatch)]
    assert {body["target"]["value"] for body in bodies} == {target["value"] for target in domains(100)}
    assert {body["answer_url"] for body in bodies} == {f"/v1/orders/{order['id']}/acknowledgements" for order in orders}
    assert await steps.findings(world) == []


async def message(world: World, dispatch: dict[str, Any]) -> dict[str, Any]:
    """The body of a dispatch's message."""
    text = await opened(world.hub, "dispatches", dispatch["id"], dispatch["tenant"], dispatch["message_sealed"])
    body: dict[str, Any] = json.loads(text)["body"]
    return body


async def test_a_takedown_closes_when_each_order_is_final_and_each_task_is_done(world: World) -> None:
    filed = await world.submit(worlds.takedown(*domains(3)))
    first, *others = await world.orders(filed.id)
    await world.answer(first, outcome="refused", refusal_code="target_legitimate")
    for order in others:
        await world.answer(order, outcome="executed")
    assert {str(order["state"]) for order in await world.orders(filed.id)} == {"refused", "executed"}
    # All have answered; those out of reach have not been reached yet.
    tasks = await world.rows(Task)
    for task in tasks:
        assert (await steps.request_now(world, filed.id))["state"] is RequestState.ACTIVE
        await resolve(world, task["id"])
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.CLOSED
    assert await world.rows(Deadline, state="pending") == []
    async with world.hub.database.read() as conn:
        detail = await requests.one(conn, world.hub.vault, world.police, filed.id)
    assert detail is not None
    assert detail.orders == {"refused": 1, "executed": 2}
    assert [order.refusal_code for order in detail.order_list if order.refusal_code] == ["target_legitimate"]
    assert detail.unreachable == []


async def test_the_last_order_closes_it_where_the_tasks_were_done_first(world: World) -> None:
    filed = await world.submit(worlds.takedown(*domains(1)))
    for task in await world.rows(Task):
        await resolve(world, task["id"])
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.ACTIVE
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="executed")
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.CLOSED


async def test_a_sender_name_goes_to_every_telecom(world: World) -> None:
    filed = await world.submit(worlds.takedown({"kind": "sms_sender", "value": "VCB-THONGBAO"[:11]}))
    orders = await world.orders(filed.id)
    joined = {name for name in MEMBERS if name in {"viettel", "vinaphone", "mobifone"}}
    assert {order["participant_id"] for order in orders} == joined
    others = {task["participant_id"] for task in await world.rows(Task)}
    assert others
    assert not others & joined
    # A telecom that names another one that was asked already is refused, and somebody looks at it.
    said = await world.answer(orders[0], outcome="not_mine", ported_to=orders[1]["participant_id"])
    assert said.state is OrderState.REFUSED
    assert len(await world.orders(filed.id)) == len(joined)


async def test_a_task_that_nobody_does_climbs_its_own_ladder(world: World, fast_forward) -> None:
    await world.submit(worlds.freeze(legal_basis="emergency", target=account(institution="ACB")))
    [task] = await world.rows(Task)
    await fast_forward(minutes=31)
    await world.fire()
    raised = await world.rows(worlds.Escalation, stage="task")
    assert [(row["rung"], row["reached"][0]["participant_id"]) for row in raised] == [(1, "hoatoc-hub")]
    [notice] = await world.rows(Dispatch, kind="notice")
    said = await message(world, notice)
    assert said["due_at"] == task["due_at"].isoformat().replace("+00:00", "Z")
    await resolve(world, task["id"])
    await fast_forward(hours=3)
    await world.fire()
    assert len(await world.rows(worlds.Escalation, stage="task")) == 1


def account(**changes: str) -> dict[str, str]:
    """A money target; the number is made up."""
    return {**worlds.freeze()["target"], **changes}


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (worlds.freeze(target=account(institution="Ngan hang Khong Co")), "/target/institution", "institution.unknown"),
        (worlds.freeze(target=account(institution="999999")), "/target/institution", "institution.unknown"),
        (
            worlds.takedown({"kind": "domain", "value": "a.xyz"}, {"kind": "domain", "value": "A.xyz."}),
            "/targets/1",
            "target.repeated",
        ),
        (
            worlds.takedown({"kind": "phone", "value": "+84981234567"}, {"kind": "phone", "value": "+15005550006"}),
            "/targets/1/value",
            "institution.unknown",
        ),
        (
            worlds.takedown(
                {"kind": "email", "value": "a@gmail.com"}, {"kind": "email", "value": "b@khong-ai-biet.xyz"}
            ),
            "/targets/1/value",
            "institution.unknown",
        ),
        (
            worlds.takedown(
                {"kind": "social_account", "platform": "facebook", "value": "x"},
                {"kind": "social_account", "platform": "Khong Co", "value": "x"},
            ),
            "/targets/1/platform",
            "institution.unknown",
        ),
        (
            {**worlds.takedown({"kind": "phone", "value": "+84981234567"}), "measure": "remove"},
            "/measure",
            "measure.not_for_target",
        ),
        (worlds.freeze(officer_id="nobody"), "/officer_id", "officer.unknown"),
        (worlds.freeze(starts_at="2020-01-01T00:00:00Z"), "/starts_at", "starts_at.past"),
        (worlds.freeze(ends_at="2020-01-01T00:00:00Z"), "/ends_at", "ends_at.past"),
        (worlds.freeze(ends_at="2099-01-01T00:00:00Z"), "/ends_at", "ends_at.beyond_maximum"),
    ],
)
async def test_what_cannot_be_placed_names_its_field_and_writes_nothing(
    world: World, body: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(body)
    assert [(error.field, error.code) for error in refused.value.fields] == [(field, code)]
    for model in (ActionRequest, Case, Target, Order, Task, Dispatch, Deadline, AuditEntry):
        assert await world.rows(model) == []


async def test_one_name_on_two_platforms_is_two_targets(world: World) -> None:
    names = [{"kind": "social_account", "platform": name, "value": "qua-tang"} for name in ("facebook", "tiktok")]
    filed = await world.submit({**worlds.takedown(*names), "measure": "suspend"})
    assert len(await world.rows(Target, request_id=filed.id)) == 2
