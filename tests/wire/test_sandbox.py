"""A sandbox participant over real HTTPS in each of its forms, with a tiny hub over real HTTP that records answers."""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import etsi_exchange
import iso_orders
import pytest
import rfc8785
from joserfc import jws, jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from wire_servers import endpoint

from adapters import signing
from adapters.answers import Answer
from adapters.base import DeliveryFailed, Message, Receipt
from adapters.etsi import answering
from adapters.etsi import parse as hi1
from adapters.etsi.adapter import Etsi
from adapters.iso20022 import parse as business
from adapters.iso20022.adapter import Iso20022
from adapters.iso20022.sign import SignatureInvalid
from adapters.sandbox import business as business_form
from adapters.sandbox import hub as sandbox_hub
from adapters.sandbox import inbox as sandbox_inbox
from adapters.sandbox import signatures, statement
from adapters.sandbox.behaviour import (
    Behaviour,
    Flapping,
    Half,
    Hostile,
    Late,
    Partial,
    Ported,
    Prompt,
    Refusing,
    Silent,
    Slow,
    Trick,
)
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.server import EmbeddedServer
from adapters.sandbox.tls import SandboxTls
from adapters.transport import Transport
from adapters.webhook import Webhook, cloud_event
from workflows.terms import Channel, DispatchKind, RefusalCode, Sector

SECRET, HUB = signing.new_secret(), "https://hub.example"
KEY, SIGNING_KEY, ORDER_KEY = (ECKey.generate_key("P-256") for _ in range(3))
LENIENT = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
ACCOUNT = "0990000000001"  # made up
FULL = {"outcome": "executed", "amount_held": {"value": "150000000", "currency": "VND"}}


@dataclass
class FakeHub:
    """Issues tokens for one key, records acknowledgements, and may fail the first few of them."""

    assertions: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    proofs: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    signing_keys_asked: int = 0
    signing_keys_down: bool = False
    failing: list[int] = field(default_factory=list)
    # What came by the doors of the standards, and what lies in the inbox and was confirmed.
    messages: list[bytes] = field(default_factory=list)
    inbox: list[Message] = field(default_factory=list)
    confirmed: list[int] = field(default_factory=list)
    streams: int = 0
    hi1_error: bool = False
    url: str = ""

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if (form["grant_type"], form["client_assertion_type"]) != ("client_credentials", sandbox_hub.ASSERTION_TYPE):
            return Response(status_code=400)
        assertion = form["client_assertion"]
        claims = jwt.decode(assertion, KEY, algorithms=["ES256"]).claims
        self.assertions.append((jws.extract_compact(assertion.encode()).headers(), claims))
        token = {"access_token": f"token-{len(self.assertions)}", "token_type": "DPoP", "expires_in": 300}
        return JSONResponse(token)

    async def acknowledge(self, request: Request) -> Response:
        self.keys.append(request.headers["idempotency-key"])
        if request.headers["authorization"] != f"DPoP token-{len(self.assertions)}":
            return Response(status_code=401)
        proof = request.headers["dpop"]
        self.proofs.append((jws.extract_compact(proof.encode()).headers(), jwt.decode(proof, KEY).claims))
        self.bodies.append(await request.body())
        self.signatures.append(request.headers["hoatoc-signature"])
        if self.failing:
            return Response(status_code=self.failing.pop(0))
        self.answers.append((request.path_params["order"], await request.json()))
        return JSONResponse({}, status_code=201)

    async def business_message(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/xml"
        self.messages.append(await request.body())
        return JSONResponse({}, status_code=201)

    async def hi1(self, request: Request) -> Response:
        self.messages.append(await request.body())
        self.signatures.append(request.headers["hoatoc-signature"])
        return JSONResponse({"ErrorInformation": {}} if self.hi1_error else {})

    async def orders(self, request: Request) -> Response:
        after = int(request.query_params["after"])
        self.confirmed.append(after)
        if self.failing:
            return Response(status_code=self.failing.pop(0))
        items = [_item(position, message) for position, message in enumerate(self.inbox, start=1) if position > after]
        if not items:
            await asyncio.sleep(0.01)
        return JSONResponse({"items": items, "next": len(self.inbox)})

    async def stream(self, _: Request) -> Response:
        self.streams += 1
        if self.failing:
            return Response(status_code=self.failing.pop(0))
        left = max(self.confirmed, default=0)

        async def events() -> AsyncIterator[str]:
            yield "retry: 2000\n\n:\n\n"
            for position, message in enumerate(self.inbox, start=1):
                if position > left:
                    yield f"id: {position}\ndata: {json.dumps(_item(position, message))}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def signing_keys(self, _: Request) -> Response:
        self.signing_keys_asked += 1
        if self.signing_keys_down:
            return Response(status_code=503)
        public = ORDER_KEY.as_dict(private=False)
        return JSONResponse({"keys": [{**public, "kid": ORDER_KEY.thumbprint(), "state": "current"}]})


def _item(position: int, message: Message) -> dict[str, Any]:
    return {
        "position": position,
        "id": message.id,
        "type": message.type,
        "subject": message.subject,
        "occurred_at": message.occurred_at.isoformat(),
        "sequence": message.sequence,
        "body": message.body,
        "signature": message.signature,
    }


def digest(raw: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


class Events:
    """What the sandbox told, and a way to wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.told.append((kind, data))
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    def count(self, kind: str) -> int:
        return sum(1 for told, _ in self.told if told == kind)

    async def until(self, kind: str, times: int = 1) -> None:
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: self.count(kind) >= times)


@dataclass
class Scene:
    """One sandbox, its hub, and the hub's side of the wire."""

    sandbox: Sandbox
    hub: FakeHub
    events: Events
    transport: Transport
    ca_pem: str

    async def send(self, message: Message, secret: str = SECRET) -> Receipt:
        to = endpoint(self.sandbox.url, ca_pem=self.ca_pem, secrets=(secret,))
        return await Webhook("https://hub.example").send(message, to, self.transport)

    async def send_iso(self, message: Message, key: ECKey | None = None, kid: str | None = None) -> Receipt:
        key = key or ORDER_KEY
        named = kid or key.thumbprint()
        adapter = Iso20022(HUB, lambda _: (named, key.private_key))  # type: ignore[arg-type,return-value]
        return await adapter.send(message, endpoint(self.sandbox.url, ca_pem=self.ca_pem), self.transport)

    async def send_etsi(self, message: Message, secret: str = SECRET) -> Receipt:
        to = endpoint(self.sandbox.url, ca_pem=self.ca_pem, secrets=(secret,))
        return await Etsi(HUB).send(message, to, self.transport)

    async def send_batch(self, *messages: Message) -> Receipt:
        to = endpoint(self.sandbox.url, ca_pem=self.ca_pem, secrets=(SECRET,))
        return await Webhook(HUB).send_batch(messages, to, self.transport)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Receipt:
        to = endpoint(self.sandbox.url, ca_pem=self.ca_pem)
        return await self.transport.post(to.url, content=body, headers=headers, endpoint=to)


Play = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Play]:
    monkeypatch.setattr(sandbox_hub, "WAITS", (0.0, 0.0, 0.0))
    fake, tls, transport = FakeHub(), SandboxTls(tmp_path / "tls"), Transport(allow_loopback=True)
    app = Starlette(
        routes=[
            Route("/oauth/token", fake.token, methods=["POST"]),
            Route("/v1/orders/{order}/acknowledgements", fake.acknowledge, methods=["POST"]),
            Route("/v1/signing-keys", fake.signing_keys),
            Route("/v1/iso20022", fake.business_message, methods=["POST"]),
            Route("/v1/etsi", fake.hi1, methods=["POST"]),
            Route("/v1/orders", fake.orders),
            Route("/v1/orders/stream", fake.stream),
        ]
    )
    hub_server = EmbeddedServer(app, 0)
    await hub_server.start()
    fake.url = f"http://127.0.0.1:{hub_server.port}"
    started: list[Sandbox] = []

    async def begin(
        behaviour: Behaviour,
        balances: Mapping[str, int] | None = None,
        *,
        name: str = "bank A",
        speaks: Channel = Channel.WEBHOOK,
        **how: bool,
    ) -> Scene:
        events = Events()
        sandbox = Sandbox(
            name,
            Sector.BANK,
            behaviour,
            0,
            fake.url,
            "client-a",
            KEY.as_dict(private=True),
            SECRET,
            tls,
            events,
            issuer=HUB,
            signing_key=SIGNING_KEY.as_dict(private=True),
            balances=balances,
            speaks=speaks,
            **how,
        )
        await sandbox.start()
        started.append(sandbox)
        return Scene(sandbox, fake, events, transport, tls.ca_pem)

    yield begin
    await transport.aclose()
    for sandbox in started:
        await sandbox.stop()
    await hub_server.stop()


def order(
    order_id: str = "order-1", action: str = "freeze", *, number: int = 1, sequence: int = 1, **body: Any
) -> Message:
    content = {
        "order_id": order_id,
        "request_id": "request-1",
        "reference": "HT-261123-7K3MQ",
        "action": action,
        "sequence": sequence,
        "target": {"kind": "account", "value": ACCOUNT},
        "amount": {"value": "150000000", "currency": "VND"},
        "ends_at": "2026-11-26T00:00:00Z",
        "answer_url": f"/v1/orders/{order_id}/acknowledgements",
    } | body
    at = datetime(2026, 11, 23, tzinfo=UTC)
    signature = signatures.sign(ORDER_KEY, signatures.ORDER, json.dumps(content).encode(), order_id, None)
    return Message(
        f"msg_{number:032x}",
        f"vn.hoatoc.order.{action}",
        DispatchKind.ORDER,
        order_id,
        at,
        sequence,
        content,
        signature,
    )


def lift(order_id: str, lifts: str | None, *, number: int, sequence: int) -> Message:
    return order(order_id, "lift", number=number, sequence=sequence, lifts_order_id=lifts, amount=None)


async def test_a_prompt_bank_executes_a_freeze_in_full(play: Play) -> None:
    scene = await play(Prompt())
    assert (await scene.send(order())).status == 202
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", FULL)]
    assert scene.sandbox.ledger.held(ACCOUNT) == 150_000_000
    told = dict(scene.events.told)
    assert told["executed"] == {
        "participant": "bank A",
        "order_id": "order-1",
        "reference": "HT-261123-7K3MQ",
        "action": "freeze",
        "target": ACCOUNT,
        "amount_held": 150_000_000,
    }


async def test_the_token_is_fetched_once_with_an_assertion_of_exactly_the_agreed_shape(play: Play) -> None:
    scene = await play(Prompt())
    for number in (1, 2):
        await scene.send(order(f"order-{number}", number=number))
    await scene.events.until("answered", 2)
    ((header, claims),) = scene.hub.assertions
    assert header == {"alg": "ES256", "typ": "JWT", "kid": KEY.thumbprint()}
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("client-a", "client-a", "https://hub.example")
    assert abs(claims["iat"] - time.time()) < 10
    assert 0 < claims["exp"] - claims["iat"] <= 300


async def test_each_answer_carries_a_proof_for_just_this_call_and_each_attempt_a_fresh_one(play: Play) -> None:
    scene = await play(Prompt())
    scene.hub.failing = [503]
    await scene.send(order())
    await scene.events.until("answered")
    for (header, claims), body in zip(scene.hub.proofs, scene.hub.bodies, strict=True):
        public = KEY.as_dict(private=False)
        assert header["jwk"] == {name: public[name] for name in ("kty", "crv", "x", "y")}
        assert {**header, "jwk": 0} == {"alg": "ES256", "typ": "dpop+jwt", "jwk": 0}
        assert (claims["htm"], claims["htu"]) == ("POST", "https://hub.example/v1/orders/order-1/acknowledgements")
        assert (claims["ath"], claims["bsh"]) == (digest(b"token-1"), digest(body))
        assert abs(claims["iat"] - time.time()) < 10
        assert set(claims) == {"htm", "htu", "iat", "jti", "ath", "bsh"}
    assert len({claims["jti"] for _, claims in scene.hub.proofs}) == 2


async def test_a_duplicate_delivery_has_one_effect(play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(order())
    await scene.events.until("answered")
    assert (await scene.send(order())).status == 200
    # A reminder under an id of its own is answered again, and still one hold.
    await scene.send(order(number=2))
    await scene.events.until("answered", 2)
    assert scene.events.count("duplicate") == 1
    assert scene.hub.answers == [("order-1", FULL)] * 2
    assert scene.sandbox.ledger.held(ACCOUNT) == 150_000_000


async def test_a_bad_signature_gets_401_and_has_no_effect(play: Play) -> None:
    scene = await play(Prompt())
    with pytest.raises(DeliveryFailed) as caught:
        await scene.send(order(), secret=signing.new_secret())
    assert caught.value.code == "http.401"
    assert scene.events.told == [("signature_refused", {"participant": "bank A", "reason": "signature_unknown"})]
    # The refused delivery does not count as seen: the rightly signed one still goes through.
    assert (await scene.send(order())).status == 202


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda true: {"signature": None}, "missing"),
        (lambda true: {"signature": "x"}, "malformed"),
        (lambda true: {"signature": order("order-2").signature}, "about"),
        (lambda true: {"body": {**true.body, "amount": {"value": "1", "currency": "VND"}}}, "invalid"),
        (lambda true: {"signature": signed_by(KEY)}, "key_unknown"),
        (lambda true: {"signature": signed_by(ORDER_KEY, typ=signatures.ANSWER)}, "about"),
    ],
    ids=["none", "no signature", "another order's", "another body", "another's key", "an answer's"],
)
async def test_an_order_that_the_hub_itself_did_not_sign_gets_401_and_has_no_effect(
    change: Callable[[Message], dict[str, Any]], reason: str, play: Play
) -> None:
    """The webhook's secret is known to both sides; the hub's own signature is nobody else's."""
    scene = await play(Prompt())
    with pytest.raises(DeliveryFailed) as caught:
        await scene.send(replace(order(), **change(order())))
    assert caught.value.code == "http.401"
    [(kind, told)] = scene.events.told
    assert (kind, told["reason"]) == ("signature_refused", f"order.{reason}")
    assert scene.sandbox.ledger.holds == {}
    assert (await scene.send(order())).status == 202


def signed_by(key: ECKey, typ: str = signatures.ORDER) -> str:
    return signatures.sign(key, typ, json.dumps(dict(order().body)).encode(), "order-1", None)


async def test_the_hubs_keys_are_fetched_once_and_an_order_waits_while_they_cannot_be(play: Play) -> None:
    scene = await play(Prompt())
    scene.hub.signing_keys_down = True
    with pytest.raises(DeliveryFailed) as caught:
        await scene.send(order())
    assert caught.value.code == "http.503" and scene.events.told == []
    scene.hub.signing_keys_down = False
    for number in (1, 2, 3):
        await scene.send(order(f"order-{number}", number=number))
    assert scene.hub.signing_keys_asked == 2


async def test_each_attempt_at_an_answer_is_signed_anew_over_what_it_says(play: Play) -> None:
    scene = await play(Prompt())
    scene.hub.failing = [503]
    await scene.send(order())
    await scene.events.until("answered")
    for text, body in zip(scene.hub.signatures, scene.hub.bodies, strict=True):
        header, _, signature = text.partition("..")
        payload = base64.urlsafe_b64encode(rfc8785.dumps(json.loads(body))).rstrip(b"=").decode()
        verified = jws.deserialize_compact(f"{header}.{payload}.{signature}", SIGNING_KEY, registry=LENIENT)
        said = verified.headers()
        assert {**said, "iat": 0, "jti": ""} == {
            "alg": "ES256",
            "typ": "hoatoc-answer+jws",
            "kid": SIGNING_KEY.thumbprint(),
            "iat": 0,
            "jti": "",
            "sub": "order-1",
            "aud": "https://hub.example",
        }
        assert abs(said["iat"] - time.time()) < 10
    assert len(set(scene.hub.signatures)) == 2


async def test_an_old_signature_gets_401(play: Play) -> None:
    scene = await play(Prompt())
    content, sent_at = cloud_event(order(), "hub"), int(time.time()) - 301
    signature = signing.sign([SECRET], "msg_1", sent_at, content)
    with pytest.raises(DeliveryFailed) as caught:
        await scene.post(
            content, {"webhook-id": "msg_1", "webhook-timestamp": str(sent_at), "webhook-signature": signature}
        )
    assert caught.value.code == "http.401"
    assert scene.sandbox.ledger.holds == {}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"nonsense", 400),
        (cloud_event(order(target=None), "hub"), 400),
        (cloud_event(order(answer_url="http://elsewhere.example/"), "hub"), 400),
        (b" " * 65_537, 413),
    ],
    ids=["no JSON", "no target", "an answer to elsewhere", "too large"],
)
async def test_a_signed_body_that_is_no_order_is_refused(content: bytes, status: int, play: Play) -> None:
    scene = await play(Prompt())
    sent_at = int(time.time())
    signature = signing.sign([SECRET], "msg_1", sent_at, content)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(sent_at), "webhook-signature": signature}
    with pytest.raises(DeliveryFailed) as caught:
        await scene.post(content, headers)
    assert caught.value.status == status
    assert scene.events.count("received") == 0


@pytest.mark.parametrize(
    ("lift_order", "outcome"),
    [("order-2", "executed"), ("order-1", "lifted")],
    ids=["a lift with a request of its own", "a hold that reached its end"],
)
async def test_a_lift_ends_its_own_hold_and_is_confirmed(lift_order: str, outcome: str, play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(order())
    await scene.send(order("order-other", number=2, sequence=2))
    await scene.events.until("answered", 2)
    await scene.send(lift(lift_order, "order-1", number=3, sequence=3))
    await scene.events.until("answered", 3)
    assert scene.hub.answers[-1] == (lift_order, {"outcome": outcome})
    # Holds are independent: the other one on the same account stands.
    assert set(scene.sandbox.ledger.holds) == {"order-other"}


async def test_a_freeze_that_arrives_after_its_lift_does_not_revive_the_hold(play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(lift("order-2", "order-1", number=2, sequence=2))
    await scene.events.until("answered")
    await scene.send(order(number=1, sequence=1))
    await scene.events.until("out_of_order")
    assert scene.sandbox.ledger.holds == {}
    assert [answered for answered, _ in scene.hub.answers] == ["order-2"]


async def test_a_lift_overtakes_a_slow_freeze_for_good(play: Play) -> None:
    scene = await play(Slow(0.1))
    await scene.send(order())
    await scene.events.until("answered")
    await scene.send(lift("order-1", None, number=2, sequence=2))
    await scene.events.until("out_of_order")
    assert scene.sandbox.ledger.holds == {}
    assert [answer["outcome"] for _, answer in scene.hub.answers] == ["received", "lifted"]


async def test_a_freeze_of_more_than_the_balance_is_partly_executed_and_a_top_up_is_reported(play: Play) -> None:
    scene = await play(Prompt(), balances={ACCOUNT: 40_000_000})
    await scene.send(order())
    await scene.events.until("answered")
    for amount in (60_000_000, 100_000_000, 5):
        await scene.sandbox.top_up(ACCOUNT, amount)
    held = [answer["amount_held"]["value"] for _, answer in scene.hub.answers]
    assert held == ["40000000", "100000000", "150000000"]


async def test_a_question_is_answered_by_what_is_held_now_and_changes_nothing(play: Play) -> None:
    scene = await play(Partial(first=70_000_000))
    await scene.send(order())
    await scene.events.until("answered")
    await scene.send(order(action="read_back", number=2, sequence=2))
    await scene.events.until("answered", 2)
    await scene.send(order("order-9", "read_back", number=3, sequence=2))
    await scene.events.until("answered", 3)
    part = {"outcome": "executed", "amount_held": {"value": "70000000", "currency": "VND"}}
    assert scene.hub.answers == [("order-1", part), ("order-1", part), ("order-9", {"outcome": "lifted"})]
    assert [data["amount_held"] for kind, data in scene.events.told if kind == "asked"] == [70_000_000, 0]
    assert scene.sandbox.ledger.held(ACCOUNT) == 70_000_000


async def test_the_end_of_a_silence_is_told_and_not_answered(play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(order("ask-1", "silence_ended", number=1, amount=None, asked=["holder_name"], confidential=False))
    await scene.events.until("silence_ended")
    # What is ordered after it is treated, and is all that is answered.
    await scene.send(order(number=2))
    await scene.events.until("answered")
    assert [order_id for order_id, _ in scene.hub.answers] == ["order-1"]


async def test_a_recall_sends_back_what_is_free_once_and_refuses_when_nothing_is_left(play: Play) -> None:
    scene = await play(Prompt(), balances={ACCOUNT: 92_500_000})
    for number in (1, 2):
        await scene.send(order("recall-1", "recall", number=number))
        await scene.events.until("answered", number)
    await scene.send(order("recall-2", "recall", number=3))
    await scene.events.until("answered", 3)
    back = {"outcome": "executed", "amount_returned": {"value": "92500000", "currency": "VND"}}
    assert [answer for _, answer in scene.hub.answers] == [
        back,
        back,
        {"outcome": "refused", "refusal_code": "already_paid_out"},
    ]
    assert scene.sandbox.ledger.balances[ACCOUNT] == 0


async def test_a_disclosure_is_answered_with_what_is_asked_and_the_event_names_nobody(play: Play) -> None:
    scene = await play(Prompt())
    asked = ["holder_name", "contact_email", "opened_on"]
    await scene.send(order("ask-1", "disclose", amount=None, asked=asked, confidential=True))
    await scene.events.until("answered")
    [(_, answer)] = scene.hub.answers
    assert answer == {
        "outcome": "executed",
        "disclosed": {"holder_name": "NGUYEN VAN MAU", "opened_on": "2024-05-06"},
    }
    assert "NGUYEN" not in str(scene.events.told)


WINDOW = {"since": "2026-11-21T00:00:00Z", "until": "2026-11-23T00:00:00Z"}


async def test_a_trace_is_answered_from_within_its_window_and_the_event_names_no_account(play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(order("ask-1", "trace", amount=None, window=WINDOW, confidential=True))
    await scene.events.until("answered")
    [(_, answer)] = scene.hub.answers
    moved = answer["traced"]["movements"]
    amounts = [int(each["amount"]["value"]) for each in moved]
    assert len(moved) == 4 and amounts == sorted(amounts, reverse=True) and not answer["traced"]["has_more"]
    assert all(WINDOW["since"] <= each["at"] <= WINDOW["until"] for each in moved)
    assert {each["direction"] for each in moved} == {"in", "out"}
    assert "9704000000001" in str(answer) and "97040000" not in str(scene.events.told)


async def test_a_trace_without_a_window_is_no_order(play: Play) -> None:
    scene = await play(Prompt())
    with pytest.raises(DeliveryFailed):
        await scene.send(order("ask-1", "trace", amount=None))
    assert scene.hub.answers == []


async def test_a_partial_bank_holds_a_part_then_more_by_itself_and_only_once(play: Play) -> None:
    scene = await play(Partial(first=90_000_000, more=60_000_000, after=0.0))
    await scene.send(order())
    await scene.events.until("answered", 2)
    for reminder in (2, 3):
        await scene.send(order(number=reminder))
        await scene.events.until("answered", reminder + 1)
    held = [answer["amount_held"]["value"] for _, answer in scene.hub.answers]
    assert held == ["90000000", "150000000", "150000000", "150000000"]
    assert scene.sandbox.ledger.balances[ACCOUNT] == 150_000_000


async def test_a_whole_account_is_held_with_all_that_comes_in(play: Play) -> None:
    scene = await play(Prompt(), balances={ACCOUNT: 7})
    await scene.send(order(amount={"value": "3", "currency": "VND"}, whole_account=True))
    await scene.events.until("answered")
    await scene.sandbox.top_up(ACCOUNT, 5)
    assert [answer["amount_held"]["value"] for _, answer in scene.hub.answers] == ["7", "12"]


async def test_two_holds_on_one_account_never_hold_the_same_money(play: Play) -> None:
    scene = await play(Prompt(), balances={ACCOUNT: 200_000_000})
    for number in (1, 2, 3):
        await scene.send(order(f"order-{number}", number=number, sequence=number))
        await scene.events.until("answered", number)
    assert [answer.get("amount_held", answer.get("refusal_code")) for _, answer in scene.hub.answers] == [
        {"value": "150000000", "currency": "VND"},
        {"value": "50000000", "currency": "VND"},
        "no_balance",
    ]


async def test_money_that_comes_in_fills_the_oldest_hold_first_and_is_counted_once(play: Play) -> None:
    scene = await play(Prompt(), balances={ACCOUNT: 100})
    for number, message in enumerate(
        [
            order("order-1", amount={"value": "60", "currency": "VND"}),
            order("order-2", number=2, sequence=2, amount={"value": "150", "currency": "VND"}),
            lift("order-3", "order-1", number=3, sequence=3),
            order("order-4", number=4, sequence=4, amount={"value": "150", "currency": "VND"}),
        ],
        start=1,
    ):
        await scene.send(message)
        await scene.events.until("answered", number)
    await scene.sandbox.top_up(ACCOUNT, 120)
    held = {order_id: hold.held for order_id, hold in scene.sandbox.ledger.holds.items()}
    assert held == {"order-2": 150, "order-4": 70}


async def test_an_extension_moves_the_end_and_an_older_one_does_not_move_it_back(play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(order())
    await scene.events.until("answered")
    for number, sequence, day in ((2, 5, 28), (3, 4, 27)):
        ends_at = f"2026-11-{day}T00:00:00Z"
        message = order(
            f"order-{number}", "extend", number=number, sequence=sequence, extends_order_id="order-1", ends_at=ends_at
        )
        await scene.send(message)
        await scene.events.until("answered", number)
    assert scene.sandbox.ledger.holds["order-1"].ends_at == "2026-11-28T00:00:00Z"
    await scene.send(order("order-4", "extend", number=4, extends_order_id="unknown"))
    await scene.events.until("answered", 4)
    assert scene.hub.answers[-1][1] == {"outcome": "refused", "refusal_code": "target_not_found"}


async def test_a_takedown_is_executed_without_an_amount_and_can_be_lifted(play: Play) -> None:
    scene = await play(Prompt())
    await scene.send(order(action="takedown", amount=None, target={"kind": "domain", "value": "scam.example"}))
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", {"outcome": "executed"})]
    assert scene.sandbox.ledger.blocked == {"order-1": "scam.example"}
    await scene.send(lift("order-2", "order-1", number=2, sequence=2))
    await scene.events.until("answered", 2)
    assert scene.sandbox.ledger.blocked == {}


async def test_a_slow_bank_says_received_first(play: Play) -> None:
    scene = await play(Slow(0.05))
    await scene.send(order())
    await scene.events.until("answered", 2)
    assert [answer["outcome"] for _, answer in scene.hub.answers] == ["received", "executed"]


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        (Refusing(RefusalCode.HOLDER_MISMATCH), {"outcome": "refused", "refusal_code": "holder_mismatch"}),
        (
            Refusing(RefusalCode.HOLDER_MISMATCH, frozenset({ACCOUNT})),
            {"outcome": "refused", "refusal_code": "holder_mismatch"},
        ),
        (Refusing(RefusalCode.HOLDER_MISMATCH, frozenset({"other"})), FULL),
        (Ported("telecom-x"), {"outcome": "not_mine", "ported_to": "telecom-x"}),
        (Ported("telecom-x", frozenset({"other"})), FULL),
    ],
)
async def test_a_participant_refuses_or_points_elsewhere_for_the_named_targets(
    behaviour: Behaviour, answer: dict[str, Any], play: Play
) -> None:
    scene = await play(behaviour)
    await scene.send(order())
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", answer)]
    assert bool(scene.sandbox.ledger.holds) is (answer == FULL)


async def test_a_silent_bank_takes_everything_and_answers_nothing(play: Play) -> None:
    silent, prompt = await play(Silent()), await play(Prompt())
    assert (await silent.send(order())).status == 202
    assert (await silent.send(lift("order-2", "order-1", number=2, sequence=2))).status == 202
    await prompt.send(order("order-9"))
    await prompt.events.until("answered")
    assert [answered for answered, _ in silent.hub.answers] == ["order-9"]
    assert [kind for kind, _ in silent.events.told] == ["received", "received"]


async def test_a_notice_is_taken_and_not_treated_as_an_order(play: Play) -> None:
    scene = await play(Prompt())
    notice = Message(
        "msg_9",
        "vn.hoatoc.notice.escalation",
        DispatchKind.NOTICE,
        "order-1",
        datetime(2026, 11, 23, tzinfo=UTC),
        1,
        {"text": "late"},
    )
    assert (await scene.send(notice)).status == 202
    assert scene.events.told == [("notice", {"participant": "bank A", "type": "vn.hoatoc.notice.escalation"})]


async def test_an_answer_is_repeated_under_one_key_until_the_hub_takes_it(play: Play) -> None:
    scene = await play(Prompt())
    scene.hub.failing = [503, 429, 401]
    await scene.send(order())
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", FULL)]
    assert (len(scene.hub.keys), len(set(scene.hub.keys))) == (4, 1)
    # The 401 cost the token.
    assert len(scene.hub.assertions) == 2


@pytest.mark.parametrize(("failing", "attempts"), [([404], 1), ([500] * 9, 4)])
async def test_an_answer_that_the_hub_will_not_take_is_told(failing: list[int], attempts: int, play: Play) -> None:
    scene = await play(Prompt())
    code = f"http.{failing[0]}"
    scene.hub.failing = failing
    await scene.send(order())
    await scene.events.until("answer_failed")
    assert scene.events.told[-1][1]["code"] == code
    assert len(scene.hub.keys) == attempts


async def test_half_of_a_freeze_is_held_at_first_and_the_rest_by_itself(play: Play) -> None:
    scene = await play(Half(after=0.0))
    await scene.send(order())
    await scene.events.until("answered", 2)
    held = [answer["amount_held"]["value"] for _, answer in scene.hub.answers]
    assert held == ["75000000", "150000000"]
    assert scene.sandbox.ledger.held(ACCOUNT) == 150_000_000


async def test_half_of_a_whole_account_is_half_of_its_balance(play: Play) -> None:
    scene = await play(Half(after=0.0), balances={ACCOUNT: 11})
    await scene.send(order(whole_account=True))
    await scene.events.until("answered", 2)
    assert [answer["amount_held"]["value"] for _, answer in scene.hub.answers] == ["5", "11"]


@pytest.mark.parametrize(("seconds", "is_missed"), [(-0.2, False), (0.05, True)])
async def test_a_late_bank_executes_just_before_or_after_its_execute_deadline(
    seconds: float, is_missed: bool, play: Play
) -> None:
    scene = await play(Late(seconds))
    due = datetime.now(UTC) + timedelta(seconds=0.4)
    clocks = [{"stage": "receipt", "due_at": "2026-01-01T00:00:00Z"}, {"stage": "execute", "due_at": due.isoformat()}]
    await scene.send(order(deadlines=clocks))
    await scene.events.until("executed")
    assert (datetime.now(UTC) > due) is is_missed
    await scene.events.until("answered", 2)
    assert [answer["outcome"] for _, answer in scene.hub.answers] == ["received", "executed"]


async def test_a_flapping_bank_takes_every_other_call_and_answers_what_it_took(play: Play) -> None:
    scene = await play(Flapping())
    statuses = []
    for number in (1, 1, 2, 2):
        try:
            statuses.append((await scene.send(order(f"order-{number}", number=number))).status)
        except DeliveryFailed as failed:
            statuses.append(failed.status or 0)
    assert statuses == [503, 202, 503, 202]
    await scene.events.until("answered", 2)
    assert scene.hub.answers == [("order-1", FULL), ("order-2", FULL)]


@pytest.mark.parametrize(
    ("trick", "code"),
    [
        (Trick.REDIRECT, "http.redirect"),
        (Trick.STATUS, "http.418"),
        (Trick.ENDLESS, "answer.too_large"),
    ],
)
async def test_a_hostile_answer_to_a_call_is_no_receipt(trick: Trick, code: str, play: Play) -> None:
    scene = await play(Hostile((trick,)))
    with pytest.raises(DeliveryFailed) as caught:
        await scene.send(order())
    assert caught.value.code == code
    assert scene.events.told == [("lied", {"participant": "bank A", "trick": trick})]


async def test_garbage_is_a_receipt_of_an_event_and_none_of_an_hi1_request(play: Play) -> None:
    hostile = Hostile((Trick.GARBAGE,))
    assert (await (await play(hostile)).send(order())).status == 200
    telecom = await play(hostile, name="viettel", speaks=Channel.ETSI)
    with pytest.raises(DeliveryFailed) as caught:
        await telecom.send_etsi(task())
    assert caught.value.code == "hi1.response_malformed"
    assert scene_is_empty(telecom)


def scene_is_empty(scene: Scene) -> bool:
    return not scene.hub.answers and not scene.hub.messages


async def test_a_forged_answer_is_signed_by_a_key_that_nobody_enrolled(play: Play) -> None:
    scene = await play(Hostile((Trick.FORGED,)))
    await scene.send(order())
    await scene.events.until("answered")
    [(about, said)] = scene.hub.answers
    assert (about, said["outcome"]) == ("order-1", "refused")
    header = jws.extract_compact(scene.hub.signatures[0].replace("..", ".e30.").encode()).headers()
    assert header["kid"] != SIGNING_KEY.thumbprint()
    assert scene.sandbox.ledger.holds == {}


async def test_a_hostile_bank_answers_for_the_order_of_another(play: Play) -> None:
    scene = await play(Hostile((Trick.STRANGER,)))
    await scene.send(order())
    await scene.events.until("answered")
    [(about, _)] = scene.hub.answers
    assert about != "order-1"


async def test_a_hostile_bank_plays_its_tricks_in_turn(play: Play) -> None:
    scene = await play(Hostile())
    for number, _ in enumerate(Trick):
        with contextlib.suppress(DeliveryFailed):
            await scene.send(order(f"order-{number}", number=number + 1))
    await scene.events.until("answered", 2)
    assert {data["trick"] for kind, data in scene.events.told if kind == "lied"} == set(Trick)


def signed(message: Message) -> Message:
    """The message with the hub's own signature."""
    content = json.dumps(dict(message.body)).encode()
    return replace(
        message, signature=signatures.sign(ORDER_KEY, signatures.ORDER, content, message.body["order_id"], None)
    )


def task(action: str = "takedown", number: int = 1, **changes: Any) -> Message:
    """An order to a telecom, as the hub signs it."""
    made = etsi_exchange.message(action, **changes)
    return signed(replace(made, id=f"msg_{number:032x}"))


HOLD, SECOND = iso_orders.HOLD, etsi_exchange.LIFT_ID
LET_GO = {"order_id": SECOND, "lifts_order_id": HOLD}
BODIES: dict[str, dict[str, Any]] = {
    "freeze": {},
    "extend": {"order_id": SECOND, "extends_order_id": HOLD},
    "lift": LET_GO,
    "read_back": {},
    "recall": {"payment": iso_orders.PAYMENT},
    "disclose": {"asked": ["holder_name", "holder_document"], "confidential": True, "amount": None},
    "trace": iso_orders.TRACED,
}
STORY = business_form.traced({"movements": statement.moved(**iso_orders.WINDOW), "has_more": False})
PAPER = {"holder_name": "NGUYEN VAN MAU", "holder_document": "national_id 000000000000"}


async def iso(play: Play, behaviour: Behaviour = Prompt()) -> Scene:  # noqa: B008 - frozen
    return await play(behaviour, name="vietcombank", speaks=Channel.ISO20022)


def told_by_bank(scene: Scene) -> list[Answer]:
    """What the bank's messages say, each of them signed by its own key."""
    found = []
    for raw in scene.hub.messages:
        received = business.read(raw)
        received.verify(SIGNING_KEY.public_key)  # type: ignore[arg-type]
        assert (received.kid, received.audience) == (SIGNING_KEY.thumbprint(), HUB)
        assert received.answer is not None
        found.append(received.answer)
    return found


@pytest.mark.parametrize(
    ("action", "answers"),
    [
        ("freeze", [Answer(HOLD, "executed", amount=(150_000_000, "VND"))]),
        ("recall", [Answer(HOLD, "executed", amount=(150_000_000, "VND"))]),
        ("disclose", [Answer(HOLD, "executed", disclosed=PAPER)]),
        ("trace", [Answer(HOLD, "executed", traced=STORY)]),
        ("lift", [Answer(SECOND, "lifted")]),
        ("extend", [Answer(SECOND, "refused", refusal_code="target_not_found")]),
        ("read_back", [Answer(HOLD, "lifted")]),
    ],
)
async def test_a_bank_of_iso_20022_answers_each_order_by_its_own_message(
    action: str, answers: list[Answer], play: Play
) -> None:
    scene = await iso(play)
    assert (await scene.send_iso(iso_orders.message(action, 1, **BODIES[action]))).status == 202
    await scene.events.until("answered")
    assert told_by_bank(scene) == answers


@pytest.mark.parametrize(
    ("behaviour", "action", "answer"),
    [
        (Ported("bidv"), "freeze", Answer(HOLD, "not_mine", ported_to="bidv")),
        (
            Refusing(RefusalCode.HOLDER_MISMATCH),
            "freeze",
            Answer(HOLD, "refused", refusal_code="holder_mismatch"),
        ),
        (
            Refusing(RefusalCode.ALREADY_RETURNED),
            "recall",
            Answer(HOLD, "refused", refusal_code="already_returned"),
        ),
        (Refusing(RefusalCode.TARGET_LEGITIMATE), "freeze", Answer(HOLD, "refused", refusal_code="other")),
    ],
)
async def test_a_bank_of_iso_20022_refuses_by_iso_s_codes(
    behaviour: Behaviour, action: str, answer: Answer, play: Play
) -> None:
    scene = await iso(play, behaviour)
    await scene.send_iso(iso_orders.message(action, 1, **BODIES[action]))
    await scene.events.until("answered")
    assert told_by_bank(scene) == [answer]


async def test_a_bank_of_iso_20022_keeps_its_books_and_numbers_its_messages(play: Play) -> None:
    scene = await iso(play, Half(after=0.0))
    freeze = iso_orders.message("freeze", 1)
    await scene.send_iso(freeze)
    assert (await scene.send_iso(freeze)).status == 200
    await scene.events.until("answered", 2)
    await scene.send_iso(iso_orders.message("extend", 2, **BODIES["extend"]))
    await scene.events.until("answered", 3)
    await scene.send_iso(iso_orders.message("read_back", 3))
    await scene.events.until("answered", 4)
    await scene.send_iso(iso_orders.message("lift", 4, lifts_order_id=HOLD, reason="end_reached"))
    await scene.events.until("answered", 5)
    outcomes = [(answer.outcome, answer.amount and answer.amount[0]) for answer in told_by_bank(scene)]
    assert outcomes == [
        ("executed", 75_000_000),
        ("executed", 150_000_000),
        ("executed", None),
        ("executed", 150_000_000),
        ("lifted", None),
    ]
    assert len({business.read(raw).id for raw in scene.hub.messages}) == 5
    assert scene.sandbox.ledger.holds == {}


async def test_a_bank_of_iso_20022_reads_auth_003_and_does_not_answer_it(play: Play) -> None:
    scene = await iso(play)
    ended = iso_orders.message("silence_ended", 1, asked=["holder_name"], confidential=False, deadlines=[], amount=None)
    assert (await scene.send_iso(ended)).status == 202
    await scene.events.until("silence_ended")
    assert scene.hub.messages == []


async def test_a_bank_of_iso_20022_takes_nothing_that_the_hub_did_not_sign_for_it(play: Play) -> None:
    scene = await iso(play)
    for message, key, kid, status in (
        (iso_orders.message("freeze", 1), SIGNING_KEY, None, 401),
        (iso_orders.message("freeze", 1), SIGNING_KEY, ORDER_KEY.thumbprint(), 401),
        (iso_orders.message("freeze", 1, participant_id="bidv"), ORDER_KEY, None, 400),
    ):
        with pytest.raises(DeliveryFailed) as caught:
            await scene.send_iso(message, key, kid)
        assert caught.value.status == status
    with pytest.raises(DeliveryFailed) as caught:
        await scene.post(b"<BizMsg/>", {})
    assert caught.value.status == 400
    assert [data["reason"] for _, data in scene.events.told] == [
        "order.key_unknown",
        "order.invalid",
        "it is for another institution",
        "xml.envelope BizMsg",
    ]
    assert scene_is_empty(scene) and scene.sandbox.ledger.holds == {}


async def test_a_forged_business_message_does_not_verify(play: Play) -> None:
    scene = await iso(play, Hostile((Trick.FORGED,)))
    await scene.send_iso(iso_orders.message("freeze", 1))
    await scene.events.until("answered")
    received = business.read(scene.hub.messages[0])
    assert received.kid != SIGNING_KEY.thumbprint()
    with pytest.raises(SignatureInvalid):
        received.verify(SIGNING_KEY.public_key)  # type: ignore[arg-type]


async def etsi(play: Play, behaviour: Behaviour = Prompt()) -> Scene:  # noqa: B008 - frozen
    return await play(behaviour, name="viettel", speaks=Channel.ETSI)


def told_by_telecom(scene: Scene) -> list[Answer]:
    """What the telecom's requests say, each of them signed about the order that it answers."""
    found = []
    for raw, text in zip(scene.hub.messages, scene.hub.signatures, strict=True):
        action = hi1.request(json.loads(raw), sender="viettel", receiver=HUB).answer
        assert action is not None and isinstance(action.asked, hi1.Answering)
        found.append(answering.of(action.asked))
        header, _, signature = text.partition("..")
        payload = base64.urlsafe_b64encode(rfc8785.dumps(json.loads(raw))).rstrip(b"=").decode()
        verified = jws.deserialize_compact(f"{header}.{payload}.{signature}", SIGNING_KEY, registry=LENIENT)
        assert verified.headers()["sub"] == found[-1].order_id
    return found


TASK = etsi_exchange.ORDER_ID


@pytest.mark.parametrize(
    ("behaviour", "action", "answers"),
    [
        (Prompt(), "takedown", [Answer(TASK, "executed")]),
        (Prompt(), "preserve", [Answer(TASK, "executed")]),
        (Prompt(), "disclose", [Answer(TASK, "executed", disclosed={**PAPER, "opened_on": "2024-05-06"})]),
        (Prompt(), "lift", [Answer(SECOND, "lifted")]),
        (Slow(0.0), "takedown", [Answer(TASK, "received"), Answer(TASK, "executed")]),
        (Slow(0.0), "preserve", [Answer(TASK, "received"), Answer(TASK, "executed")]),
        (Ported("vinaphone"), "takedown", [Answer(TASK, "not_mine", ported_to="vinaphone")]),
        (
            Refusing(RefusalCode.TARGET_LEGITIMATE),
            "takedown",
            [Answer(TASK, "refused", refusal_code="target_legitimate")],
        ),
        (Refusing(RefusalCode.NO_BALANCE), "preserve", [Answer(TASK, "refused", refusal_code="other")]),
    ],
)
async def test_a_telecom_takes_each_task_and_answers_it_by_a_signed_request(
    behaviour: Behaviour, action: str, answers: list[Answer], play: Play
) -> None:
    scene = await etsi(play, behaviour)
    # The adapter itself reads the response: of any action that was not taken there would be no receipt.
    assert (await scene.send_etsi(task(action))).status == 200
    await scene.events.until("answered", len(answers))
    assert told_by_telecom(scene) == answers


async def test_what_was_preserved_is_let_go_at_its_end_by_the_task_itself(play: Play) -> None:
    scene = await etsi(play)
    await scene.send_etsi(task("preserve"))
    await scene.events.until("answered")
    end = task("lift", 2, order_id=TASK, lifts_order_id=TASK, lifts_action="preserve", reason="end_reached")
    await scene.send_etsi(end)
    await scene.send_etsi(end)
    await scene.events.until("answered", 2)
    assert told_by_telecom(scene) == [Answer(TASK, "executed"), Answer(TASK, "lifted")]
    assert scene.sandbox.ledger.blocked == {} and scene.events.count("duplicate") == 1


async def test_a_telecom_takes_nothing_that_the_hub_did_not_sign_for_it(play: Play) -> None:
    scene = await etsi(play)
    other = replace(task(), signature=signed(replace(task(), body={**task().body, "sequence": 9})).signature)
    for message, secret in (
        (task(), signing.new_secret()),
        (other, SECRET),
        (replace(task(), signature=None), SECRET),
        (task(participant_id="vinaphone"), SECRET),
    ):
        with pytest.raises(DeliveryFailed):
            await scene.send_etsi(message, secret)
    assert [data["reason"] for _, data in scene.events.told] == [
        "signature_unknown",
        "order.invalid",
        "order.missing",
        "it is from or for somebody else",
    ]
    assert scene_is_empty(scene) and scene.sandbox.ledger.blocked == {}


async def test_an_hi1_answer_that_the_hub_refuses_is_told(play: Play) -> None:
    scene = await etsi(play)
    scene.hub.hi1_error = True
    await scene.send_etsi(task())
    await scene.events.until("answer_failed")
    assert scene.events.told[-1][1]["code"] == "hi1.refused"


async def pull(play: Play, *inbox: Message, behaviour: Behaviour = Prompt()) -> Scene:  # noqa: B008 - frozen
    scene = await play(behaviour, speaks=Channel.PULL)
    scene.hub.inbox.extend(inbox)
    return scene


async def test_an_inbox_is_confirmed_before_it_is_acted_on_and_each_order_is_answered(play: Play) -> None:
    scene = await pull(play, order(), order("order-2", number=2))
    assert scene.sandbox.url == ""
    await scene.events.until("answered", 2)
    assert sorted(scene.hub.answers) == [("order-1", FULL), ("order-2", FULL)]
    assert scene.hub.confirmed[-1] == 2 and set(scene.hub.confirmed) <= {0, 2}


async def test_what_the_hub_did_not_sign_does_not_stand_in_the_way_of_what_comes_after_it(play: Play) -> None:
    scene = await pull(play, replace(order(), signature=None), order("order-2", number=2))
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-2", FULL)]
    assert ("signature_refused", "order.missing") in [(kind, data.get("reason")) for kind, data in scene.events.told]


async def test_a_flapping_reader_forgets_a_page_and_gets_it_again(play: Play) -> None:
    scene = await pull(play, order(), behaviour=Flapping())
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", FULL)] and scene.hub.confirmed.count(0) >= 2


async def test_a_hostile_reader_only_lies(play: Play) -> None:
    scene = await pull(play, order(), behaviour=Hostile())
    await scene.events.until("answered")
    scene.hub.inbox.append(order("order-2", number=2))
    await scene.events.until("answered", 2)
    assert [data["trick"] for kind, data in scene.events.told if kind == "lied"] == ["forged", "stranger"]
    assert {"order-1", "order-2"} & {about for about, _ in scene.hub.answers} == {"order-1"}


async def test_a_stream_is_confirmed_order_by_order_before_each_is_acted_on(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_inbox, "_PAUSE", 0.0)
    scene = await play(Prompt(), speaks=Channel.PULL, streams=True)
    # The stream breaks off three times; a token that was not taken is fetched anew.
    scene.hub.failing = [503, 401, 429]
    scene.hub.inbox.extend([order(), replace(order("order-2", number=2), signature=None), order("order-3", number=3)])
    await scene.events.until("answered", 2)
    assert sorted(scene.hub.answers) == [("order-1", FULL), ("order-3", FULL)]
    assert scene.hub.confirmed[0] == 1 and scene.hub.confirmed[-1] == 3
    assert scene.events.count("received") == 2 and scene.events.count("signature_refused") >= 1
    assert len(scene.hub.assertions) == 2 and scene.hub.streams >= 4


async def test_what_a_flapping_reader_of_a_stream_left_comes_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_inbox, "_PAUSE", 0.0)
    scene = await play(Flapping(), speaks=Channel.PULL, streams=True)
    scene.hub.inbox.append(order())
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", FULL)] and scene.hub.streams >= 2


async def test_a_batch_is_taken_whole_and_each_of_its_orders_is_answered(play: Play) -> None:
    scene = await play(Prompt(), batches=True)
    assert (await scene.send_batch(order(), order("order-2", number=2))).status == 202
    await scene.events.until("answered", 2)
    assert sorted(scene.hub.answers) == [("order-1", FULL), ("order-2", FULL)]
    assert (await scene.send_batch(order(), order("order-2", number=2))).status == 200
    # Alone it is the message that came in the batch.
    assert (await scene.send(order())).status == 200
    assert (scene.events.count("batch"), scene.events.count("duplicate")) == (2, 3)


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (replace(order("order-2", number=2), signature=None), "http.401"),
        (order("order-2", number=2, answer_url="https://elsewhere.example"), "http.400"),
    ],
)
async def test_of_a_batch_with_one_bad_order_nothing_is_taken(second: Message, code: str, play: Play) -> None:
    scene = await play(Prompt(), batches=True)
    with pytest.raises(DeliveryFailed) as caught:
        await scene.send_batch(order(), second)
    assert caught.value.code == code
    assert scene.events.count("received") == 0 and scene.sandbox.ledger.holds == {}


async def test_a_batch_that_nobody_declared_or_that_is_none_is_refused(play: Play) -> None:
    plain = await play(Prompt())
    with pytest.raises(DeliveryFailed) as caught:
        await plain.send_batch(order(), order("order-2", number=2))
    assert caught.value.code == "http.415"
    scene = await play(Prompt(), batches=True)
    for content in (b"[]", b"{}", b"nothing", b"[7]"):
        at = int(time.time())
        headers = {
            "Content-Type": "application/cloudevents-batch+json",
            "webhook-id": "batch_1",
            "webhook-timestamp": str(at),
            "webhook-signature": signing.sign((SECRET,), "batch_1", at, content),
        }
        with pytest.raises(DeliveryFailed) as caught:
            await scene.post(content, headers)
        assert caught.value.code == "http.400"


async def test_half_of_a_recall_a_disclosure_and_a_trace_come_first_and_the_rest_by_itself(play: Play) -> None:
    scene = await play(Half(after=0.0))
    await scene.send(order(action="recall"))
    await scene.events.until("answered", 2)
    asked = ["holder_name", "holder_document", "state"]
    await scene.send(order("order-2", "disclose", number=2, asked=asked, amount=None))
    await scene.events.until("answered", 4)
    await scene.send(order("order-3", "trace", number=3, window=WINDOW, amount=None))
    await scene.events.until("answered", 6)
    said = [answer for _, answer in scene.hub.answers]
    assert [each["amount_returned"]["value"] for each in said[:2]] == ["75000000", "150000000"]
    assert [list(each["disclosed"]) for each in said[2:4]] == [asked[:2], asked]
    first, whole = (each["traced"] for each in said[4:])
    assert (first["has_more"], whole["has_more"]) == (True, False)
    assert first["movements"] == whole["movements"][:2] and len(whole["movements"]) == 4


async def test_a_hub_that_is_away_is_asked_again_and_nothing_is_lost(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_inbox, "_PAUSE", 0.0)
    scene = await play(Prompt(), speaks=Channel.PULL)
    scene.hub.failing = [503, 401, 503]
    scene.hub.inbox.append(order())
    await scene.events.until("answered")
    assert scene.hub.answers == [("order-1", FULL)]
    # The 401 cost the token.
    assert len(scene.hub.assertions) == 2


async def test_a_stopped_participant_is_unreachable(play: Play) -> None:
    scene = await play(Prompt())
    await scene.sandbox.stop()
    with pytest.raises(DeliveryFailed) as caught:
        await scene.send(order())
    assert caught.value.code == "connect.failed"


def test_the_authority_is_made_once_and_its_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    first, second = SandboxTls(folder), SandboxTls(folder)
    assert (first.ca_pem, first.files) == (second.ca_pem, second.files)
    assert SandboxTls(tmp_path / "other").ca_pem != first.ca_pem
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.key")} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_server_certificate_near_its_end_is_renewed_under_the_same_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SandboxTls(tmp_path)
    before = Path(first.files[0]).read_bytes()
    in_a_year = time.time() + 340 * 86_400
    monkeypatch.setattr(time, "time", lambda: in_a_year)
    second = SandboxTls(tmp_path)
    assert second.ca_pem == first.ca_pem
    assert Path(second.files[0]).read_bytes() != before


def test_the_certificates_satisfy_a_strict_verifier(tmp_path: Path) -> None:
    tls = SandboxTls(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=tls.ca_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*tls.files)
    for name in ("localhost", "127.0.0.1", "::1"):
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        here = context.wrap_bio(back, there, server_hostname=name)
        far = server.wrap_bio(there, back, server_side=True)
        for _ in range(4):
            for side in (here, far):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert here.getpeercert()
