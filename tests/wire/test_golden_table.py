"""The table of golden files has no gap: a kind that a channel speaks, and that no golden file shows, turns it red."""

import base64
import json
from typing import Any

import adapter_cases
import message_kinds
import pytest
import rfc8785
from adapter_cases import CASES, LETTERS, PULLED, Case
from jsonschema import Draft202012Validator, FormatChecker
from message_kinds import CONTRACT, MESSAGES

from adapters.base import DeliveryFailed
from workflows import read_back, silence
from workflows.terms import CALLED, Action, Channel

KINDS = message_kinds.events()
HUB: dict[str, Any] = json.loads((message_kinds.OPENAPI / "hub.v1.json").read_text("utf-8"))
# What a channel says of a kind that it has no words for; a mail says nothing but what was worded for people.
NOT_SPOKEN = {Channel.EMAIL: "message.malformed"}
EVERY = [pytest.param(case, id=str(channel)) for channel, case in CASES.items()]


def valid(document: dict[str, Any], schema: str, value: Any) -> list[str]:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    found = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


async def speaks(case: Case, kind: str) -> bool:
    """Ask the adapter itself: whether it makes something of a whole message of a kind."""
    of_each = message_kinds.OF_EACH_TO_A_TELECOM if case.channel is Channel.ETSI else message_kinds.OF_EACH
    try:
        await adapter_cases.sent(case, of_each[kind])
    except DeliveryFailed as failed:
        assert failed.code == NOT_SPOKEN.get(case.channel, "message.not_spoken"), f"{kind}: {failed.code}"
        return False
    return True


def test_the_contract_has_an_event_for_every_action_and_the_cases_a_message_of_every_event() -> None:
    orders = {f"vn.hoatoc.order.{action}" for action in Action}
    remarks = {read_back.MESSAGE_TYPE, silence.MESSAGE_TYPE}
    assert {kind for kind in KINDS if kind.startswith("vn.hoatoc.order.")} == orders | remarks
    assert message_kinds.OF_EACH.keys() == message_kinds.OF_EACH_TO_A_TELECOM.keys() == KINDS.keys()


@pytest.mark.parametrize("case", EVERY)
async def test_each_kind_that_a_channel_speaks_has_its_golden_file_and_no_other_has_one(case: Case) -> None:
    spoken = {kind for kind in KINDS if await speaks(case, kind)}
    assert {message.type for message in case.messages.values()} == spoken
    for name, message in case.messages.items():
        assert (case.folder() / name).is_file(), f"{case.channel} has no golden file of {message.type}"
    if case.channel in CALLED:
        assert (silence.MESSAGE_TYPE in spoken) is silence.speaks(case.channel)


def test_each_order_has_its_golden_file_in_the_inbox_and_as_a_letter_in_both_languages() -> None:
    orders = {kind for kind in KINDS if kind.startswith("vn.hoatoc.order.")}
    assert {message.type for message in PULLED.values()} == orders
    for lang in ("vi", "en"):
        worded = {message.body["action"] for message, spoken in LETTERS.values() if spoken == lang}
        assert worded == set(Action)
    for folder, names in (("pull", PULLED.keys()), ("letter", LETTERS.keys())):
        assert {path.name for path in (adapter_cases.GOLDEN / folder).iterdir()} == names
    assert {path.name for path in adapter_cases.GOLDEN.iterdir()} == {*CASES, "pull", "letter"}


@pytest.mark.parametrize("name", PULLED)
def test_what_an_inbox_shows_is_the_golden_file_and_of_the_contract(name: str) -> None:
    made = adapter_cases.pulled(PULLED[name])
    assert (adapter_cases.GOLDEN / "pull" / name).read_bytes() == adapter_cases.laid_out(made)
    assert valid(HUB, "InboxPage", made) == []
    (item,) = made["items"]
    event = {"data": item["body"], "type": item["type"]}
    schema = CONTRACT["components"]["schemas"][KINDS[item["type"]]]["properties"]["data"]["$ref"].split("/")[-1]
    assert valid(CONTRACT, schema, event["data"]) == []
    assert event["data"] == json.loads((CASES[Channel.WEBHOOK].folder() / name).read_bytes())["data"]


@pytest.mark.parametrize("name", LETTERS)
def test_what_a_letter_says_is_the_golden_file_and_carries_the_whole_order(name: str) -> None:
    message, lang = LETTERS[name]
    made = adapter_cases.lettered(message, lang)
    assert (adapter_cases.GOLDEN / "letter" / name).read_bytes() == adapter_cases.laid_out(made)
    carried = {each["name"]: each["content"] for each in made["files"]}
    assert carried == {"order.json": rfc8785.dumps(dict(message.body)).decode(), "order.jws": message.signature}
    assert message.body["target"]["value"] in [line["text"] for line in made["lines"]]


@pytest.mark.parametrize("name", MESSAGES)
def test_what_a_webhook_carries_is_of_the_contract(name: str) -> None:
    event = json.loads((CASES[Channel.WEBHOOK].folder() / f"{name}.json").read_bytes())
    assert valid(CONTRACT, KINDS[event["type"]], event) == []


@pytest.mark.parametrize("lost", ["data", "sequence", "type"])
def test_the_contract_refuses_an_event_without_one_of_its_members(lost: str) -> None:
    for name, message in MESSAGES.items():
        event = json.loads((CASES[Channel.WEBHOOK].folder() / f"{name}.json").read_bytes())
        del event[lost]
        assert valid(CONTRACT, KINDS[message.type], event) != []


def test_an_hi1_request_carries_the_body_that_its_order_has() -> None:
    """The signed order travels inside: what a telecom's reader takes out is what a webhook would have carried."""
    case = CASES[Channel.ETSI]
    for name, message in case.messages.items():
        request = json.loads((case.folder() / name).read_bytes())
        actions = request["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]
        objects = [made["HI1Object"] for each in actions for verb, made in each.items() if verb != "ActionIdentifier"]
        bodies = [each["doc:DocumentBody"].get("doc:Contents") for each in objects if "doc:DocumentBody" in each]
        (inside,) = [base64.b64decode(each) for each in bodies if each]
        assert json.loads(inside) == message.body
