"""Appeals: who may contest what, who answers and decides, and that an upheld one lifts the hold at once."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import appeal_steps
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from appeal_steps import APPELLANT, STATEMENT
from builders import insert_endpoint, table
from opening import opened
from world import AGENCY, World

from service import errors
from service.engine.hub import Hub
from service.models import (
    ActionRequest,
    Appeal,
    AuditEntry,
    Deadline,
    Dispatch,
    Officer,
    Participant,
    Task,
)
from service.queries import appeals
from service.schemas.appeals import AppealDecision, NewAppeal
from service.security import keyring, signatures
from service.security.principals import ScopeMissing
from service.security.signatures import Kind
from workflows import appeal as rules
from workflows.terms import Action, AppealState, OrderState, RequestState, Role, Sector


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def facts_of(world: World, code: str) -> list[dict[str, Any]]:
    rows = sorted(await world.rows(AuditEntry, code=code), key=lambda row: row["sequence"])
    return [{**row, "data": json.loads(row["data"])} for row in rows]


async def lifts(world: World) -> list[dict[str, Any]]:
    """The bodies of the lifts that were sent, oldest first."""
    rows = await world.rows(Dispatch, message_type="vn.hoatoc.order.lift")
    texts = [await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]) for row in rows]
    return [json.loads(each)["body"] for each in texts]


async def refused(world: World, appeal_id: Any, body: dict[str, Any], who: Any = None) -> str:
    """The code with which a decision is refused; whatever the code, nothing but a fact was written."""
    before = await appeal_steps.row(world, appeal_id)
    with pytest.raises(errors.Forbidden) as forbidden:
        await appeal_steps.send(world, appeal_id, body, who)
    assert await appeal_steps.row(world, appeal_id) == before
    assert await lifts(world) == []
    return forbidden.value.code


async def test_a_bank_contests_its_own_order_and_both_clocks_start(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    assert re.fullmatch(r"KN-\d{6}-[0-9A-HJKMNP-TV-Z]{10}", filed.reference)
    assert (filed.state, filed.filed_for, filed.participant_id) == (AppealState.FILED, "participant", "vietcombank")
    assert (filed.request_id, filed.order_id) == (order["request_id"], order["id"])
    assert filed.answer_due_at - filed.filed_at == timedelta(hours=4)
    async with world.hub.database.read() as conn:
        calendar = (await world.hub.registry.known(conn)).calendar
    assert filed.decision_due_at == rules.decision_due(filed.filed_at, calendar)
    clocks = await world.rows(Deadline, subject_id=filed.id)
    assert {(str(row["stage"]), row["due_at"], row["chain"], row["participant_id"]) for row in clocks} == {
        ("appeal_answer", filed.answer_due_at, f"request:{order['request_id']}", AGENCY),
        ("appeal_decision", filed.decision_due_at, f"request:{order['request_id']}", AGENCY),
    }
    [fact] = await facts_of(world, "appeal.filed")
    assert fact["data"]["reference"] == filed.reference and fact["chain"] == f"request:{order['request_id']}"
    assert await steps.findings(world) == []


async def test_references_are_drawn_from_the_whole_alphabet_and_do_not_repeat(world: World) -> None:
    order = await steps.held(world)
    seen: set[str] = set()
    for _ in range(40):
        filed = await appeal_steps.file(world, order)
        await appeal_steps.decide(world, filed, "rejected")
        seen.add(filed.reference.rpartition("-")[2])
    assert len(seen) == 40
    assert len({letter for letters in seen for letter in letters}) == 32


async def test_what_the_appellant_says_is_sealed_and_in_no_fact_and_in_no_status(world: World) -> None:
    await listen(world)
    order = await steps.held(world)
    filed = await appeal_steps.file_for_a_person(world, order_id=str(order["id"]))
    await appeal_steps.reply(world, filed)
    await appeal_steps.decide(world, filed)
    secrets = [STATEMENT, *APPELLANT.values(), "đang xác minh", "không liên quan"]
    row = await appeal_steps.row(world, filed.id)
    stored = b"".join(value for name, value in row.items() if name.endswith("_sealed"))
    told = json.dumps([each["data"] for each in await facts_of(world, "appeal.filed")])
    told += json.dumps([dict(each) for each in await world.rows(AuditEntry)], default=str, ensure_ascii=False)
    for dispatch in await world.rows(Dispatch):
        sealed = dispatch["message_sealed"]
        told += await opened(world.hub, "dispatches", dispatch["id"], dispatch["tenant"], sealed)
    assert "appeal.decided" in told
    assert [each for each in secrets if each in told or each.encode() in stored] == []
    assert await opened(world.hub, "appeals", filed.id, AGENCY, row["statement_sealed"]) == STATEMENT


async def listen(world: World) -> None:
    """Let the agency hear what becomes of its requests."""
    row = {
        "id": uuid4(),
        "tenant": AGENCY,
        "channel": "webhook",
        "purpose": "status",
        "url": "https://pc02.example/status",
        "network": "203.0.113.0/24",
        "port": 443,
        "max_in_flight": 8,
        "timeout_seconds": 10,
        "position": 1,
        "inbox_position": 0,
        "active": True,
        "created_at": await steps.now(world),
    }
    await world.hub.writer.run(lambda conn: insert_endpoint(conn, row))


async def test_the_agency_hears_of_each_step_of_an_appeal(world: World) -> None:
    await listen(world)
    filed = await appeal_steps.file(world, await steps.held(world))
    await appeal_steps.reply(world, filed)
    await appeal_steps.decide(world, filed)
    heard = []
    for row in await world.rows(Dispatch, kind="status"):
        message = json.loads(await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]))
        heard.append((message["type"], message["body"]["fact"], message["body"].get("appeal_id")))
    for fact in ("appeal.filed", "appeal.answered", "appeal.decided"):
        assert ("vn.hoatoc.status.request", fact, str(filed.id)) in heard
    assert ("vn.hoatoc.status.order", "order.lapsed", None) in heard


async def test_an_order_of_another_bank_is_as_unknown_as_one_that_does_not_exist(world: World) -> None:
    order = await steps.held(world)
    for known in (order, {"id": uuid4(), "participant_id": "techcombank"}):
        with pytest.raises(errors.NotFound):
            await appeal_steps.file(world, known, world.participant("techcombank"))
    with pytest.raises(errors.NotFound):
        await appeal_steps.file_for_a_person(world, request_reference="HT-261124-000000")
    assert await world.rows(Appeal) == []


@pytest.mark.parametrize("state", [state for state in OrderState if state is not OrderState.EXECUTED])
async def test_what_holds_nothing_cannot_be_contested(world: World, state: OrderState, fast_forward: Any) -> None:
    order = await steps.in_state(world, state, fast_forward)
    with pytest.raises(errors.Conflict) as conflict:
        await appeal_steps.file(world, order)
    assert conflict.value.code == "appeal.nothing_held"
    [request] = await world.rows(ActionRequest, id=order["request_id"])
    with pytest.raises(errors.Conflict):
        await appeal_steps.file_for_a_person(world, request_reference=request["reference"])


async def test_what_is_being_lifted_already_cannot_be_contested(world: World) -> None:
    order = await steps.held(world)
    await world.submit(worlds.lift(order["request_id"]))
    with pytest.raises(errors.Conflict):
        await appeal_steps.file(world, order)
    [undo] = await steps.of_action(world, Action.LIFT)
    await world.answer(undo, outcome="executed")
    with pytest.raises(errors.Conflict):
        await appeal_steps.file(world, undo)


async def test_one_open_appeal_per_hold_and_kind_of_appellant(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    with pytest.raises(errors.Conflict) as conflict:
        await appeal_steps.file(world, order)
    assert (conflict.value.code, conflict.value.params) == ("appeal.already_open", {"reference": filed.reference})
    persons = await appeal_steps.file_for_a_person(world, order_id=str(order["id"]))
    [request] = await world.rows(ActionRequest, id=order["request_id"])
    with pytest.raises(errors.Conflict) as conflict:
        # The request holds by this one order: its reference names the same hold.
        await appeal_steps.file_for_a_person(world, request_reference=request["reference"])
    assert conflict.value.params == {"reference": persons.reference}
    await appeal_steps.decide(world, filed, "rejected")
    assert (await appeal_steps.file(world, order)).reference != filed.reference


async def test_of_many_appeals_filed_at_once_one_is_taken(world: World) -> None:
    order = await steps.held(world)
    made = await asyncio.gather(*(appeal_steps.file(world, order) for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in made) == 1
    assert all(isinstance(each, errors.Conflict) for each in made if isinstance(each, BaseException))
    assert len(await world.rows(Appeal)) == 1


async def test_the_duty_desk_files_for_a_person_by_order_or_by_reference(world: World) -> None:
    order = await steps.held(world)
    [request] = await world.rows(ActionRequest, id=order["request_id"])
    filed = await appeal_steps.file_for_a_person(world, request_reference=request["reference"])
    assert (filed.filed_for, filed.participant_id, filed.order_id) == ("person", None, order["id"])
    assert filed.appellant is not None and filed.appellant.model_dump() == APPELLANT
    first, second = await appeal_steps.held_numbers(world, "+84980000007", "+84910000007")
    [request] = await world.rows(ActionRequest, id=first["request_id"])
    whole = await appeal_steps.file_for_a_person(world, request_reference=request["reference"])
    assert whole.order_id is None
    one = await appeal_steps.file_for_a_person(world, order_id=str(second["id"]))
    assert one.order_id == second["id"]


@pytest.mark.parametrize(
    ("who", "changes", "field", "code"),
    [
        ("bank", {"appellant": APPELLANT}, "/appellant", "appeal.appellant_not_asked"),
        ("bank", {"order_id": None, "request_reference": "HT-261124-000000"}, "/order_id", "field.missing"),
        ("desk", {"appellant": None}, "/appellant", "appeal.appellant_missing"),
    ],
)
async def test_each_side_gives_its_own_fields(
    world: World, who: str, changes: dict[str, Any], field: str, code: str
) -> None:
    order = await steps.held(world)
    with pytest.raises(errors.InvalidInput) as wrong:
        if who == "bank":
            await appeal_steps.file(world, order, **changes)
        else:
            await appeal_steps.file_for_a_person(world, order_id=str(order["id"]), **changes)
    assert [(each.field, each.code) for each in wrong.value.fields] == [(field, code)]


def test_an_appeal_names_one_order_or_one_request_and_a_decision_a_reason_of_its_outcome() -> None:
    said = {"ground": "other", "statement": "x"}
    both = {"order_id": str(uuid4()), "request_reference": "HT-261124-000000"}
    for names in ({}, both):
        with pytest.raises(ValueError, match="exactly one"):
            NewAppeal.model_validate({**said, **names})
    for outcome, reason in (("upheld", "hold_justified"), ("rejected", "hardship")):
        with pytest.raises(ValueError, match="other outcome"):
            AppealDecision.model_validate({"officer_id": "o", "outcome": outcome, "reason_code": reason})
    with pytest.raises(ValueError, match="upheld"):
        AppealDecision.model_validate({"officer_id": "o", "outcome": "answered", "reason_code": "hardship"})


async def test_an_agency_files_none_and_a_bank_neither_answers_nor_decides(world: World) -> None:
    order = await steps.held(world)
    with pytest.raises(ScopeMissing):
        await appeal_steps.file(world, order, world.police)
    filed = await appeal_steps.file(world, order)
    for other in (world.participant("vietcombank"), world.coordinator):
        with pytest.raises(ScopeMissing):
            await appeal_steps.reply(world, filed, who=other)
        with pytest.raises(ScopeMissing):
            await appeal_steps.send(
                world, filed.id, appeal_steps.signed(world, filed.id, appeal_steps.decision()), other
            )


async def test_the_first_answer_is_given_once_by_an_officer_who_serves(world: World) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    await dismiss(world, "junior", active=False)
    with pytest.raises(errors.Forbidden) as forbidden:
        await appeal_steps.reply(world, filed, "junior")
    assert forbidden.value.code == "authority.officer_inactive"
    with pytest.raises(errors.InvalidInput):
        await appeal_steps.reply(world, filed, "nobody")
    answered = await appeal_steps.reply(world, filed)
    assert (answered.state, answered.answered_by) == (AppealState.ANSWERED, "maker")
    assert answered.answer == "Chúng tôi đang xác minh."
    assert await steps.pending(world, filed.id) == [("appeal_decision", 0, 0)]
    with pytest.raises(errors.Conflict) as conflict:
        await appeal_steps.reply(world, filed)
    assert conflict.value.code == "appeal.not_open"
    [fact] = await facts_of(world, "appeal.answered")
    assert fact["data"]["officer_id"] == "maker"


async def dismiss(world: World, officer: str, **values: Any) -> None:
    """Change an officer's row."""
    officers = table(Officer)
    changed = sa.update(officers).where(officers.c.id == officer).values(**values)
    await world.hub.writer.run(lambda conn: conn.execute(changed))


async def test_an_upheld_appeal_lifts_the_hold_at_once(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    decided = await appeal_steps.decide(world, filed)
    assert (decided.state, decided.reason_code, decided.decided_by) == ("upheld", "person_not_involved", "approver")
    order = await steps.order_now(world, order)
    assert (order["state"], order["lift_ordered"]) == (OrderState.LAPSED, True)
    [lift] = await lifts(world)
    assert (lift["order_id"], lift["lifts_order_id"], lift["reason"]) == (
        str(order["id"]),
        str(order["id"]),
        "appeal_upheld",
    )
    # The bank is held to the clocks of a lift, and the hold's own end is nobody's business any more.
    assert {stage for stage, *_ in await steps.pending(world, order["id"])} == {"receipt", "acknowledge", "execute"}
    assert await steps.pending(world, filed.id) == []
    await world.answer(order, outcome="lifted")
    assert (await steps.order_now(world, order))["state"] is OrderState.LIFTED
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    codes = await world.facts(order["request_id"])
    assert codes.index("appeal.decided") < codes.index("order.lapsed") < codes.index("order.lifted")
    assert await steps.findings(world) == []


async def test_a_rejected_appeal_leaves_the_hold_as_it_is(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    decided = await appeal_steps.decide(world, filed, "rejected")
    assert (decided.state, decided.reason_code) == (AppealState.REJECTED, "hold_justified")
    assert await steps.order_now(world, order) == order
    assert await lifts(world) == []
    assert await steps.pending(world, order["id"]) == [("end", 0, 0)]


async def test_a_number_that_was_blocked_by_mistake_comes_back_after_its_request_closed(world: World) -> None:
    [order] = await appeal_steps.held_numbers(world, "+84980000007")
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    await appeal_steps.decide(world, await appeal_steps.file(world, order))
    assert [lift["order_id"] for lift in await lifts(world)] == [str(order["id"])]
    await world.answer(order, outcome="lifted")
    assert (await steps.order_now(world, order))["state"] is OrderState.LIFTED


async def test_an_appeal_against_one_order_leaves_the_others_and_one_against_the_request_ends_all(world: World) -> None:
    first, second = await appeal_steps.held_numbers(world, "+84980000007", "+84910000007")
    await appeal_steps.decide(world, await appeal_steps.file(world, first))
    assert (await steps.order_now(world, second))["state"] is OrderState.EXECUTED
    one, other = await appeal_steps.held_numbers(world, "+84980000008", "+84910000008")
    [request] = await world.rows(ActionRequest, id=one["request_id"])
    whole = await appeal_steps.file_for_a_person(world, request_reference=request["reference"])
    await appeal_steps.decide(world, whole)
    for order in (one, other):
        assert (await steps.order_now(world, order))["state"] is OrderState.LAPSED
    assert len(await lifts(world)) == 3


async def test_an_appeal_is_decided_even_when_its_hold_has_ended_meanwhile(world: World, fast_forward: Any) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    await fast_forward(hours=73)
    await world.fire()
    sent = await lifts(world)
    assert [lift["reason"] for lift in sent] == ["end_reached"]
    decided = await appeal_steps.decide(world, filed)
    assert decided.state is AppealState.UPHELD
    assert await lifts(world) == sent


async def test_what_the_agency_lifts_itself_is_not_lifted_once_more(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    lift = await world.submit(worlds.lift(order["request_id"]))
    sent = await lifts(world)
    await appeal_steps.decide(world, filed)
    assert await lifts(world) == sent and len(sent) == 1
    [undo] = await world.orders(lift.id)
    await world.answer(undo, outcome="executed")
    assert (await steps.order_now(world, order))["state"] is OrderState.LIFTED


async def test_what_was_to_prolong_an_upheld_hold_is_taken_back(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    running = await world.active(steps.extend(order))
    await steps.second_officer(world)
    waiting = await world.submit(steps.extend(await steps.order_now(world, order), days=9))
    await appeal_steps.decide(world, filed)
    [prolonging] = await world.orders(running.id)
    assert prolonging["state"] is OrderState.WITHDRAWN
    assert (await steps.request_now(world, running.id))["state"] is RequestState.CLOSED
    with pytest.raises(errors.Conflict) as conflict:
        await world.approve(waiting.id)
    assert conflict.value.code == "request.end_has_come"
    assert (await steps.order_now(world, order))["state"] is OrderState.LAPSED
    assert await steps.findings(world) == []


@pytest.mark.parametrize(
    ("officer", "change", "code"),
    [
        ("maker", {}, "authority.same_officer"),
        ("junior", {}, "authority.power_missing"),
        ("approver", {"active": False}, "authority.officer_inactive"),
        ("approver", {"appointed_until": "yesterday"}, "authority.officer_inactive"),
    ],
)
async def test_who_may_not_decide_is_refused_by_name_and_kept_as_a_fact(
    world: World, officer: str, change: dict[str, Any], code: str
) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    if "appointed_until" in change:
        change = {"appointed_until": await steps.now(world) - timedelta(days=1)}
    # The power alone does not help the one who asked for the hold.
    await dismiss(world, "maker", powers=["order", "emergency", "approve"])
    if change:
        await dismiss(world, officer, **change)
    body = appeal_steps.signed(world, filed.id, appeal_steps.decision(officer=officer))
    assert await refused(world, filed.id, body) == code
    [fact] = await facts_of(world, "authority.refused")
    assert (fact["data"]["rule"], fact["data"]["officer_id"]) == (code.removeprefix("authority."), officer)
    assert fact["data"]["appeal_id"] == str(filed.id)
    assert await steps.findings(world) == []


async def test_an_officer_of_another_agency_is_unknown(world: World) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    with pytest.raises(errors.InvalidInput) as wrong:
        await appeal_steps.send(world, filed.id, appeal_steps.decision(officer="somebody"))
    assert wrong.value.fields[0].code == "officer.unknown"


SPOILED = {
    "missing": lambda world, filed, body: body,
    "malformed": lambda world, filed, body: {**body, "signature": "x"},
    "type": lambda world, filed, body: {
        **body,
        "signature": world.sign(Kind.APPROVAL, json.dumps(body).encode(), "approver", filed.id),
    },
    "about": lambda world, filed, body: appeal_steps.signed(world, uuid4(), body),
    "key_unknown": lambda world, filed, body: appeal_steps.signed(world, filed.id, body, "maker"),
    "invalid": lambda world, filed, body: {
        **appeal_steps.signed(world, filed.id, appeal_steps.decision("rejected")),
        **body,
    },
}


@pytest.mark.parametrize("reason", SPOILED)
async def test_a_decision_that_its_officer_did_not_sign_is_refused(world: World, reason: str) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    body = SPOILED[reason](world, filed, appeal_steps.decision())
    assert await refused(world, filed.id, body) == f"signature.{reason}"
    [fact] = await facts_of(world, "signature.refused")
    assert (fact["data"]["reason"], fact["data"]["officer_id"]) == (reason, "approver")
    assert "signature" not in fact["data"]
    assert await steps.findings(world) == []


async def test_a_signed_decision_has_one_effect_and_cannot_be_moved_to_another_appeal(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    body = appeal_steps.signed(world, filed.id, appeal_steps.decision("rejected"))
    await appeal_steps.send(world, filed.id, body)
    with pytest.raises(errors.Conflict) as conflict:
        await appeal_steps.send(world, filed.id, body)
    assert conflict.value.code == "appeal.not_open"
    again = await appeal_steps.file(world, order)
    assert await refused(world, again.id, body) == "signature.about"


async def test_the_stored_decision_verifies_with_the_public_key_alone(world: World) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    await appeal_steps.decide(world, filed)
    row = await appeal_steps.row(world, filed.id)
    payload = (await opened(world.hub, "appeals", filed.id, AGENCY, row["decision_sealed"])).encode()
    public, kid = keyring.public_key(world.keys["approver"].as_dict(private=False))
    read = signatures.read(row["signature"], Kind.DECISION)
    assert (read.kid, read.about) == (kid, str(filed.id))
    signatures.verify(read, payload, public)
    assert json.loads(payload) == appeal_steps.decision()
    with pytest.raises(signatures.SignatureRefused):
        signatures.verify(read, payload.replace(b"upheld", b"reject"), public)


async def test_of_two_decisions_at_once_the_first_one_counts(world: World) -> None:
    await steps.second_officer(world)
    filed = await appeal_steps.file(world, await steps.held(world))
    bodies = [
        appeal_steps.signed(world, filed.id, appeal_steps.decision(outcome)) for outcome in ("upheld", "rejected") * 3
    ]
    made = await asyncio.gather(*(appeal_steps.send(world, filed.id, body) for body in bodies), return_exceptions=True)
    [decided] = [each for each in made if not isinstance(each, BaseException)]
    assert all(isinstance(each, errors.Conflict) for each in made if isinstance(each, BaseException))
    assert (await appeal_steps.row(world, filed.id))["state"] == decided.state
    assert len(await lifts(world)) == (decided.state is AppealState.UPHELD)
    assert len(await facts_of(world, "appeal.decided")) == 1


async def test_a_decision_without_an_answer_before_it_is_the_first_answer_too(world: World) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    decided = await appeal_steps.decide(world, filed, "rejected")
    assert decided.answered_at == decided.decided_at
    clocks = await world.rows(Deadline, subject_id=filed.id)
    assert {(str(row["stage"]), str(row["state"])) for row in clocks} == {
        ("appeal_answer", "met"),
        ("appeal_decision", "met"),
    }
    late = await appeal_steps.file(world, await steps.held(world, case_number="02/2026/CA"))
    answered = await appeal_steps.reply(world, late)
    assert (await appeal_steps.decide(world, late, "rejected")).answered_at == answered.answered_at


async def test_the_duty_desk_is_asked_to_call_a_person_and_nobody_calls_a_bank(world: World) -> None:
    order = await steps.held(world)
    await appeal_steps.decide(world, await appeal_steps.file(world, order), "rejected")
    assert await world.rows(Task, kind="appeal") == []
    filed = await appeal_steps.file_for_a_person(world, order_id=str(order["id"]))
    await appeal_steps.reply(world, filed)
    await appeal_steps.decide(world, filed)
    asked = await world.rows(Task, kind="appeal")
    assert [(row["data"]["appeal_id"], row["order_id"]) for row in asked] == [(str(filed.id), order["id"])] * 2
    assert all("name" not in row["data"] and "phone" not in row["data"] for row in asked)


async def test_who_sees_an_appeal_and_who_reads_what_was_said(world: World) -> None:
    order = await steps.held(world)
    banks = await appeal_steps.file(world, order)
    persons = await appeal_steps.file_for_a_person(world, order_id=str(order["id"]))
    await appeal_steps.reply(world, banks)
    system = appeal_steps.system
    readers = {
        "agency": (world.police, {banks.id: True, persons.id: True}),
        "filing bank": (world.participant("vietcombank"), {banks.id: True}),
        "another bank": (world.participant("techcombank"), {}),
        "another agency": (system("x", "ca-tinh-01", Sector.AGENCY, Role.MAKER), {}),
        "supervisor": (system("x", "sbv", Sector.SUPERVISOR, Role.SUPERVISOR, Role.AUDITOR), {}),
        "duty desk": (world.coordinator, {banks.id: False, persons.id: True}),
        "auditor": (system("x", "hoatoc-hub", Sector.HUB, Role.AUDITOR), {banks.id: False, persons.id: False}),
    }
    async with world.hub.database.read() as conn:
        for name, (who, expected) in readers.items():
            page = await appeals.page(conn, who, appeals.Filter(), after=None, limit=50)
            assert {item.id for item in page.items} == set(expected), name
            for filed in (banks, persons):
                shown = await appeals.one(conn, world.hub.vault, who, filed.id)
                assert (shown is not None) is (filed.id in expected), name
                if shown is not None:
                    assert (shown.statement == STATEMENT) is expected[filed.id], name
                    assert (shown.appellant is not None) is (expected[filed.id] and filed.id == persons.id), name
                    assert (shown.answered_by is not None) is (name == "agency" and filed.id == banks.id), name
                    assert (shown.answer is not None) is (filed.id == banks.id and expected[filed.id]), name


async def test_another_agency_neither_answers_nor_decides(world: World) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    other = appeal_steps.system("x", "ca-tinh-01", Sector.AGENCY, Role.MAKER, Role.APPROVER)
    for appeal_id in (filed.id, uuid4()):
        with pytest.raises(errors.NotFound):
            await appeal_steps.reply(world, filed.model_copy(update={"id": appeal_id}), who=other)
        with pytest.raises(errors.NotFound):
            await appeal_steps.send(
                world, appeal_id, appeal_steps.signed(world, appeal_id, appeal_steps.decision()), other
            )


async def test_the_list_goes_on_where_it_ended_and_is_narrowed(world: World) -> None:
    made = [await steps.held(world, case_number=f"{number}/2026/CA") for number in range(3)]
    filed = [await appeal_steps.file(world, order) for order in made]
    await appeal_steps.decide(world, filed[0], "rejected")

    async def listed(wanted: appeals.Filter, after: str | None = None, limit: int = 2) -> Any:
        async with world.hub.database.read() as conn:
            return await appeals.page(conn, world.police, wanted, after=after, limit=limit)

    first = await listed(appeals.Filter())
    rest = await listed(appeals.Filter(), first.next)
    assert [item.id for item in (*first.items, *rest.items)] == [each.id for each in reversed(filed)]
    assert rest.next is None
    rejected = await listed(appeals.Filter(state=AppealState.REJECTED))
    assert [item.id for item in rejected.items] == [filed[0].id]
    about = await listed(appeals.Filter(request_id=made[1]["request_id"]))
    assert [item.id for item in about.items] == [filed[1].id]


async def test_wrongful_holds_are_counted_once_a_hold_and_per_agency(world: World) -> None:
    first, second = await steps.held(world), await steps.held(world, case_number="02/2026/CA")
    await world.submit(worlds.freeze(case_number="03/2026/CA"))  # awaits its approval: nothing is held
    both = [
        await appeal_steps.file(world, first),
        await appeal_steps.file_for_a_person(world, order_id=str(first["id"])),
    ]
    for filed in both:
        await appeal_steps.decide(world, filed)
    await appeal_steps.decide(world, await appeal_steps.file(world, second), "rejected")
    await appeal_steps.file(world, second)
    line = {
        "agency_id": AGENCY,
        "holds": 2,
        "appeals": 4,
        "open": 1,
        "upheld": 2,
        "rejected": 1,
        "wrongful_holds": 1,
    }
    other = appeal_steps.system("x", "ca-tinh-01", Sector.AGENCY, Role.MAKER)
    async with world.hub.database.read() as conn:
        for who in (world.police, world.coordinator):
            assert [each.model_dump() for each in await appeals.counted(conn, who)] == [line]
        assert await appeals.counted(conn, other) == []


async def test_a_suspended_agency_is_not_decided_for_by_the_duty_desk(world: World) -> None:
    filed = await appeal_steps.file(world, await steps.held(world))
    participants = table(Participant)
    suspended = sa.update(participants).where(participants.c.id == AGENCY).values(status="suspended")
    await world.hub.writer.run(lambda conn: conn.execute(suspended))
    with pytest.raises(ScopeMissing):
        body = appeal_steps.signed(world, filed.id, appeal_steps.decision())
        await appeal_steps.send(world, filed.id, body, world.coordinator)
    assert len(await steps.pending(world, filed.id)) == 2
