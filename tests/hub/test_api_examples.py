"""The examples of the contract at the real door, and what the hub really sends against the promised schemas."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
import uniform
import world as worlds
from apis import Api, System
from builders import insert_endpoint, table
from iso_bank import Bank
from joserfc.jwk import ECKey
from jsonschema import Draft202012Validator, FormatChecker
from opening import opened

from adapters import webhook
from adapters.base import Message
from adapters.iso20022 import parse, terms
from service import clock, db
from service.contract import examples
from service.engine.hub import OPERATOR, Hub
from service.models import Baseline, Dispatch, Endpoint, Officer
from service.schemas.certifications import Report
from service.security import certifications
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

ROOT = Path(__file__).parents[2]
HUB, PARTICIPANT = (json.loads((ROOT / "openapi" / f"{name}.v1.json").read_text()) for name in ("hub", "participant"))
OPERATIONS = {
    each["operationId"]: (path, method) for path, item in HUB["paths"].items() for method, each in item.items()
}
# The instant at which the examples were made: their ends lie in the days after it.
MADE_AT = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
HEADERS = {"Idempotency-Key", "Hoatoc-Signature", "DPoP"}
OFFICERS = (
    ("dt-079-112", "dai_uy", ["order", "emergency"]),
    ("dt-079-044", "trung_ta", ["order", "approve"]),
    ("dt-079-045", "thuong_ta", ["order", "approve"]),
)


@pytest.fixture
async def example_day(hub: Hub, fast_forward: Callable[..., Awaitable[None]]) -> None:
    """Move both clocks to the day of the examples, before anything is enrolled."""
    await fast_forward(seconds=(MADE_AT - clock.utc_now()).total_seconds())


@pytest.fixture
async def stage(example_day: None, api: Api) -> Api:
    """The network with the officers that the examples name, a pull inbox and an agency that listens."""
    hub = api.hub

    async def unit(conn: Any) -> None:
        now = await db.now(conn)
        rows = [
            {
                "id": name,
                "tenant": worlds.AGENCY,
                "name_sealed": await worlds.name_of(conn, hub, name),
                "rank": rank,
                "number": name,
                "powers": powers,
                "active": True,
                "created_at": now,
            }
            for name, rank, powers in OFFICERS
        ]
        await db.insert_rows(conn, table(Officer), rows)
        endpoints = table(Endpoint)
        pulls = sa.update(endpoints).where(endpoints.c.tenant == "bidv", endpoints.c.purpose == "orders")
        await conn.execute(pulls.values(channel="pull", url=""))
        status = {
            "id": clock.new_id(),
            "tenant": worlds.AGENCY,
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
            "created_at": now,
        }
        await insert_endpoint(conn, status)

    await hub.writer.run(unit)
    for name, *_ in OFFICERS:
        await api.world.give_key(name)
    return api


class Stage:
    """Plays one example: makes what it is about, puts the real ids into it, and calls."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.shown = examples.load()
        self.played: set[str] = set()

    def body(self, name: str, title: str = "") -> Any:
        return self.shown[name].requests[title or name]

    async def call(self, name: str, who: System | None, body: Any = None, **ids: Any) -> httpx.Response:
        path, method = OPERATIONS[name]
        parameters = {**self.shown[name].parameters, **{key: str(value) for key, value in ids.items()}}
        placed = {key for key in parameters if f"{{{key}}}" in path}
        query = {key: value for key, value in parameters.items() if key not in placed | HEADERS}
        headers = dict(who.headers) if who else {}
        if name == "submitRequest":
            headers["Idempotency-Key"] = uuid4().hex
        path_now = path.format(**{key: parameters[key] for key in placed})
        if who is not None and isinstance(body, dict):
            # The examples' signatures were made by keys that nobody has; the officer of this test signs anew.
            kept = name == "recordCertification"
            made = {"signature", "second_signature"}
            unsigned = {key: value for key, value in body.items() if kept or key not in made}
            body, signed = await self.api.signed(path_now, who, unsigned)
            headers |= signed
        how = "data" if name == "issueToken" else "json"
        if isinstance(body, bytes):
            how, headers["Content-Type"] = "content", "application/xml"
        given: dict[str, Any] = {} if body is None else {how: body}
        answer = await self.api.http.request(method, path_now, params=query, headers=headers, **given)
        self.check(name, answer)
        self.played.add(name)
        return answer

    def check(self, name: str, answer: httpx.Response) -> None:
        path, method = OPERATIONS[name]
        promised = HUB["paths"][path][method]["responses"]
        assert str(answer.status_code) in promised and answer.status_code < 300, (name, answer.status_code, answer.text)
        if answer.headers.get("content-type") == "application/pdf":
            assert answer.content.startswith(b"%PDF-") and "application/pdf" in promised["200"]["content"]
        elif answer.content:
            schema = promised[str(answer.status_code)]["content"]["application/json"]["schema"]
            assert faults(HUB, schema, answer.json()) == [], name
            assert name in uniform.AS_RECEIVED or list(uniform.otherwise(answer.json())) == [], name
        for header in promised[str(answer.status_code)].get("headers", {}):
            assert header in answer.headers or header == "Idempotency-Replayed", header

    async def file(self, title: str = "", **changes: Any) -> dict[str, Any]:
        filed = await self.call("submitRequest", self.api.police, {**self.body("submitRequest", title), **changes})
        read: dict[str, Any] = filed.json()
        return read

    async def order(self, title: str = "") -> dict[str, Any]:
        request = await self.file(title)
        await self.call("approveRequest", self.api.police, self.body("approveRequest"), request_id=request["id"])
        (order,) = await self.api.world.orders(UUID(request["id"]))
        return order


def faults(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    found = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


async def test_every_example_is_taken_by_the_hub_and_answered_as_promised(
    stage: Api, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    api, play = stage, Stage(stage)
    form = play.body("issueToken")
    await play.call("issueToken", None, {**form, "client_assertion": await api.assertion(api.police)})
    for name in ("getTokenMetadata", "getKeys", "getSigningKeys", "getHealth", "getReadiness"):
        await play.call(name, None)
    await requests_and_orders(play)
    await appeals(play)
    await fast_forward(minutes=11)
    await api.world.fire()
    for system in (api.police, api.bank, api.coordinator, api.admin):
        await api.sign_on(system)
    (late, *_) = await api.world.rows(Dispatch, kind="notice")
    escalated = await play.call("listEscalations", api.police, request_id=late["request_id"])
    assert escalated.json()["items"]
    task = (await play.call("listTasks", api.coordinator)).json()["items"][0]
    await play.call("resolveTask", api.coordinator, play.body("resolveTask"), task_id=task["id"])
    for name in ("previewReplay", "replayDispatches"):
        await play.call(name, api.coordinator, play.body(name))
    await called_back(play)
    await registry_and_policies(play)
    assert play.played == set(OPERATIONS)


# Which request an answer is about, where it is not a freeze.
_ANSWERS = {"returned": "recall", "paid_out": "recall", "disclosed": "disclose", "traced": "trace"}


async def requests_and_orders(play: Stage) -> None:
    api = play.api
    for title in play.shown["submitRequest"].requests:
        if title not in {"lift", "extend"}:
            await play.file(title)
    request = await play.file()
    await play.call("withdrawRequest", api.police, play.body("withdrawRequest"), request_id=request["id"])
    emergency = await play.file("emergency")
    await play.call("reviewRequest", api.police, play.body("reviewRequest"), request_id=emergency["id"])
    for title in play.shown["acknowledgeOrder"].requests:
        if title != "ported":
            order = await play.order(_ANSWERS.get(title, ""))
            await play.call("acknowledgeOrder", api.bank, play.body("acknowledgeOrder", title), order_id=order["id"])
            if title == "disclosed":
                disclosed = await play.call("listDisclosures", api.police, request_id=order["request_id"])
                assert disclosed.json()["items"]
                await play.call("endSilence", api.police, play.body("endSilence"), request_id=order["request_id"])
            if title == "traced":
                moved = await play.call("listMovements", api.police, request_id=order["request_id"])
                assert moved.json()["items"][0]["totals"]
    number = await play.file("takedown_suspend")
    viettel = await api.enroll(System("viettel-system"), "viettel", Role.PARTICIPANT_OPERATOR)
    (ported, *_) = [
        order for order in await api.world.orders(UUID(number["id"])) if order["participant_id"] == "viettel"
    ]
    await play.call("acknowledgeOrder", viettel, play.body("acknowledgeOrder", "ported"), order_id=ported["id"])
    await hi1_messages(play, viettel)
    order = await play.order()
    await play.call("acknowledgeOrder", api.bank, play.body("acknowledgeOrder"), order_id=order["id"])
    await play.call("readBackOrder", api.police, play.body("readBackOrder"), order_id=order["id"])
    await business_message(play)
    for title in ("extend", "lift"):
        await play.file(title, original_request_id=str(order["request_id"]))
    await play.call("getOrder", api.bank, order_id=order["id"])
    await play.call("getOrderLetter", api.bank, order_id=order["id"])
    for name in ("getRequest", "getRequestBody", "getTimeline", "listReads"):
        await play.call(name, api.police, request_id=order["request_id"])
    assert (await play.call("listRequests", api.police)).json()["items"]
    bidv = await api.enroll(System("bidv-system"), "bidv", Role.PARTICIPANT_OPERATOR)
    target = {**play.body("submitRequest")["target"], "institution": "BIDV"}
    await play.file("emergency", target=target)
    assert (await play.call("listOrders", bidv)).json()["items"]
    unreachable = await play.file("emergency", target={**target, "institution": "ACB"})
    assert unreachable["unreachable"][0]["participant_id"] == "acb"


async def hi1_messages(play: Stage, telecom: System) -> None:
    """Each of ETSI's messages about an order of its own; a disclosure is asked for where there is one."""
    for title, body in play.shown["exchangeMessage"].requests.items():
        if title == "delivered":
            continue
        number = await play.file("takedown_suspend")
        (order, *_) = [
            each for each in await play.api.world.orders(UUID(number["id"])) if each["participant_id"] == "viettel"
        ]
        text = json.dumps(body).replace("01a20adb-90f7-720e-af80-55647164aef2", str(order["id"]))
        mine = json.loads(text.replace("https://hoatoc.example.vn", play.api.hub.settings.address))
        mine["Header"]["TransactionIdentifier"] = str(uuid4())
        answer = await play.call("exchangeMessage", telecom, mine)
        assert "ErrorInformation" not in answer.text, title


async def business_message(play: Stage) -> None:
    """The example's message, about an order that is there and signed by the key of this test's bank."""
    shown = parse.read(play.body("receiveBusinessMessage").encode())
    assert shown.answer is not None and shown.answer.amount is not None
    order, key = await play.order(), play.api.world.keys["vietcombank"]
    private: Any = key.private_key
    bank = Bank(private, key.thumbprint(), hub=play.api.hub.settings.address, at=clock.utc_now())
    raw = bank.held(terms.reference(str(order["id"]), order["sequence"]), shown.answer.amount[0])
    assert (await play.call("receiveBusinessMessage", play.api.bank, raw)).json()["state"] == "executed"


async def appeals(play: Stage) -> None:
    api, order = play.api, await play.order()
    held = {"outcome": "executed", "amount_held": {"value": "1", "currency": "VND"}}
    await play.call("acknowledgeOrder", api.bank, held, order_id=order["id"])
    for title in play.shown["decideAppeal"].requests:
        body = {**play.body("fileAppeal"), "order_id": str(order["id"])}
        filed = (await play.call("fileAppeal", api.bank, body)).json()
        if title != "rejected":
            await play.call("answerAppeal", api.police, play.body("answerAppeal"), appeal_id=filed["id"])
            reference = (await play.call("getRequest", api.police, request_id=order["request_id"])).json()["reference"]
            person = {**play.body("fileAppeal", "for_a_person"), "request_reference": reference}
            await play.call("fileAppeal", api.coordinator, person)
            assert (await play.call("listAppeals", api.police)).json()["items"]
        await play.call("decideAppeal", api.police, play.body("decideAppeal", title), appeal_id=filed["id"])
        if title != "rejected":
            order = await play.order()
            await play.call("acknowledgeOrder", api.bank, held, order_id=order["id"])
    await play.call("getAppeal", api.police, appeal_id=filed["id"])
    await play.call("getAppealState", None, reference=filed["reference"])
    assert (await play.call("listWrongfulHolds", api.police)).json()["items"]


async def called_back(play: Stage) -> None:
    """An agency that never set anything in motion passes its bounds with the sixth request."""
    usual = {"p99_count": 1, "p99_amount": 1, "hours": 40, "since": MADE_AT - timedelta(days=30), "learned_at": MADE_AT}
    whose = {"tenant": worlds.AGENCY, "subject_kind": "agency", "subject": worlds.AGENCY, "kind": "holds"}
    await play.api.hub.writer.run(lambda conn: conn.execute(sa.insert(table(Baseline)).values(**whose, **usual)))
    await play.call("setDutyPhone", play.api.admin, play.body("setDutyPhone"))
    held = await play.file("emergency")
    assert held["state"] == "held_for_callback"
    body = play.body("answerCallback")
    await play.call("answerCallback", play.api.coordinator, body, request_id=held["id"])


async def registry_and_policies(play: Stage) -> None:
    api, admin = play.api, play.api.admin
    key = ECKey.import_key(play.body("enrollClient")["key"]).thumbprint()
    assert (await play.call("enrollClient", admin, play.body("enrollClient"))).json()["kid"] == key
    await play.call("enrollOfficer", admin, play.body("enrollOfficer"))
    await play.call("enrollKey", admin, play.body("enrollKey"))
    for title in play.shown["registerEndpoint"].requests:
        registered = await play.call("registerEndpoint", admin, play.body("registerEndpoint", title))
        if title == "registerEndpoint":
            endpoint = registered.json()["endpoint"]["id"]
    # Signed by this hub, as its own hoatoc certify would.
    said = {**play.body("recordCertification")["report"], "hub": api.hub.settings.address}
    report = Report.model_validate({**said, "ended_at": clock.utc_now()})
    await play.call("recordCertification", admin, json.loads(certifications.sealed(report, api.hub.order_keys[0])))
    second = await api.enroll(System("hub-admin-2"), OPERATOR, Role.HUB_ADMIN)
    for decision in ("refuseEndpoint", "approveEndpoint"):
        change = await play.call("proposeEndpoint", admin, play.body("proposeEndpoint"), endpoint_id=endpoint)
        waiting = (await play.call("listEndpointProposals", second)).json()["items"]
        assert [each["sha256"] for each in waiting] == [change.json()["sha256"]]
        body = {**play.body(decision), "sha256": change.json()["sha256"]}
        await play.call(decision, second, body, endpoint_id=endpoint)
    await play.call("rotateEndpointSecret", admin, play.body("rotateEndpointSecret"), endpoint_id=endpoint)
    contact = (await play.call("addContact", admin, play.body("addContact"))).json()["id"]
    shown = (await play.call("getParticipant", admin)).json()
    assert shown["clients"] and shown["endpoints"] and shown["contacts"]
    assert (await play.call("listParticipants", admin)).json()["items"]
    await play.call("removeContact", admin, contact_id=contact)
    window = (await play.call("announceMaintenance", api.bank, play.body("announceMaintenance"))).json()["id"]
    assert (await play.call("listMaintenance", api.bank)).json()["items"]
    await play.call("endMaintenance", api.coordinator, {"window_id": window})
    for name in ("suspendParticipant", "resumeParticipant", "revokeKey"):
        await play.call(name, admin, play.body(name))
    for name in ("getPolicy", "setPolicy", "setTimeLimit", "listTimeLimits", "setCalendarDay"):
        await play.call(name, admin, play.body(name) if play.shown[name].requests else None)
    assert (await api.get("/v1/policies/vn-default", admin)).json()["version"] == 3


async def test_what_the_hub_sends_is_what_the_contract_promises(
    stage: Api, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    api, play = stage, Stage(stage)
    order = await play.order()
    part = {"outcome": "executed", "amount_held": {"value": "1", "currency": "VND"}}
    await play.call("acknowledgeOrder", api.bank, part, order_id=order["id"])
    await play.call("readBackOrder", api.police, play.body("readBackOrder"), order_id=order["id"])
    extension = await play.file("extend", original_request_id=str(order["request_id"]))
    await play.call("approveRequest", api.police, play.body("approveRequest"), request_id=extension["id"])
    await play.file("lift", original_request_id=str(order["request_id"]))
    kept = await play.file("preserve")
    await play.call("approveRequest", api.police, play.body("approveRequest"), request_id=kept["id"])
    for title in ("takedown", "takedown_suspend"):
        await play.file(title)
    for answered in ("returned", "traced", "disclosed"):
        once = await play.order(_ANSWERS[answered])
        await play.call("acknowledgeOrder", api.bank, play.body("acknowledgeOrder", answered), order_id=once["id"])
    await play.call("endSilence", api.police, play.body("endSilence"), request_id=once["request_id"])
    await play.order("recall")
    momo = await api.enroll(System("momo-system"), "momo", Role.PARTICIPANT_OPERATOR)
    (held,) = await api.world.orders(UUID((await play.file("emergency"))["id"]))
    await play.call("acknowledgeOrder", momo, {"outcome": "received"}, order_id=held["id"])
    refusing = await play.order()
    refusal = play.body("acknowledgeOrder", "refused")
    await play.call("acknowledgeOrder", api.bank, refusal, order_id=refusing["id"])
    received = await play.order()
    await play.call("acknowledgeOrder", api.bank, {"outcome": "received"}, order_id=received["id"])
    await fast_forward(days=4)
    await api.world.fire()
    seen: dict[str, set[str]] = {}
    for row in await api.world.rows(Dispatch):
        event = await event_of(api, row)
        kind, _, said = event["type"].removeprefix("vn.hoatoc.").partition(".")
        name = said if said in {"read_back", "silence_ended"} else kind
        webhook_ = PARTICIPANT["webhooks"][name]["post"]["requestBody"]["content"]
        schema = strict(webhook_["application/cloudevents+json"]["schema"])
        assert faults(CLOSED, schema, event) == [], event["type"]
        assert list(uniform.otherwise(event)) == [], event["type"]
        seen.setdefault(event["type"], set()).add(str(event["data"].get("fact") or event["data"].get("reason")))
    assert set(seen) == {event for each in PARTICIPANT["components"]["schemas"].values() for event in types(each)}
    assert {"None", "end_reached", "unreviewed"} <= seen["vn.hoatoc.order.lift"]
    assert {"order.partly_executed", "order.refused", "order.lapsed"} <= seen["vn.hoatoc.status.order"]


async def event_of(api: Api, row: dict[str, Any]) -> dict[str, Any]:
    sealed = await opened(api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])
    message = json.loads(sealed)
    content = webhook.cloud_event(
        Message(
            id=message["id"],
            type=message["type"],
            kind=row["kind"],
            subject=message["subject"],
            occurred_at=datetime.fromisoformat(message["occurred_at"]),
            sequence=message["sequence"],
            body=message["body"],
        ),
        api.hub.settings.address,
    )
    assert len(content) < webhook.BODY_BELOW
    read: dict[str, Any] = json.loads(content)
    return read


def strict(node: Any) -> Any:
    """Close every object, so that a member which the contract does not tell of is found."""
    if isinstance(node, dict):
        closed = {name: strict(inner) for name, inner in node.items()}
        return {**closed, "additionalProperties": False} if "properties" in node else closed
    return [strict(each) for each in node] if isinstance(node, list) else node


def types(schema: dict[str, Any]) -> list[str]:
    kind = schema.get("properties", {}).get("type", {})
    return [*kind.get("enum", []), *([kind["const"]] if "const" in kind else [])]


CLOSED = {"components": strict(PARTICIPANT["components"])}
