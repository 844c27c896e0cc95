"""A trace: which window it looks back on, how it is answered, who reads the movements, and that they are erased."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import Builder, table
from opening import opened
from pydantic import ValidationError
from rigs import FastForward
from sqlalchemy.exc import IntegrityError
from world import World

from service import errors
from service.engine import erasing
from service.engine import evidence as bundles
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    Approval,
    AuditEntry,
    Dispatch,
    Escalation,
    Order,
    QueueItem,
)
from service.queries import movements
from service.schemas.orders import AcknowledgementBody
from service.security import evidence
from service.vault import Erased
from workflows import trace
from workflows.terms import DispatchKind, DispatchState, OrderState, Purpose, RequestState, Role, Sector

pytest_plugins = ["api_fixtures"]

ACCOUNT, NEXT = "9704000000417", "9704000000418"
HOUR = timedelta(hours=1)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


def window(since: timedelta, until: timedelta) -> dict[str, str]:
    now = datetime.now(UTC)
    return {"since": (now + since).isoformat(), "until": (now + until).isoformat()}


async def message(world: World, order: dict[str, Any]) -> dict[str, Any]:
    [sent] = await world.rows(Dispatch, order_id=order["id"], kind="order")
    sealed = await opened(world.hub, "dispatches", sent["id"], sent["tenant"], sent["message_sealed"])
    read: dict[str, Any] = json.loads(sealed)
    return read


async def read(world: World, order: dict[str, Any]) -> Any:
    async with world.hub.database.read() as conn:
        return await movements.of_request(conn, world.hub.vault, world.police, order["request_id"])


@pytest.mark.parametrize(
    "changes",
    [
        {"window": None},
        {"window": {"since": "2026-11-23T00:00:00Z"}},
        {"window": {"since": "2026-11-23", "until": "2026-11-24"}},
        {"target": {"kind": "phone", "value": "+84980000007"}},
        {"targets": []},
        {"amount": steps.vnd(1)},
        {"ends_at": "2026-12-24T00:00:00Z"},
        {"asked": ["holder_name"]},
    ],
)
def test_the_schema_refuses_a_trace_with(changes: dict[str, Any]) -> None:
    worlds.SUBMIT.validate_python(steps.trace())
    with pytest.raises(ValidationError):
        worlds.SUBMIT.validate_python({**steps.trace(), **changes})


LINE = steps.moved()["movements"][1]


@pytest.mark.parametrize(
    "line",
    [
        {**LINE, "direction": "sideways"},
        {**LINE, "amount": "100"},
        {**LINE, "amount": {"value": "0", "currency": "VND"}},
        {**LINE, "amount": {"value": "1", "currency": "USD"}},
        {**LINE, "at": "2026-11-23"},
        {**LINE, "kind": "rent for May"},
        {**LINE, "purpose": "rent for May"},
        {**LINE, "counterparty": ACCOUNT},
        {**LINE, "counterparty": {"kind": "account", "value": ACCOUNT}},
        {**LINE, "counterparty": {**LINE["counterparty"], "holder_name": "NGUYEN VAN MAU"}},
        {**LINE, "counterparty": {**LINE["counterparty"], "kind": "phone"}},
        {**LINE, "counterparty": {**LINE["counterparty"], "value": "NGUYEN VAN MAU"}},
    ],
)
def test_the_schema_refuses_a_movement_with(line: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AcknowledgementBody.model_validate({"outcome": "executed", "traced": {"movements": [line], "has_more": False}})


def test_movements_go_with_an_execution_only_and_are_two_hundred_at_most() -> None:
    most = {"movements": [LINE] * trace.MOST_MOVEMENTS, "has_more": True}
    AcknowledgementBody.model_validate({"outcome": "executed", "traced": most})
    for wrong in (
        {"outcome": "received", "traced": steps.moved()},
        {"outcome": "executed", "traced": {**most, "movements": [LINE] * (trace.MOST_MOVEMENTS + 1)}},
        {"outcome": "executed", "traced": {"movements": []}},
    ):
        with pytest.raises(ValidationError):
            AcknowledgementBody.model_validate(wrong)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (window(-73 * HOUR, -HOUR / 2), "window.too_long"),
        (window(-HOUR, HOUR), "window.not_past"),
        (window(-HOUR, -2 * HOUR), "window.backwards"),
    ],
)
async def test_a_wrong_window_is_named_and_nothing_is_written(world: World, said: dict[str, str], code: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.trace(window=said))
    assert [(error.field, error.code) for error in refused.value.fields] == [("/window/until", code)]
    assert await world.rows(ActionRequest) == []


async def test_its_order_says_the_window_and_that_the_holder_must_not_know(world: World) -> None:
    asked = window(-48 * HOUR, -HOUR)
    order = await steps.traced(world, window=asked)
    sent = await message(world, order)
    body = sent["body"]
    assert sent["type"] == "vn.hoatoc.order.trace"
    said = {name: datetime.fromisoformat(at) for name, at in body["window"].items()}
    assert said == {name: datetime.fromisoformat(at) for name, at in asked.items()}
    assert (body["confidential"], body["asked"], body["amount"], body["payment"]) == (True, None, None, None)
    request = await steps.request_now(world, order["request_id"])
    assert request["ends_at"] == request["starts_at"] + timedelta(days=3)
    due = {row["stage"]: row["due_at"] for row in body["deadlines"]}
    assert due["execute"].startswith((order["placed_at"] + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M"))


async def test_every_other_order_has_no_window(world: World) -> None:
    [order] = await steps.asked(world)
    assert (await message(world, order))["body"]["window"] is None


async def test_a_bank_that_is_silent_is_told_after_a_quarter_of_an_hour(
    world: World, fast_forward: FastForward
) -> None:
    order = await steps.traced(world)
    for minutes, rungs in ((14, 0), (2, 1), (15, 2), (31, 3)):
        await fast_forward(minutes=minutes)
        await world.fire()
        raised = await world.rows(Escalation, order_id=order["id"], stage="execute")
        assert len({row["rung"] for row in raised}) == rungs, minutes


async def test_it_is_answered_by_what_moved_and_that_ends_it(world: World) -> None:
    order = await steps.traced(world)
    taken = await world.answer(order, outcome="executed", traced=steps.moved(ACCOUNT, NEXT))
    assert taken.state is OrderState.EXECUTED
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    assert await steps.pending(world, order["id"]) == []
    [shown] = (await read(world, order)).items
    found = [each.counterparty and each.counterparty.value for each in shown.movements]
    assert (found, shown.has_more, shown.participant_id) == ([None, ACCOUNT, NEXT], False, "vietcombank")
    assert [(each.direction, each.count, each.value) for each in shown.totals] == [
        ("in", 1, "1000000000"),
        ("out", 2, "199999999"),
    ]


@pytest.mark.parametrize(
    ("traced", "field", "code"),
    [
        ({**LINE, "at": window(-26 * HOUR, HOUR)["since"]}, "/traced/movements/0/at", "traced.outside_window"),
        ({**LINE, "at": window(-HOUR, HOUR)["until"]}, "/traced/movements/0/at", "traced.outside_window"),
        ({**LINE, "amount": steps.vnd(1)}, "/traced/movements", "traced.not_largest_first"),
        (None, "/traced", "field.missing"),
    ],
)
async def test_what_was_not_asked_is_named_and_nothing_of_the_answer_is_kept(
    world: World, traced: dict[str, Any] | None, field: str, code: str
) -> None:
    order = await steps.traced(world)
    facts = len(await world.rows(AuditEntry))
    said = {"traced": {"movements": [traced, LINE], "has_more": False}} if traced else {}
    with pytest.raises(errors.InvalidInput) as refused:
        await world.answer(order, outcome="executed", **said)
    assert [(error.field, error.code) for error in refused.value.fields] == [(field, code)]
    assert await world.rows(Acknowledgement) == []
    assert len(await world.rows(AuditEntry)) == facts
    assert (await steps.order_now(world, order))["state"] is OrderState.PLACED


async def test_movements_answer_nothing_but_a_trace_and_a_trace_nothing_but_movements(world: World) -> None:
    order = await steps.traced(world)
    [other] = await steps.asked(world, case_number="02/2026/CA")
    for wrong, about, field in (
        ({"disclosed": {}, "traced": steps.moved()}, order, "/disclosed"),
        ({"amount_held": steps.vnd(1), "traced": steps.moved()}, order, "/amount_held"),
        ({"disclosed": {}, "traced": steps.moved()}, other, "/traced"),
    ):
        with pytest.raises(errors.InvalidInput) as refused:
            await world.answer(about, outcome="executed", **wrong)
        assert [error.field for error in refused.value.fields] == [field]


async def test_nothing_that_moved_is_an_answer_too_and_more_may_follow(world: World) -> None:
    order = await steps.traced(world)
    nothing = {"movements": [], "has_more": False}
    await world.answer(order, outcome="executed", traced=nothing)
    assert (await world.answer(order, outcome="executed", traced=nothing)).repeated
    await world.answer(order, outcome="executed", traced=steps.moved())
    empty, whole = (await read(world, order)).items
    assert (empty.movements, empty.totals, len(whole.movements)) == ([], [], 2)
    assert (await world.facts(order["request_id"])).count("order.executed") == 2


@pytest.mark.parametrize("gone", ["refused", "lapsed", "rerouted"])
async def test_what_nobody_asks_any_more_is_not_kept(world: World, fast_forward: FastForward, gone: str) -> None:
    order = await steps.traced(world)
    if gone == "refused":
        await world.answer(order, outcome="refused", refusal_code="target_not_found")
    elif gone == "rerouted":
        await world.answer(order, outcome="not_mine", ported_to="bidv")
    else:
        await steps.delivered(world, order)
        await fast_forward(days=4)
        await world.fire()
    assert (await steps.order_now(world, order))["state"] == gone
    answers = len(await world.rows(Acknowledgement))
    with pytest.raises(errors.Conflict) as refused:
        await world.answer(order, outcome="executed", traced=steps.moved())
    assert refused.value.code == "trace.over"
    assert len(await world.rows(Acknowledgement)) == answers
    kinds = {row["message_type"] for row in await world.rows(Dispatch, order_id=order["id"], kind="order")}
    assert kinds == {"vn.hoatoc.order.trace"}
    assert await steps.findings(world) == []


async def test_movements_are_in_no_fact_no_status_no_log_and_no_plain_column(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await Builder(world.hub).endpoint(worlds.AGENCY, purpose=Purpose.STATUS)
    order = await steps.traced(world)
    await world.answer(order, outcome="executed", traced=steps.moved(ACCOUNT, NEXT))
    told = await world.rows(Dispatch, kind=DispatchKind.STATUS)
    assert told
    texts = [await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]) for row in told]
    texts += [str(row) for row in await world.rows(AuditEntry)]
    for model in (Acknowledgement, Order, ActionRequest):
        texts += [str(row) for row in await world.rows(model)]
    captured = capsys.readouterr()
    for text in (*texts, captured.out, captured.err):
        assert ACCOUNT not in text and NEXT not in text and "970418" not in text


async def answered(api: Api) -> tuple[str, dict[str, Any]]:
    """A trace filed, approved and answered at the doors; returns its path and its order."""
    await steps.second_officer(api.world)
    filed = await api.file(steps.trace())
    assert filed.status_code == 201, filed.text
    path = filed.headers["location"]
    assert (await api.post(f"{path}/approvals", api.police, {"officer_id": "second"})).status_code == 201
    [order] = await api.world.orders(UUID(filed.json()["id"]))
    said = {"outcome": "executed", "traced": steps.moved(ACCOUNT)}
    done = await api.post(f"/v1/orders/{order['id']}/acknowledgements", api.bank, said)
    assert done.status_code == 201 and ACCOUNT not in done.text
    return path, order


async def test_the_agency_alone_reads_them_and_each_reading_is_a_fact(api: Api) -> None:
    path, order = await answered(api)
    assert await api.facts("person.opened") == []
    shown = await api.get(f"{path}/movements", api.police)
    assert shown.status_code == 200
    [item] = shown.json()["items"]
    assert item["movements"][1]["counterparty"] == {"kind": "account", "value": ACCOUNT, "institution": "970418"}
    assert item["totals"][1] == {"direction": "out", "count": 1, "value": "100000000", "currency": "VND"}
    await api.get(f"{path}/movements", api.police)
    facts = [json.loads(fact["data"]) for fact in await api.facts("person.opened")]
    assert [(fact["view"], fact["door"]) for fact in facts] == [("movements", "api")] * 2
    assert {fact["chain"] for fact in await api.facts("person.opened")} == {f"reads:{order['request_id']}"}
    read_ = (await api.get(f"{path}/reads", api.police)).json()["items"]
    assert [each["view"] for each in read_] == ["movements", "movements"]
    for system in (api.bank, api.coordinator, api.admin):
        refused = await api.get(f"{path}/movements", system)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope.missing")
    auditor = await api.enroll(System("auditor-system"), "hoatoc-hub", Role.AUDITOR)
    assert (await api.get(f"{path}/movements", auditor)).status_code == 403
    for where in (path, f"{path}/timeline"):
        for system in (api.police, api.coordinator):
            told = await api.get(where, system)
            assert told.status_code == 200 and ACCOUNT not in told.text, where
    assert ACCOUNT not in (await api.get(f"/v1/orders/{order['id']}", api.bank)).text


async def test_a_fact_says_how_many_moved_in_both_languages(api: Api) -> None:
    path, _ = await answered(api)
    told = (await api.get(f"{path}/timeline", api.police)).json()["facts"]
    [fact] = [each for each in told if each["code"] == "order.executed"]
    assert (fact["data"]["movements_given"], fact["data"]["has_more"]) == (2, False)
    assert "2 movements" in fact["text"]["en"] and "2 giao dịch" in fact["text"]["vi"]


async def test_to_another_agency_they_are_as_unknown_as_a_trace_that_does_not_exist(api: Api) -> None:
    path, _ = await answered(api)
    await Builder(api.hub).participant("agency-b", Sector.AGENCY)
    other = await api.enroll(System("other-system"), "agency-b", Role.READER)
    foreign = await api.get(f"{path}/movements", other)
    missing = await api.get(f"/v1/requests/{UUID(int=1)}/movements", other)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    held = await api.active(worlds.freeze())
    assert (await api.get(f"/v1/requests/{held['id']}/movements", api.police)).status_code == 404
    assert (await api.get(f"{path}/disclosures", api.police)).status_code == 404
    views = [json.loads(fact["data"])["view"] for fact in await api.facts("person.opened")]
    assert "movements" not in views


async def test_erased_with_its_request_nobody_reads_them_and_the_chain_still_verifies(world: World) -> None:
    order = await steps.traced(world)
    await world.answer(order, outcome="executed", traced=steps.moved(ACCOUNT))

    async def unit(conn: Any) -> None:
        await conn.execute(sa.delete(table(QueueItem)))
        await conn.execute(sa.update(table(Dispatch)).values(state=DispatchState.DELIVERED))

    await world.hub.writer.run(unit)
    why = Decided("15/QD-XOA", "a", await steps.now(world), "b")
    assert await erasing.run(world.hub, order["request_id"], world.hub.actor, why) == 1
    shown = await read(world, order)
    assert (shown.items, shown.erased) == ([], True)
    [row] = await world.rows(Acknowledgement, order_id=order["id"])
    assert (row["body_sha256"], row["signature"]) == ("", None)
    with pytest.raises(Erased):
        await bundles.export(world.hub, str(order["request_id"]))
    assert await steps.findings(world) == []


async def test_the_evidence_holds_the_signed_answer_and_proves_the_window(world: World) -> None:
    order = await steps.traced(world)
    await world.answer(order, outcome="executed", traced=steps.moved(ACCOUNT))
    bundle = await bundles.export(world.hub, str(order["request_id"]))
    assert [check.name for check in evidence.verify(bundle) if check.wrong] == []
    read_ = json.loads(bundle)
    [part] = read_["requests"][0]["orders"]
    assert ACCOUNT in part["answers"][0]["body"]
    part["messages"][0]["body"]["window"]["since"] = "2020-01-01T00:00:00Z"
    found = {check.name: check.wrong for check in evidence.verify(json.dumps(read_)) if check.wrong}
    assert "window" in found["order.agrees"]


@pytest.mark.parametrize("lost", ["window_since", "window_until"])
async def test_the_database_refuses_a_trace_without_its_window(world: World, lost: str) -> None:
    order = await steps.traced(world)
    rows = table(ActionRequest)
    with pytest.raises(IntegrityError):
        await world.hub.writer.run(
            lambda conn: conn.execute(sa.update(rows).where(rows.c.id == order["request_id"]).values({lost: None}))
        )


async def test_the_database_places_no_trace_that_one_officer_signed(world: World) -> None:
    order = await steps.traced(world)
    rows = table(Approval)
    with pytest.raises(IntegrityError):

        async def unit(conn: Any) -> None:
            await conn.execute(sa.delete(rows).where(rows.c.request_id == order["request_id"]))
            orders = table(Order)
            made = {**order, "id": UUID(int=7), "participant_id": "bidv"}
            await conn.execute(sa.insert(orders).values({name: made[name] for name in made if name in orders.c}))

        await world.hub.writer.run(unit)
