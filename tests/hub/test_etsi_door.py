"""A telecom answers and reads its orders in ETSI's language: each answer does what an acknowledgement does."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import etsi_steps
import pytest
import steps
import world as worlds
from apis import Api, grown
from etsi_steps import Telecom, error, only, update

from adapters.etsi import identifiers, terms
from service import clock
from service.engine import evidence as bundles
from service.models import Acknowledgement, Task
from service.security import evidence
from service.security.signatures import Kind

pytest_plugins = ["api_fixtures"]

TD, LP = terms.TAKEDOWN, terms.PRESERVATION


@pytest.fixture
async def telecom(api: Api) -> Telecom:
    """A telecom with a system at the door."""
    return await Telecom.enrolled(api)


async def state(api: Api, order: dict[str, Any]) -> str:
    return str((await steps.order_now(api.world, order))["state"])


async def test_each_status_moves_the_order_as_its_acknowledgement_does(api: Api, telecom: Telecom) -> None:
    first, second = await etsi_steps.takedown(api), await etsi_steps.takedown(api, value="+84981234568")
    for status in ("Pending", "Resolved"):
        done = only(await telecom.say(update(first["id"], TD, status)))
        assert done == {"UPDATEResponse": {"Identifier": str(first["id"])}}
        assert await state(api, first) == {"Pending": "acknowledged", "Resolved": "executed"}[status]
    await telecom.say(update(second["id"], TD, "Rejected", (2008, "a school's switchboard")))
    refused = await steps.order_now(api.world, second)
    assert refused["state"] == "refused"
    [kept] = await api.world.rows(Acknowledgement, order_id=second["id"])
    assert kept["refusal_code"] == "target_legitimate" and kept["client_id"] == telecom.system.id


async def test_a_ported_number_goes_on_to_the_operator_that_is_named(api: Api, telecom: Telecom) -> None:
    order = await etsi_steps.takedown(api)
    await telecom.say(update(order["id"], TD, "Rejected", (2005, "ported_to:452-02")))
    assert await state(api, order) == "rerouted"
    went = [each["participant_id"] for each in await api.world.orders(order["request_id"])]
    assert sorted(went) == ["viettel", "vinaphone"]
    lost = await etsi_steps.takedown(api, value="+84981234569")
    assert error(await telecom.say(update(lost["id"], TD, "Rejected", (2005, "ported_to:nowhere")))) == (
        1010,
        "institution.unknown /ported_to",
    )
    assert await state(api, lost) == "placed"


async def test_an_error_opens_one_task_and_moves_nothing(api: Api, telecom: Telecom) -> None:
    order = await etsi_steps.takedown(api)
    before = await api.world.rows(Task)
    transaction = str(uuid4())
    for given in (transaction, transaction, str(uuid4())):
        told = await telecom.say(update(order["id"], TD, "Error", (2009, "system down")), transaction=given)
        assert "UPDATEResponse" in only(told)
    opened = (await api.world.rows(Task))[len(before) :]
    assert [(task["order_id"], task["data"]["outcome"]) for task in opened] == [(order["id"], "error")]
    assert await state(api, order) == "placed"
    assert await api.world.rows(Acknowledgement, order_id=order["id"]) == []
    bad = telecom.message(update(order["id"], TD, "Error"))
    refused = await telecom.post(bad, telecom.sign(bad, uuid4()))
    assert error(etsi_steps.payload(refused)) == (1009, "signature.about")


async def test_what_was_cancelled_is_lifted(api: Api, telecom: Telecom) -> None:
    order = await etsi_steps.takedown(api)
    await telecom.say(update(order["id"], TD, "Resolved"))
    lifting = await api.world.active(worlds.lift(order["request_id"], legal_basis="decree_147"))
    (lift,) = await api.world.orders(lifting.id)
    shown = only(await telecom.say({"GET": {"Identifier": identifiers.derived(str(lift["id"]), 0xA1)}}))
    assert shown["GETResponse"]["HI1Object"]["ExternalIdentifier"] == str(lift["id"])
    cancelled = {"task:DesiredStatus": terms.entry("TDTaskDesiredStatus", "Cancelled")}
    done = await telecom.say(update(order["id"], TD, "Resolved", ExternalIdentifier=str(lift["id"]), **cancelled))
    assert "UPDATEResponse" in only(done)
    assert (await state(api, order), await state(api, lift)) == ("lifted", "executed")


async def test_a_preservation_that_comes_after_its_end_is_let_go(
    api: Api, telecom: Telecom, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    ends_at = clock.written(clock.utc_now() + timedelta(hours=6))
    order = await etsi_steps.preservation(api, ends_at=ends_at)
    task = only(await telecom.say({"GET": {"Identifier": str(order["id"])}}))["GETResponse"]["HI1Object"]
    assert task["task:Status"] == terms.entry("LPTaskStatus", "AwaitingPreservation")
    papers = only(await telecom.say({"GET": {"Identifier": identifiers.derived(str(order["id"]), 0xA1)}}))
    approvals = papers["GETResponse"]["HI1Object"]["auth:AuthorisationApprovalDetails"]
    named = [each["common:ApproverDetails"]["common:ApproverName"] for each in approvals]
    assert named == ["079-maker", "079-approver"]
    await telecom.say(update(order["id"], LP, "AwaitingPreservation"))
    assert await state(api, order) == "acknowledged"
    assert error(await telecom.say(update(order["id"], TD, "Pending"))) == (1008, "object.unknown"), "another type"
    await fast_forward(hours=7)
    await api.world.fire()
    await api.sign_on(telecom.system)
    await telecom.say(update(order["id"], LP, "Preserved"))
    task = only(await telecom.say({"GET": {"Identifier": str(order["id"])}}))["GETResponse"]["HI1Object"]
    assert task["task:Status"] == terms.entry("LPTaskStatus", "Expired")
    assert task["task:DesiredStatus"] == terms.entry("LPTaskDesiredStatus", "Cancelled")
    assert task["Generation"] == 3, "the hub lifts at the end, and again because it came too late"
    await telecom.say(update(order["id"], LP, "Cancelled"))
    assert await state(api, order) == "lifted"


async def test_the_same_transaction_changes_nothing_more_and_other_content_is_refused(
    api: Api, telecom: Telecom
) -> None:
    first, second = await etsi_steps.takedown(api), await etsi_steps.takedown(api, value="+84981234568")
    message = telecom.message(update(first["id"], TD, "Resolved"))
    answer = await telecom.post(message)
    before = await api.counts()
    again = await telecom.post(message)
    assert etsi_steps.payload(again) == etsi_steps.payload(answer)
    other = await Telecom.enrolled(api)
    transaction = message["Header"]["TransactionIdentifier"]
    reused = telecom.message(update(second["id"], TD, "Resolved"), transaction=transaction)
    told = error(etsi_steps.payload(await other.post(reused)))
    assert told == (1007, "idempotency_key.reused /Header/TransactionIdentifier"), "whichever system brings it"
    assert await state(api, second) == "placed"
    after = {name: rows for name, rows in grown(before, await api.counts()).items() if "audit" not in name}
    assert {name for name in after if after[name]} <= {"clients", "public_keys"}


async def test_the_signed_message_is_evidence_that_public_keys_alone_prove(api: Api, telecom: Telecom) -> None:
    order = await etsi_steps.takedown(api)
    await telecom.say(update(order["id"], TD, "Pending"))
    message = telecom.message(update(order["id"], TD, "Resolved"))
    await telecom.post(message)
    text = await bundles.export(api.hub, str(order["request_id"]))
    found = evidence.verify(text)
    assert [check for check in found if check.wrong] == []
    assert [check.name for check in found].count("answer.order") == 2
    bundle = json.loads(text)
    answers = bundle["requests"][0]["orders"][0]["answers"]
    assert json.loads(answers[-1]["body"]) == message and answers[-1]["signature"]
    answers[-1]["body"] = answers[-1]["body"].replace("Resolved", "Rejected")
    assert "answer.signature" in {check.name for check in evidence.verify(json.dumps(bundle)) if check.wrong}
    moved = json.loads(text)
    moved["requests"][0]["orders"][0]["answers"][-1]["body"] = json.dumps(
        telecom.message(update(uuid4(), TD, "Resolved"))
    )
    wrong = {check.name for check in evidence.verify(json.dumps(moved)) if check.wrong}
    assert {"answer.signature", "answer.order"} <= wrong


async def test_a_final_answer_without_a_good_signature_is_refused_and_changes_nothing(
    api: Api, telecom: Telecom
) -> None:
    order, other = await etsi_steps.takedown(api), await etsi_steps.takedown(api, value="+84981234568")
    message = telecom.message(update(order["id"], TD, "Resolved"))
    raw = json.dumps(message).encode()
    kinds = {
        "signature.missing": {},
        "signature.about": telecom.sign(message, other["id"]),
        "signature.invalid": telecom.sign(telecom.message(update(order["id"], TD, "Resolved")), order["id"]),
        "signature.malformed": {"Hoatoc-Signature": "nonsense"},
        "signature.algorithm": {"Hoatoc-Signature": "e30..e30"},
        "signature.type": {"Hoatoc-Signature": api.world.sign(Kind.REPLY, raw, "viettel", order["id"])},
        "signature.key_unknown": {"Hoatoc-Signature": api.world.sign(Kind.ANSWER, raw, "vinaphone", order["id"])},
    }
    for code, headers in kinds.items():
        assert error(etsi_steps.payload(await telecom.post(message, headers))) == (1009, code)
        assert await state(api, order) == "placed"
    assert await api.world.rows(Acknowledgement) == []
    facts = await api.facts("signature.refused")
    assert len(facts) == len(kinds)


async def test_a_participant_lists_and_reads_its_own_objects(api: Api, telecom: Telecom) -> None:
    orders = [await etsi_steps.takedown(api), await etsi_steps.preservation(api)]
    listed = only(await telecom.say({"LIST": {}}))["LISTResponse"]["ListResponseRecord"]
    assert len(listed) == 5 + 4
    assert {each["ExternalIdentifier"] for each in listed} == {str(order["id"]) for order in orders}
    before = len(await api.facts("person.opened"))
    for each in listed:
        made = only(await telecom.say({"GET": {"Identifier": each["Identifier"]}}))["GETResponse"]["HI1Object"]
        assert made["ObjectIdentifier"] == each["Identifier"] and made["Generation"] == each["Generation"]
        assert made["LastChanged"] == each["LastChanged"]
    assert len(await api.facts("person.opened")) - before == len(listed), "each reading is a fact"
    tasks = {"ObjectType": terms.own("ObjectType", "TDTask")}
    [one] = only(await telecom.say({"LIST": tasks}))["LISTResponse"]["ListResponseRecord"]
    assert one["Identifier"] == str(orders[0]["id"])
    three = only(await telecom.say({"LIST": {"MaximumObjectCount": 3}}))["LISTResponse"]["ListResponseRecord"]
    assert three == listed[:3]
    for nothing in ({"LastChanged": "2036-01-01T00:00:00Z"}, {"CountryCode": "LA"}):
        assert only(await telecom.say({"LIST": nothing}))["LISTResponse"]["ListResponseRecord"] == []
    for wrong in (
        {"ObjectType": terms.entry("ObjectType", "Task")},
        {"Status": terms.entry("TDTaskStatus", "Pending")},
        {"LastChanged": "2026-02-30T00:00:00Z"},
        {"LastChanged": "0001-01-01T00:00:00+14:00"},
        {"LastChanged": "9999-12-31T23:59:59-14:00"},
    ):
        assert error(await telecom.say({"LIST": wrong}))[0] in {1001, 1005}
    config = only(await telecom.say({"GETCSPCONFIG": {}}))["GETCSPCONFIGResponse"]
    assert len(config["TargetingConfigurations"]["config:TargetingConfiguration"]) == 8


async def test_anothers_object_is_as_unknown_as_one_that_does_not_exist(api: Api, telecom: Telecom) -> None:
    foreign = (await api.world.active(worlds.takedown({"kind": "phone", "value": "+84911234567"}))).id
    (order,) = await api.world.orders(foreign)
    assert order["participant_id"] == "vinaphone"
    money = await steps.held(api.world)
    before = {name: rows for name, rows in (await api.counts()).items() if not name.startswith("audit")}
    for known in (order["id"], money["id"]):
        for identifier in (str(known), identifiers.derived(str(known), 0xA1), identifiers.derived(str(known), 0xD2)):
            unknown = str(uuid4())
            pairs = [
                [telecom.message(make(given)) for given in (identifier, unknown)]
                for make in (_get, _resolved, _named, _delivered)
            ]
            for theirs, nobodys in pairs:
                nobodys["Header"]["TransactionIdentifier"] = theirs["Header"]["TransactionIdentifier"]
                told = [(await telecom.post(each)).json() for each in (theirs, nobodys)]
                for each in told:
                    del each["Header"]["Timestamp"]
                assert told[0] == told[1] and "object.unknown" in json.dumps(told[0])
    assert only(await telecom.say({"LIST": {}}))["LISTResponse"]["ListResponseRecord"] == []
    after = {name: rows for name, rows in (await api.counts()).items() if not name.startswith("audit")}
    assert after == before


def _get(identifier: str) -> dict[str, Any]:
    return {"GET": {"Identifier": identifier}}


def _resolved(identifier: str) -> dict[str, Any]:
    return update(identifier, TD, "Resolved")


def _named(identifier: str) -> dict[str, Any]:
    return update(uuid4(), TD, "Resolved", ExternalIdentifier=identifier)


def _delivered(identifier: str) -> dict[str, Any]:
    return etsi_steps.deliver(identifier, holder_name="NGUYEN VAN MAU")
