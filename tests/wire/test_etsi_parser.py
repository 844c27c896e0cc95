"""What a participant sends is an answer, a question, or refused by name: nothing it can send breaks the reader."""

import copy
from collections.abc import Callable
from typing import Any

import etsi_schema
import pytest
from etsi_exchange import HUB, LIFT_ID, ORDER_ID, TELECOM, answer, asking, delivery
from jsonschema import Draft202012Validator

from adapters.answers import Answer
from adapters.etsi import answering, messages, parse, terms
from adapters.etsi.refusal import Refused
from service.errors import HubError
from service.web import strict_json
from workflows.terms import Outcome, RefusalCode

VALID = Draft202012Validator(etsi_schema.message())


def read(document: Any) -> parse.Request:
    return parse.request(document, sender=TELECOM, receiver=HUB)


def said(document: Any) -> Answer:
    action = read(document).answer
    assert action is not None
    return answering.of(action.asked)  # type: ignore[arg-type]


def refused(document: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        said(document)
    return int(caught.value.number), caught.value.description


CANCELLED = {"task:DesiredStatus": terms.entry("TDTaskDesiredStatus", "Cancelled")}
ANSWERS: list[tuple[dict[str, Any], Answer]] = [
    (answer(terms.TAKEDOWN, "Pending"), Answer(ORDER_ID, "received")),
    (answer(terms.TAKEDOWN, "Resolved"), Answer(ORDER_ID, "executed")),
    # There is no "partly": it stands in the reason, which is kept with the signed answer.
    (answer(terms.TAKEDOWN, "Resolved", terms.reason(2099, "2 of 3 pages")), Answer(ORDER_ID, "executed")),
    (
        answer(terms.TAKEDOWN, "Rejected", terms.reason(2008, "a school")),
        Answer(ORDER_ID, "refused", refusal_code="target_legitimate"),
    ),
    (answer(terms.TAKEDOWN, "Rejected", terms.reason(2005, "no customer of ours")), Answer(ORDER_ID, "not_mine")),
    (
        answer(terms.TAKEDOWN, "Rejected", terms.reason(2005, "ported_to:452-02")),
        Answer(ORDER_ID, "not_mine", ported_to="452-02"),
    ),
    (answer(terms.TAKEDOWN, "Error", terms.reason(2009, "system down")), Answer(ORDER_ID, "error")),
    (answer(terms.TAKEDOWN, "Resolved", order_id=LIFT_ID, **CANCELLED), Answer(LIFT_ID, "lifted")),
    (answer(terms.TAKEDOWN, "Pending", order_id=LIFT_ID, **CANCELLED), Answer(LIFT_ID, "received")),
    (answer(terms.PRESERVATION, "AwaitingPreservation"), Answer(ORDER_ID, "received")),
    (answer(terms.PRESERVATION, "Preserved"), Answer(ORDER_ID, "executed")),
    (
        answer(terms.PRESERVATION, "PreservationNotAvailable"),
        Answer(ORDER_ID, "refused", refusal_code="target_not_found"),
    ),
    (answer(terms.PRESERVATION, "Cancelled"), Answer(ORDER_ID, "lifted")),
    (answer(terms.PRESERVATION, "Invalid"), Answer(ORDER_ID, "error")),
    (answer(terms.DISCLOSURE, "AwaitingDisclosure"), Answer(ORDER_ID, "received")),
    (
        answer(terms.DISCLOSURE, "DisclosureNotAvailable", terms.reason(2004, "closed in 2020")),
        Answer(ORDER_ID, "refused", refusal_code="target_closed"),
    ),
    (
        delivery({"holder_name": "NGUYEN VAN MAU", "state": "open"}),
        Answer(ORDER_ID, "executed", disclosed={"holder_name": "NGUYEN VAN MAU", "state": "open"}),
    ),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_every_status_is_an_answer(number: int) -> None:
    document, expected = ANSWERS[number]
    assert VALID.is_valid(document), "what we read is what the standard lets a participant send"
    assert said(document) == expected
    assert expected.outcome in {*Outcome, "error"}


def test_every_reason_is_one_of_the_hubs_refusals() -> None:
    assert set(terms.REASONS.values()) <= set(RefusalCode)
    for number, code in terms.REASONS.items():
        found = said(answer(terms.PRESERVATION, "Rejected", terms.reason(number, "")))
        assert (found.outcome, found.refusal_code) == (("not_mine", None) if code == "not_mine" else ("refused", code))


def test_every_outcome_of_every_task_stands_in_etsis_dictionary() -> None:
    published = {
        "TDTaskStatus": {"Pending", "Resolved", "Rejected", "Error"},
        "LDTaskStatus": {"AwaitingDisclosure", "DisclosureNotAvailable", "Rejected", "Error", "Invalid", "Disclosed"},
        "LPTaskStatus": {"AwaitingPreservation", "Preserved", "PreservationNotAvailable", "Rejected", "Cancelled"}
        | {"Error", "Invalid"},
    }
    for kind, known in answering.OUTCOMES.items():
        assert known.keys() <= published[terms.STATUS[kind]]


def test_reading_may_be_asked_for_several_times_and_answering_only_alone() -> None:
    reads = [{"GET": {"Identifier": ORDER_ID}}, {"LIST": {"MaximumObjectCount": 5}}, {"GETCSPCONFIG": {}}]
    found = read(asking(*reads))
    assert [action.verb for action in found.actions] == ["GET", "LIST", "GETCSPCONFIG"] and found.answer is None
    update = answer(terms.TAKEDOWN, "Pending")["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"][0]
    update = {name: value for name, value in update.items() if name != "ActionIdentifier"}
    for mixed in ([update, update], [update, reads[0]], [reads[0], update]):
        assert refused(asking(*mixed))[0] == terms.Wrong.MIXED
    assert refused(asking(*reads * 7))[1].startswith("action.too_many")
    assert refused(asking(*[update] * 1_000))[1].startswith("action.too_many")


def task(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = action(made)["UPDATE"]["HI1Object"]
    return found


def action(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"][0]
    return found


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], int, str]] = {
    "no header": (lambda made: made.pop("Header"), 1001, "/Header"),
    "no payload": (lambda made: made.pop("Payload"), 1001, "/Payload"),
    "a response": (
        lambda made: made.update(Payload={"ResponsePayload": {}}),
        1001,
        "field.unknown /Payload/ResponsePayload",
    ),
    "an unknown member": (lambda made: made.update(Extra=1), 1001, "field.unknown /Extra"),
    "a signature inside": (lambda made: made.update(Signature={"protected": "", "signature": ""}), 1001, "/Signature"),
    "a wrong namespace": (lambda made: made.update({"@xmlns": "http://example.org"}), 1002, "namespace.unknown"),
    "a member that is somebody's number": (lambda made: made.update({"079790000417": 1}), 1001, "field.unknown /*"),
    "a member that is somebody's name": (lambda made: task(made).update({"NGUYEN VAN MAU": 1}), 1001, "/HI1Object/*"),
    "an unknown prefix": (lambda made: made.update({"@xmlns:evil": "x"}), 1001, "field.unknown"),
    "a wrong schema": (lambda made: made["Header"]["Version"].update(ETSIVersion="V1.2.1"), 1002, "version.unknown"),
    "another profile": (
        lambda made: made["Header"]["Version"].update(NationalProfileOwner="NL"),
        1002,
        "profile.unknown",
    ),
    "another sender": (
        lambda made: made["Header"].update(SenderIdentifier=terms.endpoint("vinaphone")),
        1003,
        "sender.not_the_caller",
    ),
    "another country": (
        lambda made: made["Header"]["SenderIdentifier"].update(CountryCode="LA"),
        1003,
        "sender.not_the_caller",
    ),
    "another hub": (
        lambda made: made["Header"].update(ReceiverIdentifier=terms.endpoint("https://other")),
        1004,
        "receiver.not_this_hub",
    ),
    "no transaction": (lambda made: made["Header"].update(TransactionIdentifier="1"), 1001, "/Header/Transaction"),
    "no actions": (
        lambda made: made["Payload"]["RequestPayload"]["ActionRequests"].update(ActionRequest=[]),
        1001,
        "/ActionRequest",
    ),
    "a number that is none": (lambda made: action(made).update(ActionIdentifier=True), 1001, "ActionIdentifier"),
    "a number below zero": (lambda made: action(made).update(ActionIdentifier=-1), 1001, "ActionIdentifier"),
    "two verbs": (lambda made: action(made).update(GET={"Identifier": ORDER_ID}), 1005, "action.unknown"),
    "an unknown verb": (lambda made: action(made).update(DELETE=action(made).pop("UPDATE")), 1005, "action.unknown"),
    "a creation": (lambda made: action(made).update(CREATE=action(made).pop("UPDATE")), 1005, "action.create"),
    "no type": (lambda made: task(made).pop("@xsi:type"), 1005, "object.type"),
    "a wrong type": (
        lambda made: task(made).update({"@xsi:type": terms.TAKEDOWN.replace("2020/09", "2099/01")}),
        1005,
        "object.type",
    ),
    "an interception": (
        lambda made: task(made).update({"@xsi:type": terms.TAKEDOWN.replace("TD", "LI")}),
        1005,
        "object.type",
    ),
    "the wrong verb for the object": (
        lambda made: action(made).update(
            DELIVER={"Identifier": ORDER_ID, "HI1Object": action(made).pop("UPDATE")["HI1Object"]}
        ),
        1005,
        "object.type",
    ),
    "what is not the participant's to change": (
        lambda made: task(made).update({"task:RequestDetails": {}}),
        1001,
        "field.unknown",
    ),
    "a null": (lambda made: task(made).update({"task:StatusReason": None}), 1001, "field.wrong_type"),
    "no identifier": (lambda made: task(made).pop("ObjectIdentifier"), 1001, "field.missing"),
    "an identifier that is none": (lambda made: task(made).update(ObjectIdentifier="x"), 1001, "field.pattern"),
    "no status": (lambda made: task(made).pop("task:Status"), 1001, "field.missing"),
    "an unknown status": (
        lambda made: task(made).update({"task:Status": terms.entry("TDTaskStatus", "Done")}),
        1005,
        "status.unknown",
    ),
    "another task's status": (
        lambda made: task(made).update({"task:Status": terms.entry("LPTaskStatus", "Preserved")}),
        1005,
        "status.unknown",
    ),
    "somebody else's dictionary": (
        lambda made: task(made).update({"task:Status": terms.own("TDTaskStatus", "Resolved")}),
        1005,
        "status.unknown",
    ),
    "an unknown desired status": (
        lambda made: task(made).update({"task:DesiredStatus": terms.entry("TDTaskDesiredStatus", "Gone")}),
        1005,
        "status.unknown",
    ),
    "a refusal without a reason": (
        lambda made: task(made).update({"task:Status": terms.entry("TDTaskStatus", "Rejected")}),
        1001,
        "field.missing task:StatusReason",
    ),
    "a refusal for an unknown reason": (
        lambda made: task(made).update(
            {"task:Status": terms.entry("TDTaskStatus", "Rejected"), "task:StatusReason": terms.reason(1, "")}
        ),
        1005,
        "reason.unknown",
    ),
    "ported to nowhere": (
        lambda made: task(made).update(
            {
                "task:Status": terms.entry("TDTaskStatus", "Rejected"),
                "task:StatusReason": terms.reason(2005, "ported_to: "),
            }
        ),
        1001,
        "field.pattern",
    ),
    "a disclosure without its data": (
        lambda made: task(made).update(
            {"@xsi:type": terms.DISCLOSURE, "task:Status": terms.entry("LDTaskStatus", "Disclosed")}
        ),
        1005,
        "status.unknown",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name: str) -> None:
    damage, number, told = BAD[name]
    made = copy.deepcopy(answer(terms.TAKEDOWN, "Resolved"))
    damage(made)
    found, description = refused(made)
    assert (found, told in description) == (number, True), description
    assert "NGUYEN" not in description and len(description) < 512


@pytest.mark.parametrize("value", [None, [], "text", 1, {}, {"Header": []}, {"Header": {}, "Payload": None}])
def test_what_is_no_message_at_all_is_refused(value: Any) -> None:
    assert refused(value)[0] == terms.Wrong.MALFORMED


BYTES = {
    "truncated": messages.encode(answer(terms.TAKEDOWN, "Resolved"))[:-7],
    "twice the same member": messages.encode(answer(terms.TAKEDOWN, "Resolved")).replace(
        b'"Header":', b'"Header":{},"Header":', 1
    ),
    "a status twice": messages.encode(answer(terms.TAKEDOWN, "Resolved")).replace(
        b'"task:Status":', b'"task:Status":{},"task:Status":', 1
    ),
    "deep": b'{"Header":' * 5_000 + b"1" + b"}" * 5_000,
    "10 MB of nothing": b'{"Header":"' + b" " * 10_000_000 + b'"}',
    "10 MB of members": b"{" + b",".join(b'"%d":0' % number for number in range(900_000)) + b"}",
    "1,000 actions": messages.encode(asking(*[{"GET": {"Identifier": ORDER_ID}}] * 1_000)),
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><HI1Message/>',
    "a number too far": messages.encode(answer(terms.TAKEDOWN, "Resolved")).replace(
        b'"ActionIdentifier":0', b'"ActionIdentifier":1e400'
    ),
}


@pytest.mark.parametrize("name", BYTES)
def test_hostile_bytes_are_refused_by_the_door_or_by_the_parser(name: str) -> None:
    with pytest.raises((HubError, Refused)):
        said(strict_json.parse(BYTES[name]))
