"""A disclosure: what may be asked, how it is answered, who reads it; each read is a fact, and it is erased."""

import json
from datetime import timedelta
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
from service.models import Acknowledgement, ActionRequest, AuditEntry, Dispatch, Order, QueueItem
from service.queries import disclosures
from service.schemas.orders import AcknowledgementBody
from service.security import evidence
from service.vault import Erased
from workflows.terms import DispatchKind, DispatchState, OrderState, Purpose, RequestState, Role, Sector

pytest_plugins = ["api_fixtures"]

NAME, NUMBER, TELEPHONE = "LE VAN MAU", "079090000417", "+84980000417"
DATA = {
    "holder_name": NAME,
    "holder_document": {"kind": "national_id", "number": NUMBER},
    "contact_phone": TELEPHONE,
}
SOME = {"holder_name": NAME, "holder_document": DATA["holder_document"]}
PHONE = {"kind": "phone", "value": "+84980000007"}
DOMAIN = {"kind": "domain", "value": "ngan-hang-gia-mao.example.vn"}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def message(world: World, order: dict[str, Any]) -> dict[str, Any]:
    [sent] = await world.rows(Dispatch, order_id=order["id"], kind="order")
    sealed = await opened(world.hub, "dispatches", sent["id"], sent["tenant"], sent["message_sealed"])
    read: dict[str, Any] = json.loads(sealed)
    return read


@pytest.mark.parametrize(
    "changes",
    [
        {"asked": []},
        {"asked": ["balance"]},
        {"asked": "holder_name"},
        {"targets": []},
        {"targets": [{"kind": "url", "value": "https://example.com/page"}]},
        {"targets": [{"kind": "sms_sender", "value": "VCB-THUONG"}]},
        {"amount": steps.vnd(1)},
        {"ends_at": "2026-12-24T00:00:00Z"},
        {"confidential": False},
    ],
)
def test_the_schema_refuses_a_disclosure_with(changes: dict[str, Any]) -> None:
    worlds.SUBMIT.validate_python(steps.disclose())
    with pytest.raises(ValidationError):
        worlds.SUBMIT.validate_python({**steps.disclose(), **changes})


@pytest.mark.parametrize(
    "disclosed",
    [
        {"holder_name": ""},
        {"holder_document": NUMBER},
        {"holder_document": {"kind": "tattoo", "number": NUMBER}},
        {"holder_document": {"kind": "passport"}},
        {"holder_birth_date": "24/12/1990"},
        {"contact_phone": "0980000417"},
        {"contact_email": "nobody"},
        {"state": "fine"},
        {"balance": "1"},
    ],
)
def test_the_schema_refuses_an_answer_with(disclosed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AcknowledgementBody.model_validate({"outcome": "executed", "disclosed": disclosed})


def test_data_go_with_an_execution_only() -> None:
    with pytest.raises(ValidationError):
        AcknowledgementBody.model_validate({"outcome": "received", "disclosed": {}})


async def test_its_order_says_what_is_asked_and_that_the_holder_must_not_know(world: World) -> None:
    [order] = await steps.asked(world)
    sent = await message(world, order)
    body = sent["body"]
    assert sent["type"] == "vn.hoatoc.order.disclose"
    assert (body["asked"], body["confidential"]) == (["holder_name", "holder_document", "contact_phone"], True)
    assert (body["amount"], body["payment"], body["whole_account"]) == (None, None, False)
    request = await steps.request_now(world, order["request_id"])
    assert request["ends_at"] == request["starts_at"] + timedelta(days=20)
    due = {row["stage"]: row["due_at"] for row in body["deadlines"]}
    assert due["execute"].startswith((order["placed_at"] + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M"))


async def test_an_ordinary_one_has_a_day(world: World) -> None:
    [order] = await steps.asked(world, urgency="khan")
    due = {row["stage"]: row["due_at"] for row in (await message(world, order))["body"]["deadlines"]}
    assert due["execute"].startswith((order["placed_at"] + timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M"))


async def test_who_holds_a_domain_is_asked_of_its_registrar_and_of_no_isp(world: World) -> None:
    await steps.second_officer(world)
    filed = await world.submit(steps.disclose(DOMAIN, asked=["holder_name"]))
    await world.approve(filed.id, "second")
    assert [each.participant_id for each in filed.unreachable] == ["vnnic"]
    assert filed.recipients == [] and await world.orders(filed.id) == []


@pytest.mark.parametrize(
    ("target", "asked", "field", "code"),
    [
        (PHONE, ["holder_name", "contact_phone"], "/asked/1", "asked.not_for_target"),
        (PHONE, ["contact_email"], "/asked/0", "asked.not_for_target"),
        (worlds.freeze()["target"], ["contact_email"], "/asked/0", "asked.not_for_target"),
        (DOMAIN, ["holder_birth_date"], "/asked/0", "asked.not_for_target"),
        (PHONE, ["holder_name", "holder_name"], "/asked/1", "asked.repeated"),
    ],
)
async def test_what_does_not_apply_is_named_and_nothing_is_written(
    world: World, target: dict[str, Any], asked: list[str], field: str, code: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.disclose(target, asked=asked))
    assert [(error.field, error.code) for error in refused.value.fields] == [(field, code)]
    assert await world.rows(ActionRequest) == []


async def test_it_is_answered_with_what_is_held_and_that_ends_it(world: World) -> None:
    [order] = await steps.asked(world)
    taken = await world.answer(order, outcome="executed", disclosed=SOME)
    assert taken.state is OrderState.EXECUTED
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    assert await steps.pending(world, order["id"]) == []
    [shown] = (await read(world, order)).items
    assert shown.disclosed.model_dump(mode="json", exclude_none=True) == SOME
    assert (shown.not_held, shown.target, shown.participant_id) == (["contact_phone"], 0, "vietcombank")


async def read(world: World, order: dict[str, Any]) -> Any:
    async with world.hub.database.read() as conn:
        return await disclosures.of_request(conn, world.hub.vault, world.police, order["request_id"])


@pytest.mark.parametrize(
    ("answer", "field", "code"),
    [
        ({"disclosed": {**SOME, "holder_birth_date": "1990-12-24"}}, "/disclosed/holder_birth_date", "not_asked"),
        ({"disclosed": {"state": None}}, "/disclosed/state", "not_asked"),
        ({}, "/disclosed", "missing"),
        ({"disclosed": SOME, "amount_returned": steps.vnd(1)}, "/amount_returned", "not_for_action"),
    ],
)
async def test_what_was_not_asked_is_named_and_nothing_of_the_answer_is_kept(
    world: World, answer: dict[str, Any], field: str, code: str
) -> None:
    [order] = await steps.asked(world)
    facts = len(await world.rows(AuditEntry))
    with pytest.raises(errors.InvalidInput) as refused:
        await world.answer(order, outcome="executed", **answer)
    assert [(error.field, error.code.partition(".")[2]) for error in refused.value.fields] == [(field, code)]
    assert await world.rows(Acknowledgement) == []
    assert len(await world.rows(AuditEntry)) == facts
    assert (await steps.order_now(world, order))["state"] is OrderState.PLACED


async def test_nothing_held_is_an_answer_too_and_more_may_follow(world: World) -> None:
    [order] = await steps.asked(world)
    await world.answer(order, outcome="executed", disclosed={})
    again = await world.answer(order, outcome="executed", disclosed={})
    assert again.repeated
    await world.answer(order, outcome="executed", disclosed=DATA)
    empty, whole = (await read(world, order)).items
    assert (len(empty.not_held), whole.not_held) == (3, [])
    assert (await world.facts(order["request_id"])).count("order.executed") == 2


@pytest.mark.parametrize("gone", ["refused", "lapsed", "rerouted"])
async def test_what_nobody_asks_any_more_is_not_kept(world: World, fast_forward: FastForward, gone: str) -> None:
    [order] = await steps.asked(world, PHONE, asked=["holder_name"])
    if gone == "refused":
        await world.answer(order, outcome="refused", refusal_code="target_not_found")
    elif gone == "rerouted":
        await world.answer(order, outcome="not_mine", ported_to="vinaphone")
    else:
        await steps.delivered(world, order)
        await fast_forward(days=21)
        await world.fire()
    assert (await steps.order_now(world, order))["state"] == gone
    answers = len(await world.rows(Acknowledgement))
    with pytest.raises(errors.Conflict) as refused:
        await world.answer(order, outcome="executed", disclosed={"holder_name": NAME})
    assert refused.value.code == "disclosure.over"
    assert len(await world.rows(Acknowledgement)) == answers
    kinds = {row["message_type"] for row in await world.rows(Dispatch, order_id=order["id"], kind="order")}
    assert kinds == {"vn.hoatoc.order.disclose"}
    assert await steps.findings(world) == []


async def test_data_are_in_no_fact_no_status_no_log_and_no_plain_column(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await Builder(world.hub).endpoint(worlds.AGENCY, purpose=Purpose.STATUS)
    [order] = await steps.asked(world)
    await world.answer(order, outcome="executed", disclosed=DATA)
    told = await world.rows(Dispatch, kind=DispatchKind.STATUS)
    assert told
    texts = [await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]) for row in told]
    texts += [str(row) for row in await world.rows(AuditEntry)]
    for model in (Acknowledgement, Order, ActionRequest, Dispatch):
        texts += [str(row) for row in await world.rows(model)]
    captured = capsys.readouterr()
    texts += [captured.out, captured.err]
    for secret in (NAME, NUMBER, TELEPHONE):
        assert [text for text in texts if secret in text] == []


async def through_the_door(api: Api) -> tuple[str, dict[str, Any]]:
    """A disclosure filed, approved and answered at the doors; returns its path and its order."""
    await steps.second_officer(api.world)
    filed = await api.file(steps.disclose())
    assert filed.status_code == 201, filed.text
    path = filed.headers["location"]
    assert (await api.post(f"{path}/approvals", api.police, {"officer_id": "second"})).status_code == 201
    [order] = await api.world.orders(UUID(filed.json()["id"]))
    return path, order


async def test_the_agency_alone_reads_it_and_each_reading_is_a_fact(api: Api) -> None:
    path, order = await through_the_door(api)
    body = {"outcome": "executed", "disclosed": DATA}
    answered = await api.post(f"/v1/orders/{order['id']}/acknowledgements", api.bank, body)
    assert answered.status_code == 201 and NAME not in answered.text
    assert await api.facts("person.opened") == []
    shown = await api.get(f"{path}/disclosures", api.police)
    assert shown.status_code == 200
    [item] = shown.json()["items"]
    assert {name: value for name, value in item["disclosed"].items() if value is not None} == DATA
    assert (item["not_held"], shown.json()["erased"]) == ([], False)
    await api.get(f"{path}/disclosures", api.police)
    facts = [json.loads(fact["data"]) for fact in await api.facts("person.opened")]
    assert [(fact["view"], fact["door"]) for fact in facts] == [("disclosure", "api")] * 2
    assert {fact["chain"] for fact in await api.facts("person.opened")} == {f"reads:{order['request_id']}"}
    read_ = (await api.get(f"{path}/reads", api.police)).json()["items"]
    assert [each["view"] for each in read_] == ["disclosure", "disclosure"]
    for system in (api.bank, api.coordinator, api.admin):
        refused = await api.get(f"{path}/disclosures", system)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope.missing")
    auditor = await api.enroll(System("auditor-system"), "hoatoc-hub", Role.AUDITOR)
    assert (await api.get(f"{path}/disclosures", auditor)).status_code == 403
    for where in (path, f"{path}/timeline"):
        for system in (api.police, api.coordinator):
            told = await api.get(where, system)
            assert told.status_code == 200
            assert not any(secret in told.text for secret in (NAME, NUMBER, TELEPHONE)), where
    order_now = await api.get(f"/v1/orders/{order['id']}", api.bank)
    assert NUMBER not in order_now.text


async def test_to_another_agency_it_is_as_unknown_as_one_that_does_not_exist(api: Api) -> None:
    path, _ = await through_the_door(api)
    await Builder(api.hub).participant("agency-b", Sector.AGENCY)
    other = await api.enroll(System("other-system"), "agency-b", Role.READER)
    foreign = await api.get(f"{path}/disclosures", other)
    missing = await api.get(f"/v1/requests/{UUID(int=1)}/disclosures", other)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    held = await api.active(worlds.freeze())
    assert (await api.get(f"/v1/requests/{held['id']}/disclosures", api.police)).status_code == 404
    views = [json.loads(fact["data"])["view"] for fact in await api.facts("person.opened")]
    assert "disclosure" not in views


async def test_another_bank_can_neither_answer_it_nor_see_it(api: Api) -> None:
    _, order = await through_the_door(api)
    other = await api.enroll(System("bidv-system"), "bidv", Role.PARTICIPANT_OPERATOR)
    body = {"outcome": "executed", "disclosed": DATA}
    assert (await api.post(f"/v1/orders/{order['id']}/acknowledgements", other, body)).status_code == 404
    assert (await api.get(f"/v1/orders/{order['id']}", other)).status_code == 404
    assert await api.world.rows(Acknowledgement) == []


async def test_erased_with_its_request_nobody_reads_it_and_the_chain_still_verifies(world: World) -> None:
    [order] = await steps.asked(world)
    await world.answer(order, outcome="executed", disclosed=DATA)
    before = await bundles.export(world.hub, str(order["request_id"]))

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
    with pytest.raises(errors.Conflict):
        await world.answer(order, outcome="executed", disclosed=SOME)
    assert await steps.findings(world) == []
    # What was exported before stands on its own: whoever holds it holds what the participant signed.
    assert [check.name for check in evidence.verify(before) if check.wrong] == []


async def test_the_evidence_holds_the_signed_answer_and_proves_what_was_asked(world: World) -> None:
    [order] = await steps.asked(world)
    await world.answer(order, outcome="executed", disclosed=DATA)
    bundle = await bundles.export(world.hub, str(order["request_id"]))
    assert [check.name for check in evidence.verify(bundle) if check.wrong] == []
    read_ = json.loads(bundle)
    [part] = read_["requests"][0]["orders"]
    assert json.loads(part["answers"][0]["body"])["disclosed"] == DATA
    part["messages"][0]["body"]["asked"].append("state")
    found = {check.name: check.wrong for check in evidence.verify(json.dumps(read_)) if check.wrong}
    assert "asked" in found["order.agrees"]


async def test_the_database_refuses_a_disclosure_that_asks_nothing(world: World) -> None:
    [order] = await steps.asked(world)
    rows = table(ActionRequest)
    with pytest.raises(IntegrityError):
        await world.hub.writer.run(
            lambda conn: conn.execute(sa.update(rows).where(rows.c.id == order["request_id"]).values(asked=None))
        )
