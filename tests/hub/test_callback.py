"""A request that passes a bound is held, nothing is sent, and two people who called the agency back release it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import bounding
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import insert_endpoint, make_hub, table
from opening import opened
from registry_forms import ADMIN
from rigs import FastForward, Speaker
from sqlmodel import SQLModel
from steps import vnd
from world import AGENCY, World

from adapters.transport import Transport
from service import audit, errors, worker
from service.actions import answer_callback, resolve_task, set_duty_phone, suspend
from service.engine import baselines
from service.engine.hub import OPERATOR, Hub
from service.models import (
    ActionRequest,
    AuditEntry,
    Baseline,
    Callback,
    Deadline,
    Dispatch,
    Endpoint,
    Officer,
    Order,
    Participant,
    PublicKey,
    Task,
)
from service.queries import tasks
from service.schemas.callbacks import CallbackAnswer, CallbackAnswered, NewDutyPhone
from service.schemas.registry import SuspendedKind, Suspension
from service.schemas.tasks import TaskAnswer, TaskResolution
from service.security.principals import Principal, ScopeMissing, of_person
from workflows.terms import BoundKind, BoundSubject, CallbackOutcome, DispatchKind, RequestState, Role, Sector

pytest_plugins = ["api_fixtures"]

PHONE = "+842838387342"
FIRST, SECOND = (
    of_person(name, tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR]) for name in ("truc-ban", "truong-ca")
)
HELD = RequestState.HELD_FOR_CALLBACK
DOMAIN = {"kind": "domain", "value": "lua-dao-mau.vn"}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A network whose agency has its duty phone registered; one request an hour an officer, then it is held."""
    made = World(hub, room=False)
    await made.settle_in()
    await steps.second_officer(made)
    await bounding.set_bounds(hub, {"subject": "officer", "count": 1})
    await set_duty_phone.set_duty_phone(hub, ADMIN, AGENCY, NewDutyPhone(phone=PHONE))
    return made


async def held(world: World, **changes: Any) -> dict[str, Any]:
    """A freeze that was approved as one too many."""
    await world.active(worlds.freeze(case_number="02/2026/CA"))
    request = await steps.request_now(world, (await world.active(worlds.freeze(**changes))).id)
    assert request["state"] is HELD
    return request


async def say(world: World, request_id: UUID, outcome: str, who: Principal = FIRST, **more: Any) -> CallbackAnswered:
    body = CallbackAnswer.model_validate({"outcome": outcome, **more})
    return await answer_callback.answer(world.hub, who, request_id, body)


async def released(world: World, request_id: UUID) -> CallbackAnswered:
    await say(world, request_id, "confirmed", FIRST)
    return await say(world, request_id, "confirmed", SECOND)


async def state(world: World, request_id: UUID) -> RequestState:
    found: RequestState = (await steps.request_now(world, request_id))["state"]
    return found


async def shown(world: World, request_id: UUID) -> TaskAnswer:
    [row] = await world.rows(Task, request_id=request_id, kind="callback")
    async with world.hub.database.read() as conn:
        return await tasks.one(conn, world.hub.vault, row["id"])


async def change(world: World, model: type[SQLModel], name: str, **values: Any) -> None:
    rows = table(model)
    key = rows.c.kid if model is PublicKey else rows.c.id
    await world.hub.writer.run(lambda conn: conn.execute(sa.update(rows).where(key == name).values(**values)))


async def nothing_was_sent(world: World, request_id: UUID) -> bool:
    sent = await world.rows(Dispatch, request_id=request_id, kind=DispatchKind.ORDER)
    return not sent and not await world.orders(request_id)


async def test_one_too_many_is_held_with_a_task_and_nothing_is_sent(world: World) -> None:
    await _listen(world)
    request = await held(world)
    assert request["held_bounds"] == ["officer_count"]
    assert request["held_at"] is not None and request["activated_at"] is None
    assert await nothing_was_sent(world, request["id"])
    facts = await world.facts(request["id"])
    assert facts == [
        "request.submitted",
        "request.approved",
        "deadline.met",
        "request.held",
        "task.opened",
    ]
    task = await shown(world, request["id"])
    assert task.due_at - task.opened_at == timedelta(minutes=15)
    assert task.call is not None
    assert (task.call.participant_id, task.call.phone) == (AGENCY, PHONE)
    assert task.data == {"action": "freeze", "bounds": ["officer_count"]}
    [told] = await world.rows(Dispatch, request_id=request["id"], kind=DispatchKind.STATUS)
    assert "request.held" in await opened(world.hub, "dispatches", told["id"], told["tenant"], told["message_sealed"])
    # The second officer came in time; the end of the hold still runs.
    assert await steps.pending(world, request["id"]) == [("end", 0, 0)]


async def _listen(world: World) -> None:
    row = {**(await world.rows(Endpoint))[0], "tenant": AGENCY, "purpose": "status", "id": UUID(int=7)}
    await world.hub.writer.run(lambda conn: insert_endpoint(conn, row))


async def test_the_second_person_releases_it_and_the_orders_are_placed(world: World) -> None:
    request = await held(world)
    first = await say(world, request["id"], "confirmed", FIRST, note="Trực ban PC02 đọc đúng số vụ việc")
    assert (first.state, first.confirmations, first.confirmations_needed) == (HELD, 1, 2)
    assert await nothing_was_sent(world, request["id"])
    second = await say(world, request["id"], "confirmed", SECOND)
    assert (second.state, second.confirmations) == (RequestState.ACTIVE, 2)
    [order] = await world.orders(request["id"])
    assert len(await world.rows(Dispatch, order_id=order["id"])) == 1
    facts = (await world.facts(request["id"]))[5:]
    assert facts == [
        "callback.answered",
        "callback.answered",
        "task.resolved",
        "request.released",
        "request.activated",
        "hold.overlaps",
        "order.placed",
    ]
    now = await steps.request_now(world, request["id"])
    assert now["activated_at"] >= now["held_at"]
    assert (await shown(world, request["id"])).resolved_by == SECOND.client_id
    assert await world.rows(Deadline, stage="task", state="pending") == []
    answers = await world.rows(Callback, request_id=request["id"])
    assert {row["called_number"] for row in answers} == {PHONE}
    [noted] = [row for row in answers if row["note_sealed"]]
    assert "PC02" in await opened(world.hub, "callbacks", noted["id"], AGENCY, noted["note_sealed"])
    assert await steps.findings(world) == []


async def test_what_was_released_runs_on_as_what_was_approved(world: World, fast_forward: FastForward) -> None:
    request = await held(world)
    await released(world, request["id"])
    [order] = await world.orders(request["id"])
    await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    await fast_forward(hours=73)
    await world.fire()
    assert (await world.orders(request["id"]))[0]["state"] == "lapsed"
    assert "hold.ending" in await world.facts(request["id"])


async def test_one_person_confirms_once(world: World) -> None:
    request = await held(world)
    await say(world, request["id"], "confirmed")
    with pytest.raises(errors.Conflict, match=r"callback\.same_person"):
        await say(world, request["id"], "confirmed")
    assert await nothing_was_sent(world, request["id"])


@pytest.mark.parametrize("before", [(), (FIRST,), (SECOND,)], ids=["at once", "after another's yes", "after his own"])
async def test_one_denial_refuses_it_for_good(world: World, before: tuple[Principal, ...]) -> None:
    request = await held(world)
    for person in before:
        await say(world, request["id"], "confirmed", person)
    refused = await say(world, request["id"], "denied", SECOND)
    assert refused.state is await state(world, request["id"]) is RequestState.REFUSED
    assert refused.confirmations == len([person for person in before if person is FIRST])
    assert (await world.facts(request["id"]))[-3:] == ["callback.answered", "task.resolved", "request.refused"]
    assert (await shown(world, request["id"])).resolved_at is not None
    assert await world.rows(Deadline, state="pending", request_id=request["id"]) == []
    for outcome in ("confirmed", "denied"):
        with pytest.raises(errors.Conflict, match=r"request\.not_held"):
            await say(world, request["id"], outcome, FIRST)
    assert await nothing_was_sent(world, request["id"])


async def test_what_is_held_until_its_end_is_refused(world: World, fast_forward: FastForward) -> None:
    request = await held(world)
    await say(world, request["id"], "confirmed")
    await fast_forward(hours=73)
    with pytest.raises(errors.Conflict, match=r"request\.end_has_come"):
        await say(world, request["id"], "confirmed", SECOND)
    await world.fire()
    assert await state(world, request["id"]) is RequestState.REFUSED
    assert (await world.facts(request["id"]))[-1] == "request.refused"
    assert (await shown(world, request["id"])).resolved_at is not None
    assert await nothing_was_sent(world, request["id"])
    assert await world.rows(Deadline, state="pending", request_id=request["id"]) == []


async def test_nobody_called_in_time_is_told_to_the_coordinators(world: World, fast_forward: FastForward) -> None:
    request = await held(world)
    await fast_forward(minutes=31)
    await world.fire()
    assert {"deadline.missed", "escalation.raised"} <= set(await world.facts(request["id"]))
    assert await state(world, request["id"]) is HELD
    await released(world, request["id"])
    assert await state(world, request["id"]) is RequestState.ACTIVE


async def test_the_review_of_a_held_emergency_begins_at_its_release(world: World, fast_forward: FastForward) -> None:
    await world.submit(steps.emergency())
    filed = await world.submit(steps.emergency(case_number="02/2026/CA"))
    assert (filed.state, filed.review_by) == (HELD, None)
    assert filed.recipients == ["vietcombank"]
    assert await nothing_was_sent(world, filed.id)
    with pytest.raises(errors.Conflict, match=r"request\.not_awaiting_review"):
        await world.review(filed.id)
    await fast_forward(minutes=150)
    await world.fire()
    assert await state(world, filed.id) is HELD
    await released(world, filed.id)
    request = await steps.request_now(world, filed.id)
    assert request["review_by"] - request["activated_at"] == timedelta(hours=2)
    await fast_forward(minutes=121)
    await world.fire()
    assert "request.unreviewed" in await world.facts(filed.id)


async def test_takedowns_and_lifts_are_counted_apart_and_held_when_they_are_filed(world: World) -> None:
    order = await steps.held(world)
    filed = await world.submit(worlds.takedown(DOMAIN))
    assert filed.state is RequestState.ACTIVE
    more = await world.submit(worlds.takedown({**DOMAIN, "value": "lua-dao-khac.vn"}))
    assert more.state is HELD and await nothing_was_sent(world, more.id)
    lifted = await world.submit(worlds.lift(order["request_id"]))
    assert lifted.state is RequestState.ACTIVE
    again = await world.submit(worlds.lift(filed.id, legal_basis="decree_147"))
    assert again.state is HELD
    answer = await released(world, again.id)
    assert answer.state in {RequestState.ACTIVE, RequestState.CLOSED}
    await released(world, more.id)
    assert len(await world.orders(more.id)) > 0


def domains(start: int, many: int) -> list[dict[str, str]]:
    return [{**DOMAIN, "value": f"lua-dao-{at}.vn"} for at in range(start, start + many)]


async def test_a_request_counts_as_often_as_it_has_targets(world: World) -> None:
    await bounding.set_bounds(world.hub, {"subject": "officer", "count": 5})
    for start, many, expected in ((0, 3, RequestState.ACTIVE), (10, 3, HELD), (20, 2, RequestState.ACTIVE)):
        filed = await world.submit(worlds.takedown(*domains(start, many)))
        assert filed.state is expected
    alone = await world.submit(worlds.takedown(*domains(30, 1)))
    assert (await steps.request_now(world, alone.id))["held_bounds"] == ["officer_count"]
    # What keeps data is counted with the holds, by its targets too.
    accounts = [{**worlds.freeze()["target"], "value": f"00114466{at}"} for at in range(6)]
    for kept, expected in ((accounts[:4], RequestState.ACTIVE), (accounts[4:], HELD)):
        assert await state(world, (await world.active(steps.preserve(*kept))).id) is expected
    assert await state(world, (await world.active(worlds.freeze())).id) is RequestState.ACTIVE
    assert await state(world, (await world.active(worlds.freeze())).id) is HELD


async def test_a_lift_counts_as_often_as_what_it_lifts_has_targets(world: World) -> None:
    await bounding.set_bounds(
        world.hub, {"subject": "officer", "count": 9}, {"subject": "officer", "kind": "lifts", "count": 4}
    )
    filed = [(await world.submit(worlds.takedown(*domains(at, 3)))).id for at in (0, 10)]
    lifts = [await world.submit(worlds.lift(one, legal_basis="decree_147")) for one in filed]
    assert [lift.state is HELD for lift in lifts] == [False, True]


async def test_an_extension_counts_with_the_amount_of_its_hold(world: World) -> None:
    order = await steps.held(world)
    await bounding.set_bounds(world.hub, {"subject": "agency", "amount": 2 * steps.ASKED - 1})
    filed = await world.active(steps.extend(order))
    request = await steps.request_now(world, filed.id)
    assert (request["state"], request["held_bounds"]) == (HELD, ["agency_amount"])
    await released(world, filed.id)
    assert (await steps.order_now(world, order))["ends_at"] == filed.ends_at


async def test_an_extension_of_a_hold_that_was_lifted_meanwhile_is_not_released(world: World) -> None:
    order = await steps.held(world)
    filed = await world.active(steps.extend(order))
    assert await state(world, filed.id) is HELD
    await world.submit(worlds.lift(order["request_id"]))
    await say(world, filed.id, "confirmed")
    with pytest.raises(errors.Conflict, match=r"request\.end_has_come"):
        await say(world, filed.id, "confirmed", SECOND)
    assert await state(world, filed.id) is HELD


async def test_a_whole_account_weighs_a_billion(world: World) -> None:
    for name in ("maker", "approver"):
        await change(world, Officer, name, rank="trung_ta")
    await bounding.set_bounds(world.hub, {"subject": "officer", "amount": 1_000_000_000})
    whole = {**worlds.freeze(), "whole_account": {"reason": "Toàn bộ số dư do phạm tội mà có"}}
    del whole["amount"]
    for body, passed in (
        (whole, None),
        (worlds.freeze(amount=vnd(1)), ["officer_amount"]),
        (whole, ["officer_amount"]),
    ):
        request = await steps.request_now(world, (await world.active(body)).id)
        assert request["held_bounds"] == passed


async def test_a_pair_is_one_whoever_of_them_files(world: World) -> None:
    await bounding.set_bounds(world.hub, {"subject": "pair", "count": 2})
    both = ("maker", "approver")
    for name in both:
        await change(world, Officer, name, rank="thieu_ta", powers=["order", "approve"])
    for maker, approver in (both, both[::-1]):
        filed = await world.submit(worlds.freeze(officer_id=maker))
        await world.approve(filed.id, approver)
        assert await state(world, filed.id) is RequestState.ACTIVE
    for maker, approver, expected in ((*both, HELD), (*both[::-1], HELD), ("maker", "second", RequestState.ACTIVE)):
        filed = await world.submit(worlds.freeze(officer_id=maker))
        await world.approve(filed.id, approver)
        assert await state(world, filed.id) is expected
    [*_, last] = [row for row in await world.rows(ActionRequest) if row["state"] is HELD]
    assert last["held_bounds"] == ["pair_count"]


async def test_an_hour_later_there_is_room_again(world: World, fast_forward: FastForward) -> None:
    await held(world)
    await fast_forward(minutes=61)
    assert await state(world, (await world.active(worlds.freeze())).id) is RequestState.ACTIVE


async def test_what_was_released_does_not_count_against_the_next(world: World, fast_forward: FastForward) -> None:
    request = await held(world)
    await fast_forward(minutes=61)
    await released(world, request["id"])
    assert await state(world, (await world.active(worlds.freeze())).id) is RequestState.ACTIVE


NOW = object()
SABOTAGE: dict[str, tuple[type[SQLModel], str, dict[str, Any], str]] = {
    "first officer suspended": (Officer, "maker", {"active": False}, "authority.officer_inactive"),
    "second officer suspended": (Officer, "approver", {"active": False}, "authority.officer_inactive"),
    "first officer without power": (Officer, "maker", {"powers": ["emergency"]}, "authority.power_missing"),
    "second officer without power": (Officer, "approver", {"powers": ["order"]}, "authority.power_missing"),
    "first officer's rank": (Officer, "maker", {"rank": "thieu_uy"}, "authority.rank_too_low"),
    "second officer's rank": (Officer, "approver", {"rank": "thieu_uy"}, "authority.rank_too_low"),
    "first appointment over": (Officer, "maker", {"appointed_until": NOW}, "authority.officer_inactive"),
    "second appointment over": (Officer, "approver", {"appointed_until": NOW}, "authority.officer_inactive"),
    "first key revoked": (PublicKey, "maker", {"revoked_at": NOW}, "signature.key_revoked"),
    "second key revoked": (PublicKey, "approver", {"revoked_at": NOW}, "signature.key_revoked"),
    "agency suspended": (Participant, AGENCY, {"status": "suspended"}, "participant.not_active"),
}


@pytest.mark.parametrize("confirmed_before", [False, True], ids=["before any yes", "between two"])
async def test_a_release_checks_again_what_an_approval_checks(world: World, confirmed_before: bool) -> None:
    request = await held(world)
    if confirmed_before:
        await say(world, request["id"], "confirmed", FIRST)
    now = await steps.now(world)
    for what, (model, name, values, code) in SABOTAGE.items():
        key = world.keys[name].thumbprint() if model is PublicKey else name
        where = {"kid" if model is PublicKey else "id": key}
        [before] = await world.rows(model, **where)
        new = {field: now if value is NOW else value for field, value in values.items()}
        await change(world, model, key, **new)
        with pytest.raises(errors.HubError) as refused:
            await say(world, request["id"], "confirmed", SECOND)
        assert refused.value.code == code, what
        assert await state(world, request["id"]) is HELD, what
        await change(world, model, key, **{field: before[field] for field in values})
    assert await nothing_was_sent(world, request["id"])
    facts = await world.facts(request["id"])
    assert (facts.count("authority.refused"), facts.count("signature.refused")) == (8, 2)
    # Who reads the chain of his own request misses none of them.
    assert {row["tenant"] for row in await world.rows(AuditEntry, request_id=request["id"])} == {AGENCY}
    if not confirmed_before:
        await say(world, request["id"], "confirmed", FIRST)
    assert (await say(world, request["id"], "confirmed", SECOND)).state is RequestState.ACTIVE


async def test_a_call_back_is_not_resolved_as_another_task(world: World) -> None:
    request = await held(world)
    task = await shown(world, request["id"])
    with pytest.raises(errors.Conflict, match=r"task\.callback"):
        await resolve_task.resolve(world.hub, FIRST, task.id, TaskResolution(note="xong"))
    assert (await shown(world, request["id"])).resolved_at is None


async def test_without_a_registered_number_the_task_says_so(world: World) -> None:
    await set_duty_phone.set_duty_phone(world.hub, ADMIN, AGENCY, NewDutyPhone(phone=None))
    request = await held(world)
    task = await shown(world, request["id"])
    assert task.call is not None and task.call.phone is None
    await say(world, request["id"], "denied")
    [heard] = await world.rows(Callback)
    assert heard["called_number"] is None
    changes = [row["data"] for row in await world.rows(AuditEntry, chain=audit.tenant_chain(AGENCY))]
    assert (
        sum("duty_phone.set" in data for data in changes) == sum("duty_phone.removed" in data for data in changes) == 1
    )


async def test_of_thirty_approvals_at_once_the_allowed_number_is_active(
    world: World, database_url: str | None, tmp_path: Any
) -> None:
    """On PostgreSQL by two nodes: what one of them lets pass the other one has to see."""
    await bounding.set_bounds(world.hub, {"subject": "officer", "count": 30}, {"subject": "pair", "count": 7})
    filed = [(await world.submit(worlds.freeze(case_number=f"{at}/2026/CA"))).id for at in range(30)]
    nodes = [world.hub]
    if database_url is not None:
        nodes.append(make_hub(database_url, tmp_path, "node-b"))
    others = [World(node, keys=world.keys) for node in nodes]
    try:
        await asyncio.gather(*(others[at % len(others)].approve(one) for at, one in enumerate(filed)))
    finally:
        for node in nodes[1:]:
            await node.database.close()
    states = [await state(world, one) for one in filed]
    assert (states.count(RequestState.ACTIVE), states.count(HELD)) == (7, 23)
    assert len(await world.rows(Order)) == 7
    assert len(await world.rows(Task, kind="callback")) == 23


async def test_emergency_holds_at_once_are_judged_one_after_the_other(world: World) -> None:
    await bounding.set_bounds(world.hub, {"subject": "officer", "kind": "takedowns", "count": 4})
    bodies = [worlds.takedown({**DOMAIN, "value": f"lua-dao-{at}.vn"}) for at in range(12)]
    filed = await asyncio.gather(*map(world.submit, bodies))
    assert sorted(str(one.state) for one in filed) == ["active"] * 4 + ["held_for_callback"] * 8


async def test_of_two_people_at_once_the_second_releases_it(world: World) -> None:
    request = await held(world)
    answers = await asyncio.gather(*(say(world, request["id"], "confirmed", who) for who in (FIRST, SECOND)))
    assert sorted(answer.confirmations for answer in answers) == [1, 2]
    assert len(await world.orders(request["id"])) == 1


async def test_one_person_twice_at_once_is_still_one(world: World) -> None:
    request = await held(world)
    said = await asyncio.gather(
        *(say(world, request["id"], "confirmed", FIRST) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(one, CallbackAnswered) for one in said) == 1
    assert await nothing_was_sent(world, request["id"])


async def test_one_switch_stops_an_agency(api: Api) -> None:
    """Its systems are refused at the next call, and what is held of it stays held."""
    world = api.world
    await bounding.set_bounds(world.hub, {"subject": "officer", "count": 1})
    request = await held(world)
    one = Suspension(kind=SuspendedKind.PARTICIPANT, id=AGENCY)
    await suspend.suspend(world.hub, ADMIN, AGENCY, one)
    assert (await api.file(worlds.freeze())).status_code == 401
    with pytest.raises(errors.Conflict, match=r"participant\.not_active"):
        await say(world, request["id"], "confirmed")
    assert await nothing_was_sent(world, request["id"])


async def test_the_door_takes_the_answer_of_a_coordinator_and_of_nobody_else(api: Api) -> None:
    world = api.world
    await bounding.set_bounds(world.hub, {"subject": "officer", "count": 1})
    set_ = await api.http.put(f"/v1/participants/{AGENCY}/duty-phone", json={"phone": PHONE}, headers=api.admin.headers)
    assert set_.json() == {"participant_id": AGENCY, "phone": PHONE}
    request = await held(world)
    path = f"/v1/requests/{request['id']}"
    seen = (await api.get(path, api.police)).json()
    assert (seen["state"], seen["held_bounds"]) == ("held_for_callback", ["officer_count"])
    [task] = (await api.get("/v1/tasks", api.coordinator, kind="callback")).json()["items"]
    assert task["call"]["phone"] == PHONE
    yes = {"outcome": "confirmed"}
    for who in (api.police, api.bank, api.admin):
        refused = await api.post(f"{path}/callbacks", who, yes)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope.missing")
    no = {"outcome": "denied"}
    missing = await api.post(f"/v1/requests/{UUID(int=1)}/callbacks", api.coordinator, no)
    assert missing.status_code == 404
    assert (await api.post(f"{path}/callbacks", api.coordinator, {"outcome": "maybe"})).status_code == 422
    # Whoever has the desk's key is not a person who heard a yes, alone or beside one; a no is taken from anybody there.
    await say(world, request["id"], "confirmed", FIRST)
    other = await api.enroll(System("second-desk"), OPERATOR, Role.COORDINATOR)
    for system in (api.coordinator, other):
        alone = await api.post(f"{path}/callbacks", system, yes)
        assert (alone.status_code, alone.json()["code"]) == (403, "callback.person_needed")
    assert await state(world, request["id"]) is HELD and await nothing_was_sent(world, request["id"])
    assert [row["person"] for row in await world.rows(Callback)] == [FIRST.client_id]
    denied = await api.post(f"{path}/callbacks", other, no)
    assert denied.status_code == 201 and denied.json()["state"] == "refused"
    again = await api.post(f"{path}/callbacks", other, no)
    assert (again.status_code, again.json()["code"]) == (409, "request.not_held")
    assert (await api.get(path, api.police)).json()["held_bounds"] == ["officer_count"]


@pytest.mark.parametrize("phone", ["0283838", "113", "+84 28 3838 7342 ext", "", 7])
async def test_a_duty_phone_is_a_whole_number_of_the_registrys_administrators(api: Api, phone: Any) -> None:
    path = f"/v1/participants/{AGENCY}/duty-phone"
    wrong = await api.http.put(path, json={"phone": phone}, headers=api.admin.headers)
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["field"] == "/phone"
    agency = await api.enroll(System("pc02-admin"), AGENCY, Role.AGENCY_ADMIN)
    for who in (agency, api.police, api.coordinator):
        assert (await api.http.put(path, json={"phone": PHONE}, headers=who.headers)).status_code == 403
    elsewhere = await api.http.put(
        "/v1/participants/nobody/duty-phone", json={"phone": PHONE}, headers=api.admin.headers
    )
    assert elsewhere.status_code == 404
    assert (await api.get(f"/v1/participants/{AGENCY}", api.admin)).json()["duty_phone"] is None


async def test_who_may_not_resolve_tasks_answers_no_call_back(world: World) -> None:
    request = await held(world)
    for who in (world.police, world.participant("vietcombank"), ADMIN):
        with pytest.raises(ScopeMissing):
            await say(world, request["id"], "confirmed", who)


async def baseline(world: World, subject: BoundSubject) -> dict[str, Any]:
    [row] = await world.rows(Baseline, subject_kind=subject, kind=BoundKind.HOLDS)
    return row


async def test_what_is_usual_is_learned_from_busy_hours_and_then_bounds(
    world: World, fast_forward: FastForward
) -> None:
    await bounding.set_bounds(world.hub, {"subject": "officer", "count": 100})
    for count in (1, 2, 1):
        for _ in range(count):
            await world.active(worlds.freeze())
        await fast_forward(hours=3)
    # What happens now is not usual yet: an attack does not raise the bound that it runs into.
    assert await baselines.learn(world.hub) == 0
    await fast_forward(hours=24)
    assert await baselines.learn(world.hub) == 3
    usual = await baseline(world, BoundSubject.OFFICER)
    assert (usual["subject"], usual["p99_count"], usual["p99_amount"], usual["hours"]) == (
        "maker",
        2,
        2 * steps.ASKED,
        3,
    )
    assert (await baseline(world, BoundSubject.AGENCY))["subject"] == AGENCY
    assert (await baseline(world, BoundSubject.PAIR))["subject"] == "approver+maker"
    # A day of history tells nothing yet; a week does.
    for _ in range(7):
        assert await state(world, (await world.active(worlds.freeze())).id) is RequestState.ACTIVE
    await fast_forward(days=7)
    await baselines.learn(world.hub)
    assert (await baseline(world, BoundSubject.OFFICER))["p99_count"] == 7
    await change_baseline(world, p99_count=2)
    states = [await state(world, (await world.active(worlds.freeze())).id) for _ in range(7)]
    assert states == [RequestState.ACTIVE] * 6 + [HELD]
    await fast_forward(days=31)
    assert await baselines.learn(world.hub) == 0
    assert await world.rows(Baseline) == []


async def test_what_is_usual_is_learned_in_targets(world: World, fast_forward: FastForward) -> None:
    await world.submit(worlds.takedown(*domains(0, 1)))
    await bounding.set_bounds(world.hub, {"subject": "officer", "count": 100})
    await world.submit(worlds.takedown(*domains(10, 7)))
    await fast_forward(hours=25)
    await baselines.learn(world.hub)
    [usual] = await world.rows(Baseline, subject_kind=BoundSubject.OFFICER, kind=BoundKind.TAKEDOWNS)
    assert usual["p99_count"] == 8


async def change_baseline(world: World, **values: Any) -> None:
    rows = table(Baseline)
    await world.hub.writer.run(lambda conn: conn.execute(sa.update(rows).values(**values)))


async def test_what_was_held_and_refused_teaches_nothing(world: World, fast_forward: FastForward) -> None:
    request = await held(world)
    await say(world, request["id"], "denied")
    await fast_forward(hours=25)
    await baselines.learn(world.hub)
    assert (await baseline(world, BoundSubject.OFFICER))["p99_count"] == 1
    assert (await world.rows(Callback))[0]["outcome"] == CallbackOutcome.DENIED


async def test_two_nodes_learn_at_once(world: World, fast_forward: FastForward) -> None:
    await world.active(worlds.freeze())
    await fast_forward(hours=25)
    await asyncio.gather(*(baselines.learn(world.hub) for _ in range(4)))
    assert len(await world.rows(Baseline)) == 3


async def test_a_worker_learns_by_itself(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = asyncio.Event()

    async def learn(_hub: Hub) -> int:
        learned.set()
        return 0

    monkeypatch.setattr(baselines, "learn", learn)
    monkeypatch.setattr(worker, "LEARN_AFTER", timedelta(0))
    node = worker.Worker(hub, Speaker(), Transport())
    await node.start()
    async with asyncio.timeout(10):
        await learned.wait()
    await node.stop()
