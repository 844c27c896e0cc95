"""The signed CloudEvent: the same bytes at every attempt, readable by any receiver, never unsigned or too large."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Oracle
from wire_servers import Authority, endpoint, says, serving

from adapters import signing, webhook
from adapters.base import DeliveryFailed, Endpoint, Message, Receipt
from adapters.notice import Mail
from adapters.registry import Adapters
from adapters.transport import Transport
from adapters.webhook import Webhook
from workflows.terms import Channel, DispatchKind

SECRET, OLDER = signing.new_secret(), signing.new_secret()
MESSAGE = Message(
    id="msg_" + "0" * 32,
    type="vn.hoatoc.order.freeze",
    kind=DispatchKind.ORDER,
    subject="8f1c2f3e-0000-4000-8000-000000000001",
    occurred_at=datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC),
    sequence=7,
    body={
        "action": "freeze",
        "amount": {"value": "150000000", "currency": "VND"},
        "agency": {"name": "Công an Hà Nội"},
    },
)
HUB = Webhook("https://hub.example")


class Unreachable:
    """A transport that must not be reached."""

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        raise AssertionError("something was sent")


class Keeper:
    """A transport that keeps what it was given."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, dict[str, str]]] = []

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        self.kept.append((content, dict(headers)))
        return Receipt(202, 0.0, b"", "127.0.0.1:443")


async def refused(message: Message, secrets: tuple[str, ...] = (SECRET,)) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await HUB.send(message, endpoint("https://bank.example/", secrets=secrets), Unreachable())
    return caught.value


async def test_a_real_receiver_with_the_official_library_accepts_the_event(tmp_path: Path) -> None:
    authority, transport = Authority(tmp_path, "authority"), Transport(allow_loopback=True)
    async with serving(says("204 No Content"), authority.issue("localhost")) as heard:
        url = f"https://localhost:{heard.port}/"
        to = endpoint(url, ca_pem=authority.pem, secrets=(SECRET, OLDER))
        assert (await HUB.send(MESSAGE, to, transport)).status == 204
        assert heard.header("hoatoc-signature") is None
        assert (await HUB.send(replace(MESSAGE, signature="e30..AA"), to, transport)).status == 204
        assert heard.header("hoatoc-signature") == "e30..AA"
        assert heard.bodies[0] == heard.bodies[1], "it stands beside the event, not in it"
        await transport.aclose()
    assert heard.header("content-type") == "application/cloudevents+json"
    signed = {f"webhook-{part}": heard.header(f"webhook-{part}") or "" for part in ("id", "timestamp", "signature")}
    assert signed["webhook-id"] == MESSAGE.id
    for secret in (SECRET, OLDER):
        event = Oracle(secret).verify(heard.bodies[0], signed)
        assert event["data"] == MESSAGE.body


def test_the_event_carries_the_required_attributes_of_cloudevents() -> None:
    assert json.loads(webhook.cloud_event(MESSAGE, "https://hub.example")) == {
        "specversion": "1.0",
        "id": MESSAGE.id,
        "source": "https://hub.example",
        "type": "vn.hoatoc.order.freeze",
        "subject": MESSAGE.subject,
        "time": "2026-11-23T01:02:03.456789Z",
        "sequence": "0000000007",
        "datacontenttype": "application/json",
        "data": MESSAGE.body,
    }


def test_the_same_message_gives_the_same_bytes_whatever_the_order_of_its_keys_or_its_zone() -> None:
    turned = dict(reversed(list(MESSAGE.body.items())))
    hanoi = MESSAGE.occurred_at.astimezone(timezone(timedelta(hours=7)))
    again = replace(MESSAGE, body=turned, occurred_at=hanoi)
    assert webhook.cloud_event(again, "hub") == webhook.cloud_event(MESSAGE, "hub")


texts = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(texts, json_values, max_size=4),
    st.sampled_from(DispatchKind),
    st.integers(0, 2**31),
    st.datetimes(timezones=st.just(UTC)),
)
def test_what_is_written_is_read_back(body: dict[str, Any], kind: DispatchKind, sequence: int, at: datetime) -> None:
    sent = Message("msg_1", f"vn.hoatoc.{kind}.something", kind, "subject", at, sequence, body)
    assert webhook.parse(webhook.cloud_event(sent, "hub")) == sent


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"[]", b"{}", b"[" * 100_000),
        *(b'{"specversion":"1.0"}', b'{"specversion":"1.0","data":[]}', b'{"specversion":"0.3","data":{}}'),
    ],
)
def test_what_is_no_event_is_refused(content: bytes) -> None:
    with pytest.raises(webhook.EventInvalid):
        webhook.parse(content)


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"specversion": "0.3"},
            {"data": []},
            {"id": None},
            {"id": 7},
            {"subject": ""},
            {"type": "com.example.order"},
            {"type": "vn.hoatoc.joke.freeze"},
        ),
        *({"time": "yesterday"}, {"time": "2026-11-23T01:02:03"}, {"sequence": "first"}, {"sequence": 7}),
    ],
)
def test_an_event_with_a_wrong_attribute_is_refused(change: dict[str, Any]) -> None:
    event = json.loads(webhook.cloud_event(MESSAGE, "hub")) | change
    with pytest.raises(webhook.EventInvalid):
        webhook.parse(json.dumps(event).encode())


async def test_an_unsigned_order_is_never_sent() -> None:
    failed = await refused(MESSAGE, secrets=())
    assert (failed.code, failed.retryable) == ("endpoint.no_secret", True)


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}])
async def test_a_body_that_is_not_json_is_never_sent(body: dict[str, Any]) -> None:
    failed = await refused(replace(MESSAGE, body=body))
    assert (failed.code, failed.retryable) == ("message.malformed", False)


async def test_an_instant_without_a_zone_is_never_sent() -> None:
    assert (await refused(replace(MESSAGE, occurred_at=datetime(2026, 1, 1)))).code == "message.malformed"  # noqa: DTZ001


@pytest.mark.parametrize(("excess", "goes"), [(-1, True), (0, False)])
async def test_a_body_stays_under_20_kb(excess: int, goes: bool) -> None:
    empty = len(webhook.cloud_event(replace(MESSAGE, body={"a": ""}), HUB.source))
    message = replace(MESSAGE, body={"a": "x" * (20_000 - empty + excess)})
    if goes:
        with pytest.raises(AssertionError, match="something was sent"):
            await refused(message)
    else:
        failed = await refused(message)
        assert (failed.code, failed.retryable) == ("message.too_large", False)


def test_the_registry_knows_who_speaks_on_a_channel_and_that_nobody_speaks_on_pull() -> None:
    mail = Mail("localhost", 25, "hub@hub.example", security="none")
    known = Adapters(HUB, mail)
    assert known.of(Channel.WEBHOOK) is HUB
    assert known.of(Channel.EMAIL) is mail
    for adapters, channel in ((known, Channel.PULL), (Adapters(HUB), Channel.EMAIL)):
        with pytest.raises(DeliveryFailed) as caught:
            adapters.of(channel)
        assert caught.value.code == "channel.unavailable"


@given(sizes=st.lists(st.integers(0, 25_000), max_size=40))
async def test_a_batch_is_below_twenty_kilobytes_and_loses_nothing(sizes: list[int]) -> None:
    messages = [replace(MESSAGE, id=f"msg_{at}", body={"t": "x" * size}) for at, size in enumerate(sizes)]
    batches = HUB.batches(messages)
    assert [message for batch in batches for message in batch] == messages
    sent = Keeper()
    for batch in batches:
        if len(batch) > 1:
            await HUB.send_batch(batch, endpoint("https://bank.example/", secrets=(SECRET, OLDER)), sent)
    for content, headers in sent.kept:
        assert len(content) < 20_000
        assert headers["Content-Type"] == "application/cloudevents-batch+json"
        for secret in (SECRET, OLDER):
            Oracle(secret).verify(content, dict(headers))
    # As few calls as their order allows: what a batch has no room for would have made it too large.
    for batch, after in itertools.pairwise(batches):
        both = [webhook.cloud_event(message, HUB.source) for message in (*batch, after[0])]
        assert sum(map(len, both)) + len(both) + 1 >= 20_000


def test_a_batch_has_a_hundred_events_at_most() -> None:
    many = [replace(MESSAGE, id=f"msg_{at}", body={}, signature="a..b") for at in range(201)]
    small = [replace(one, type="t", subject="s", signature=None) for one in many]
    content = max(len(webhook.cloud_event(one, "h")) for one in small)
    assert content * 100 < 20_000
    assert [len(batch) for batch in Webhook("h").batches(small)] == [100, 100, 1]


async def test_a_batch_is_named_after_what_is_in_it_and_each_order_has_its_own_signature() -> None:
    one, two = replace(MESSAGE, id="msg_1", signature="a..b"), replace(MESSAGE, id="msg_2")
    sent = Keeper()
    for batch in ([one, two], [one, two], [two, one]):
        await HUB.send_batch(batch, endpoint("https://bank.example/", secrets=(SECRET,)), sent)
    names = [headers["webhook-id"] for _, headers in sent.kept]
    assert names[0] == names[1] != names[2] and names[0].startswith("batch_")
    events = json.loads(sent.kept[0][0])
    assert [event.get("hoatocsignature") for event in events] == ["a..b", None]
    alone = json.loads(webhook.cloud_event(one, HUB.source))
    assert {name: value for name, value in events[0].items() if name != "hoatocsignature"} == alone
    assert "Hoatoc-Signature" not in sent.kept[0][1]


async def test_nothing_is_sent_unsigned_in_a_batch_either() -> None:
    with pytest.raises(DeliveryFailed) as caught:
        await HUB.send_batch([MESSAGE, MESSAGE], endpoint("https://bank.example/"), Unreachable())
    assert caught.value.code == "endpoint.no_secret"
