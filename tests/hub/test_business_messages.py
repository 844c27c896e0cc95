"""A bank that speaks ISO 20022: orders reach it as signed messages, and what it answers by the door stands in court."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import apis
import builders
import iso_bank
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import insert_endpoint, table
from cryptography.hazmat.primitives.asymmetric import ec
from iso_bank import Bank
from lxml import etree
from rigs import FastForward, Rig
from test_evidence import exported, lines_of_the_handbook, wrong

from adapters.base import Endpoint as Target
from adapters.base import Receipt
from adapters.iso20022 import envelope, schemas, terms, xml
from adapters.iso20022.adapter import Iso20022
from adapters.registry import Adapters
from adapters.webhook import Webhook
from service import clock, db
from service.engine import order_keys
from service.engine.delivery import Delivery
from service.models import Acknowledgement, Dispatch, Endpoint, PublicKey, Task
from service.security import evidence
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

DOOR = "/v1/iso20022"


@pytest.fixture
def bank(api: Api) -> Bank:
    key = api.world.keys["vietcombank"]
    private: Any = key.private_key
    return Bank(private, key.thumbprint(), hub=api.hub.settings.address, at=clock.utc_now())


async def send(api: Api, raw: bytes, who: System | None = None, kind: str = "application/xml") -> Any:
    """Post a message as a bank's system."""
    headers = {**(who or api.bank).headers, "Content-Type": kind}
    return await api.http.post(DOOR, content=raw, headers=headers)


async def placed(api: Api, body: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    """File a freeze and return its order, with the reference that the message about it has."""
    filed = await api.active(body or worlds.freeze())
    (order,) = await api.world.orders(UUID(filed["id"]))
    return order, terms.reference(str(order["id"]), order["sequence"])


async def state(api: Api, order: dict[str, Any]) -> tuple[str, int | None]:
    now = await steps.order_now(api.world, order)
    return str(now["state"]), now["amount_held"]


def code(answer: Any) -> tuple[int, str, list[str]]:
    read = answer.json()
    return answer.status_code, read["code"], [each["field"] for each in read["errors"]]


class Post:
    """A transport that keeps what it was given and says that it arrived."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    async def post(self, url: str, *, content: bytes, headers: Any, endpoint: Target) -> Receipt:
        self.sent.append((url, content))
        return Receipt(202, 0.01, b"", "203.0.113.5:443")


async def speaks_iso(api: Api) -> None:
    """Give the bank an address for ISO 20022 in the place of its webhook."""
    endpoints = table(Endpoint)
    mine = (endpoints.c.tenant == "vietcombank", endpoints.c.purpose == "orders")
    (row,) = await api.world.rows(Endpoint, tenant="vietcombank", purpose="orders")
    changed = {"id": uuid4(), "channel": "iso20022", "url": "https://iso.bank.example/in", "secret_sealed": None}

    async def unit(conn: Any) -> None:
        await conn.execute(sa.update(endpoints).where(*mine).values(active=False))
        await insert_endpoint(conn, {**row, **changed})

    await api.hub.writer.run(unit)


async def test_an_order_reaches_the_bank_as_its_own_message_and_the_bank_s_two_answers_end_its_clocks(
    api: Api, bank: Bank, rig: Rig
) -> None:
    await speaks_iso(api)
    order, reference = await placed(api)
    post, hub = Post(), api.hub
    iso = Iso20022(hub.settings.address, lambda at: order_keys.key_at(hub, at))
    delivery = Delivery(rig.hub, rig.node, Adapters(Webhook(hub.settings.address), iso20022=iso), post)
    await delivery.claim_once()
    await delivery.settled()
    ((_, content),) = [sent for sent in post.sent if sent[0].startswith("https://iso.")]
    opened = envelope.open_(content)
    opened.signed.verify(builders.ORDER_KEY.private.public_key())
    assert opened.signed.kid == builders.ORDER_KEY.kid and opened.definition == schemas.FREEZE
    to = etree.fromstring(content)[0]
    named = [xml.text(to, f"To/FIId/FinInstnId/{path}") for path in ("BICFI", "ClrSysMmbId/MmbId", "Othr/Id")]
    assert named == ["BFTVVNVX", "970436", "vietcombank"]
    assert xml.text(opened.document, "MsgHdr/MsgId") == reference and await state(api, order) == ("delivered", None)

    received = await send(api, bank.receipt(reference, "PDNG", answers=schemas.FREEZE))
    assert received.status_code == 201, received.text
    assert received.json() == {
        "message_id": "BANK-000001",
        "order_id": str(order["id"]),
        "state": "acknowledged",
        "repeated": False,
        "contradicts": False,
    }
    held = await send(api, bank.held(reference, 150_000_000))
    assert held.json()["state"] == "executed" and await state(api, order) == ("executed", 150_000_000)
    told = await api.world.facts(order["request_id"])
    assert told.index("order.delivered") < told.index("order.acknowledged") < told.index("order.executed")
    assert await steps.findings(api.world) == []


async def test_a_lift_is_answered_by_a_receipt_and_the_hold_is_gone(api: Api, bank: Bank) -> None:
    order, reference = await placed(api)
    await send(api, bank.held(reference, 150_000_000))
    lift = await api.active(worlds.lift(order["request_id"]))
    (let_go,) = await api.world.orders(UUID(lift["id"]))
    mine = terms.reference(str(let_go["id"]), let_go["sequence"])
    assert (await send(api, bank.receipt(mine, "CLSD", answers=schemas.LIFT))).json()["state"] == "executed"
    assert (await state(api, order))[0] == "lifted"


async def test_the_hub_s_own_lift_at_the_end_is_confirmed_about_the_hold_itself(
    api: Api, bank: Bank, fast_forward: FastForward
) -> None:
    ends_at = ((await steps.now(api.world)) + timedelta(hours=5)).isoformat()
    order, reference = await placed(api, worlds.freeze(ends_at=ends_at))
    await send(api, bank.held(reference, 150_000_000))
    await fast_forward(hours=6)
    await api.world.fire()
    await api.sign_on(api.bank)
    lift = terms.reference(str(order["id"]), order["sequence"] + 1)
    iso_bank.fresh(bank, clock.utc_now())
    done = await send(api, bank.receipt(lift, "CLSD", answers=schemas.LIFT))
    assert done.json()["state"] == "lifted", done.text


@pytest.mark.parametrize(
    ("say", "ends", "refusal"),
    [
        (lambda bank, ref: bank.receipt(ref, "RJCT", "BE01"), "refused", "holder_mismatch"),
        (lambda bank, ref: bank.held(ref, 0, error="AC04"), "refused", "target_closed"),
        (lambda bank, ref: bank.receipt(ref, "RJCT", "AGNT"), "refused", "not_mine"),
        (lambda bank, ref: bank.receipt(ref, "RJCT", "AGNT", ported_to="970407"), "rerouted", None),
    ],
)
async def test_a_refusal_has_the_hub_s_own_reason(
    api: Api, bank: Bank, say: Any, ends: str, refusal: str | None
) -> None:
    order, reference = await placed(api)
    answer = await send(api, say(bank, reference))
    assert (answer.status_code, answer.json()["state"]) == (201, ends), answer.text
    (row,) = await api.world.rows(Acknowledgement, order_id=order["id"])
    assert row["refusal_code"] == refusal and row["signature"] is None
    if ends == "rerouted":
        assert {each["participant_id"] for each in await api.world.orders(order["request_id"])} == {
            "vietcombank",
            "techcombank",
        }


async def test_the_same_message_is_taken_once_and_another_one_under_its_id_never(api: Api, bank: Bank) -> None:
    order, reference = await placed(api)
    raw = bank.held(reference, 70_000_000, message_id="ONE")
    first, again = await send(api, raw), await send(api, raw)
    assert first.json() | {"repeated": True} == again.json() and again.status_code == 201
    assert len(await api.world.rows(Acknowledgement)) == 1
    before = await api.counts()
    other = await send(api, bank.held(reference, 90_000_000, message_id="ONE"))
    assert code(other) == (422, "input.invalid", ["/AppHdr/BizMsgIdr"])
    assert apis.grown(before, await api.counts()) == {} and await state(api, order) == ("executed", 70_000_000)
    more = await send(api, bank.held(reference, 90_000_000, message_id="TWO"))
    assert more.json()["state"] == "executed" and await state(api, order) == ("executed", 90_000_000)


async def test_a_message_is_its_bank_s_whichever_of_its_systems_brings_it(api: Api, bank: Bank) -> None:
    order, reference = await placed(api)
    second = await api.enroll(System("vcb-second"), "vietcombank", Role.PARTICIPANT_OPERATOR)
    raw = bank.held(reference, 70_000_000, message_id="ONE")
    first = await send(api, raw)
    before = await api.counts()
    assert (await send(api, raw, second)).json() == first.json() | {"repeated": True}
    other = await send(api, bank.held(reference, 90_000_000, message_id="ONE"), second)
    assert code(other) == (422, "input.invalid", ["/AppHdr/BizMsgIdr"])
    assert other.json()["errors"][0]["code"] == "xml.reused"
    assert apis.grown(before, await api.counts()) == {} and await state(api, order) == ("executed", 70_000_000)


async def test_another_bank_s_order_is_as_unknown_as_one_that_never_was(api: Api, bank: Bank) -> None:
    _, reference = await placed(api)
    techcombank = await api.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    key = api.world.keys["techcombank"]
    private: Any = key.private_key
    other = Bank(private, key.thumbprint(), hub=api.hub.settings.address, at=clock.utc_now())
    before = await api.counts()
    foreign = await send(api, other.held(reference, 5), techcombank)
    missing = await send(api, other.held(terms.reference(str(uuid4()), 1), 5), techcombank)
    assert (foreign.status_code, foreign.content) == (404, missing.content) and missing.status_code == 404
    assert apis.grown(before, await api.counts()) == {}


async def test_a_signature_that_is_not_the_bank_s_is_a_fact_and_changes_nothing(
    api: Api, bank: Bank, fast_forward: FastForward
) -> None:
    order, reference = await placed(api)
    stranger = replace(bank, key=ec.generate_private_key(ec.SECP256R1()))
    unsigned = etree.fromstring(bank.held(reference, 5))
    place = next(unsigned.iter(f"{{{xml.ISO}{schemas.HEADER}}}Sgntr"))
    place.remove(place[0])
    tampered = bank.held(reference, 5).replace(b'"VND">5<', b'"VND">9<')
    officers = api.world.keys["maker"]
    private: Any = officers.private_key
    wrong_ones = {
        "invalid": [stranger.held(reference, 5), tampered],
        "key_unknown": [replace(bank, key=private, kid=officers.thumbprint()).held(reference, 5)],
        "missing": [etree.tostring(unsigned)],
        "audience": [replace(bank, hub="https://another-hub.example").held(reference, 5)],
        "old": [iso_bank.fresh(replace(bank), clock.utc_now() - timedelta(minutes=16)).held(reference, 5)],
        "ahead": [iso_bank.fresh(replace(bank), clock.utc_now() + timedelta(minutes=1)).held(reference, 5)],
        "algorithm": [bank.held(reference, 5).replace(b"#ecdsa-sha256", b"#hmac-sha256")],
        "malformed": [bank.held(reference, 5).replace(b'URI=""', b'URI="#x"')],
    }
    for reason, messages in wrong_ones.items():
        for raw in messages:
            before = await api.counts()
            assert code(await send(api, raw))[:2] == (403, f"signature.{reason}")
            assert apis.grown(before, await api.counts()) == {"audit_entries": 1}
    told = [json.loads(fact["data"])["reason"] for fact in await api.facts("signature.refused")]
    assert told == [reason for reason, messages in wrong_ones.items() for _ in messages]
    assert await api.world.rows(Acknowledgement) == [] and await state(api, order) == ("placed", None)
    keys = table(PublicKey)

    async def revoke(conn: Any) -> None:
        await conn.execute(sa.update(keys).where(keys.c.kid == bank.kid).values(revoked_at=await db.now(conn)))

    await api.hub.writer.run(revoke)
    assert code(await send(api, bank.held(reference, 5)))[:2] == (403, "signature.key_revoked")


LAUGHS = b'<!DOCTYPE BizMsg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


async def test_bad_input_is_a_problem_by_name_and_nothing_is_written(api: Api, bank: Bank) -> None:
    _, reference = await placed(api)
    good = bank.held(reference, 5)
    half = bank.held(reference, 5, "USD")
    cases: list[tuple[bytes, int, str, list[str]]] = [
        (LAUGHS + good[good.index(b"<BizMsg") :], 400, "xml.doctype", []),
        (good[:-40], 400, "xml.syntax", []),
        (good.decode().encode("utf-16"), 400, "xml.encoding", []),
        (b"{}", 400, "xml.encoding", []),
        (good.replace(b"xsd:bizmsg:1", b"xsd:bizmsg:9"), 400, "xml.envelope", ["/BizMsg"]),
        (b"<a>" + b" " * 10_000_000 + b"</a>", 413, "body.too_large", []),
        (bank.receipt(reference, "RJCT", "AB01"), 422, "xml.code", ["/StsRsn/Rsn/Cd"]),
        (bank.receipt(reference, "CLSD"), 422, "xml.value", ["/OrgnlMsgId/MsgNmId"]),
        (bank.receipt("nothing-of-ours", "PDNG"), 422, "xml.value", ["/RctDtls/OrgnlMsgId/MsgId"]),
        (half, 422, "input.invalid", ["/amount_held/currency"]),
        (bank.held(reference, 150_000_001), 422, "input.invalid", ["/amount_held"]),
        (bank.receipt(reference, "CLSD", answers=schemas.FREEZE), 422, "input.invalid", ["/amount_held"]),
    ]
    for raw, status, name, fields in cases:
        before = await api.counts()
        assert code(await send(api, raw)) == (status, name, fields), name
        assert apis.grown(before, await api.counts()) == {}, name
    for kind in ("application/json", "text/xml", "application/xml; charset=iso-8859-1"):
        assert code(await send(api, good, kind=kind))[:2] == (415, "body.content_type")
    path = f"/v1/orders/{uuid4()}/acknowledgements"
    headers = {**api.bank.headers, "Content-Type": "application/xml"}
    assert (await api.http.post(path, content=good, headers=headers)).status_code == 415


async def test_a_stranger_is_answered_before_anything_of_the_message_is_read(api: Api, bank: Bank) -> None:
    _, reference = await placed(api)
    for raw in (bank.held(reference, 5), LAUGHS, b"<"):
        answer = await api.http.post(DOOR, content=raw, headers={"Content-Type": "application/xml"})
        assert code(answer)[:2] == (401, "token.missing")
    police = await send(api, bank.held(reference, 5), api.police)
    assert code(police)[:2] == (403, "scope.missing")


async def test_a_message_that_could_not_be_processed_is_a_task_and_the_clocks_go_on(api: Api, bank: Bank) -> None:
    await speaks_iso(api)
    order, _ = await placed(api)
    (sent,) = await api.world.rows(Dispatch, order_id=order["id"], kind="order")
    raw = bank.reject(sent["id"].hex)
    first, again = await send(api, raw), await send(api, raw)
    assert first.status_code == 201 and first.json()["state"] == "placed", first.text
    assert again.json() == {**first.json(), "repeated": True}
    (task,) = await api.world.rows(Task, kind="dead_dispatch")
    assert (task["order_id"], task["data"]["error"]) == (order["id"], "message.rejected")
    assert task["data"]["dispatch_id"] == str(sent["id"])
    (fact,) = await api.facts("dispatch.failed")
    assert json.loads(fact["data"])["error"] == "message.rejected" and fact["actor_id"] == api.bank.id
    before = await api.counts()
    for unknown in (uuid4().hex, "not-one-of-ours"):
        assert (await send(api, bank.reject(unknown))).status_code == 404
    assert code(await send(api, bank.reject(sent["id"].hex, "ZZ99", name="BANK-000001")))[0] == 422
    stranger = replace(bank, key=ec.generate_private_key(ec.SECP256R1()), name="B")
    assert code(await send(api, stranger.reject(sent["id"].hex)))[:2] == (403, "signature.invalid")
    assert apis.grown(before, await api.counts()) == {"audit_entries": 1}
    second = await send(api, bank.reject(sent["id"].hex))
    assert second.status_code == 201 and len(await api.world.rows(Task, kind="dead_dispatch")) == 1
    bundle = await exported(api.world, order["request_id"])
    assert wrong(bundle, bundle["keys"]) == []


async def test_an_answer_in_xml_is_proved_with_public_keys_alone(api: Api, bank: Bank) -> None:
    order, reference = await placed(api)
    await send(api, bank.receipt(reference, "PDNG"))
    await send(api, bank.held(reference, 120_000_000))
    bundle = await exported(api.world, order["request_id"])
    names = [check.name for check in evidence.verify(json.dumps(bundle), bundle["keys"]) if not check.wrong]
    assert wrong(bundle, bundle["keys"]) == []
    assert names.count("answer.signature") == 2 and "answer.fact" in names
    answers = bundle["requests"][0]["orders"][0]["answers"]
    assert [each["signature"] for each in answers] == [None, None]
    assert {key["owner_kind"] for key in bundle["keys"]} == {"officer", "participant", "hub"}
    by_hand: dict[str, Any] = {}
    exec(lines_of_the_handbook(), by_hand)
    assert {kind for kind, *_ in by_hand["parts"](bundle)} == {"request", "approval", "order", "evidence"}

    def with_body(change: Callable[[str], str]) -> list[str]:
        lied = json.loads(json.dumps(bundle))
        answer = lied["requests"][0]["orders"][0]["answers"][1]
        answer["body"] = change(answer["body"])
        return wrong(lied)

    assert "answer.signature: invalid" in with_body(lambda text: text.replace(">120000000<", ">150000000<"))
    assert "answer.signature: xml.syntax" in with_body(lambda text: text[:-20])
    stranger = replace(bank, key=ec.generate_private_key(ec.SECP256R1()))
    assert "answer.signature: invalid" in with_body(lambda _: stranger.held(reference, 120_000_000).decode())
    another = terms.reference(str(uuid4()), 1)
    assert "answer.signature: about" in with_body(lambda _: bank.held(another, 120_000_000).decode())
    elsewhere = replace(bank, hub="https://another-hub.example")
    assert "answer.signature: audience" in with_body(lambda _: elsewhere.held(reference, 120_000_000).decode())
    late = iso_bank.fresh(replace(bank), clock.utc_now() + timedelta(days=1))
    assert "answer.signature: instant" in with_body(lambda _: late.held(reference, 120_000_000).decode())
    smaller = with_body(lambda _: bank.held(reference, 1).decode())
    assert "answers.recorded: answers" in smaller


async def test_a_contradiction_in_xml_changes_nothing_and_calls_a_coordinator(api: Api, bank: Bank) -> None:
    order, reference = await placed(api)
    await send(api, bank.held(reference, 150_000_000))
    no = await send(api, bank.receipt(reference, "RJCT", "AC04"))
    assert (no.json()["contradicts"], await state(api, order)) == (True, ("executed", 150_000_000))
    assert [row["kind"] for row in await api.world.rows(Task, order_id=order["id"])] == ["contradicting_answer"]


async def test_a_good_message_presented_by_another_bank_s_system_is_that_bank_s_word(api: Api, bank: Bank) -> None:
    order, reference = await placed(api)
    techcombank = await api.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    assert (await send(api, bank.held(reference, 5), techcombank)).status_code == 404
    assert await state(api, order) == ("placed", None)


async def test_money_that_was_sent_back_and_data_that_were_asked_for_come_as_a_bank_s_own_messages(
    api: Api, bank: Bank
) -> None:
    recall, _ = await placed(api, steps.recall())
    assert (await send(api, bank.resolution(str(recall["id"]), "ACCR", 120_000_000))).status_code == 201
    now = await steps.order_now(api.world, recall)
    assert (now["state"], now["amount_returned"], now["amount_held"]) == ("executed", 120_000_000, None)
    [order] = await steps.asked(api.world, asked=["holder_name", "holder_document"])
    unasked = await send(api, bank.disclosed(str(order["id"]), contact_phone="+84912345678"))
    assert unasked.status_code == 422
    said = {"holder_name": "NGUYEN VAN MAU", "holder_document": "national_id 079000000001"}
    assert (await send(api, bank.disclosed(str(order["id"]), **said))).status_code == 201
    (read,) = (await api.get(f"/v1/requests/{order['request_id']}/disclosures", api.police)).json()["items"]
    paper = {"kind": "national_id", "number": "079000000001"}
    given = {name: value for name, value in read["disclosed"].items() if value is not None}
    assert given == {"holder_name": "NGUYEN VAN MAU", "holder_document": paper}
    for request_id in (recall["request_id"], order["request_id"]):
        assert wrong(await exported(api.world, request_id)) == []
