"""An order goes out as one signed HI1 request, and only a whole HI1 response to it counts as received."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import etsi_exchange as exchange
import pytest
from etsi_exchange import HUB, ORDER_ID, message, taken
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Oracle
from wire_servers import Authority, endpoint, says, serving

from adapters import signing
from adapters.base import DeliveryFailed, Endpoint, Receipt
from adapters.etsi import build, messages, replies, terms
from adapters.etsi.adapter import BODY_BELOW, Etsi
from adapters.registry import Adapters
from adapters.transport import Transport
from adapters.webhook import Webhook
from workflows.terms import Channel, DispatchKind

SECRET = signing.new_secret()
SPEAKER = Etsi(HUB)


class Recorder:
    """A transport that answers what it is told to, and keeps what was sent."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.sent: list[bytes] = []

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        self.sent.append(content)
        answer = taken(json.loads(content)) if self.answer is None else self.answer
        body = answer if isinstance(answer, bytes) else messages.encode(answer)
        return Receipt(200, 0.01, body[:2048], "203.0.113.5:443", body)


async def failure(answer: Any = None, **changes: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await SPEAKER.send(
            replace(message(), **changes), endpoint("https://t.example/", secrets=(SECRET,)), Recorder(answer)
        )
    return caught.value


async def test_a_real_receiver_gets_one_signed_request_and_its_response_is_read(tmp_path: Path) -> None:
    authority, transport = Authority(tmp_path, "authority"), Transport(allow_loopback=True)
    request = build.request(message(), HUB)
    body = messages.encode(taken(request))
    assert len(body) > 500
    answer = f"200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    async with serving(says(answer.decode()), authority.issue("localhost")) as heard:
        to = endpoint(f"https://localhost:{heard.port}/hi1", ca_pem=authority.pem, secrets=(SECRET,))
        receipt = await SPEAKER.send(message(), to, transport)
        await transport.aclose()
    assert (receipt.status, receipt.body) == (200, body)
    assert heard.header("content-type") == "application/json"
    assert heard.header("hoatoc-signature") == exchange.SIGNATURE
    signed = {f"webhook-{part}": heard.header(f"webhook-{part}") or "" for part in ("id", "timestamp", "signature")}
    assert Oracle(SECRET).verify(heard.bodies[0], signed) == request


async def test_each_attempt_sends_the_same_bytes() -> None:
    recorder, to = Recorder(), endpoint("https://t.example/", secrets=(SECRET,))
    for seconds in (1, 500):
        await Etsi(HUB, lambda seconds=seconds: 1_800_000_000 + seconds).send(message(), to, recorder)
    assert recorder.sent[0] == recorder.sent[1]


async def test_the_registry_has_it_under_its_channel() -> None:
    speaker = Adapters(Webhook(HUB)).of(Channel.ETSI)
    assert speaker == Etsi(HUB, Webhook(HUB).clock)


async def test_what_the_standard_has_no_message_for_is_never_tried_again() -> None:
    for changes, code in (
        ({"kind": DispatchKind.STATUS}, "message.not_spoken"),
        ({"kind": DispatchKind.NOTICE}, "message.not_spoken"),
        ({"body": exchange.body("freeze")}, "message.not_spoken"),
        ({"body": exchange.body(target={"kind": "account", "value": "9990000012345"})}, "message.not_spoken"),
        ({"body": {"order_id": ORDER_ID}}, "message.malformed"),
        ({"body": exchange.body(starts_at="today")}, "message.malformed"),
        ({"id": "msg_short"}, "message.malformed"),
        ({"body": exchange.body(reference="x" * BODY_BELOW)}, "message.too_large"),
    ):
        failed = await failure(**changes)
        assert (failed.code, failed.retryable) == (code, False), code


async def test_without_a_secret_nothing_is_sent() -> None:
    recorder = Recorder()
    with pytest.raises(DeliveryFailed, match=r"endpoint\.no_secret"):
        await SPEAKER.send(message(), endpoint("https://t.example/", secrets=()), recorder)
    assert recorder.sent == []


def _response(change: Any) -> dict[str, Any]:
    made = copy.deepcopy(taken(build.request(message(), HUB)))
    change(made)
    return made


def _actions(made: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made["Payload"]["ResponsePayload"]["ActionResponses"]["ActionResponse"]
    return found


REFUSED = terms.reason(101, "no")
RESPONSES = {
    "nothing": (b"", "hi1.response_malformed"),
    "a page": (b"<html>", "hi1.response_malformed"),
    "a list": (b"[]", "hi1.response_malformed"),
    "a bomb": (b"[" * 60_000, "hi1.response_malformed"),
    "a truncated response": (messages.encode(taken(build.request(message(), HUB)))[:-9], "hi1.response_malformed"),
    "our own request": (build.request(message(), HUB), "hi1.response_malformed"),
    "another transaction": (
        _response(lambda made: made["Header"].update(TransactionIdentifier=ORDER_ID)),
        "hi1.response_foreign",
    ),
    "another sender": (
        _response(lambda made: made["Header"].update(SenderIdentifier=terms.endpoint("vinaphone"))),
        "hi1.response_foreign",
    ),
    "another receiver": (
        _response(lambda made: made["Header"].update(ReceiverIdentifier=terms.endpoint("https://other"))),
        "hi1.response_foreign",
    ),
    "refused as a whole": (
        _response(lambda made: made["Payload"].update(ResponsePayload={"ErrorInformation": REFUSED})),
        "hi1.refused",
    ),
    "one action refused": (
        _response(lambda made: _actions(made).__setitem__(4, {"ActionIdentifier": 4, "ErrorInformation": REFUSED})),
        "hi1.action_refused",
    ),
    "one action forgotten": (_response(lambda made: _actions(made).pop()), "hi1.action_unanswered"),
    "another object": (
        _response(lambda made: _actions(made)[4]["CREATEResponse"].update(Identifier=exchange.LIFT_ID)),
        "hi1.action_unanswered",
    ),
    "another verb": (
        _response(
            lambda made: _actions(made).__setitem__(
                4, {"ActionIdentifier": 4, "UPDATEResponse": {"Identifier": ORDER_ID}}
            )
        ),
        "hi1.action_unanswered",
    ),
    "answered twice": (_response(lambda made: _actions(made).append(_actions(made)[0])), "hi1.response_malformed"),
}


@pytest.mark.parametrize("name", RESPONSES)
async def test_only_a_whole_response_of_the_right_system_counts_as_received(name: str) -> None:
    answer, code = RESPONSES[name]
    failed = await failure(answer)
    assert (failed.code, failed.retryable, failed.status) == (code, True, 200)
    assert len(failed.body_head) <= 2048


async def test_a_final_status_in_the_response_is_no_answer() -> None:
    """Nobody signed it: the order is delivered, and waits for the participant's own word at the door."""
    final = terms.entry("TDTaskStatus", "Resolved")

    def finish(made: dict[str, Any]) -> None:
        task = {"@xsi:type": terms.TAKEDOWN, "ObjectIdentifier": ORDER_ID, "task:Status": final}
        _actions(made)[4]["CREATEResponse"]["HI1Object"] = task

    to = endpoint("https://t.example/", secrets=(SECRET,))
    receipt = await SPEAKER.send(message(), to, Recorder(_response(finish)))
    assert receipt.status == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values | st.fixed_dictionaries({"Header": json_values, "Payload": json_values}), st.binary(max_size=40))
def test_no_response_breaks_the_reader(value: Any, raw: bytes) -> None:
    request = build.request(message(), HUB)
    for body in (json.dumps(value).encode(), raw):
        with pytest.raises(DeliveryFailed):
            replies.check(request, body, 200)
