"""What is held now: asked by the agency or a coordinator, answered like every answer about a held amount."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import apis
import iso_bank
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import table
from iso_bank import Bank
from rigs import FastForward, Rig
from steps import vnd
from test_api_doors import other_agency
from test_business_messages import Post, send, speaks_iso
from test_evidence import exported, wrong

from adapters.iso20022 import envelope, schemas, terms, xml
from adapters.iso20022.adapter import Iso20022
from adapters.registry import Adapters
from adapters.webhook import Webhook
from service import clock
from service.engine import order_keys
from service.engine.delivery import Delivery
from service.models import Acknowledgement, Deadline, Dispatch, Endpoint, Order, QueueItem, Task
from service.security.signatures import Kind
from workflows.terms import Channel, Role

pytest_plugins = ["api_fixtures"]

FULL = {"outcome": "executed", "amount_held": vnd(150_000_000)}


async def held(api: Api, amount: int = 150_000_000) -> dict[str, Any]:
    """A freeze of 150,000,000 ₫ that its bank has executed, as far as ``amount`` goes."""
    filed = await api.active(worlds.freeze())
    (order,) = await api.world.orders(UUID(filed["id"]))
    answer = await say(api, order, {"outcome": "executed", "amount_held": vnd(amount)})
    assert answer.status_code == 201, answer.text
    return order


async def ask(api: Api, order: dict[str, Any], who: System | None = None) -> Any:
    return await api.http.post(f"/v1/orders/{order['id']}/read-backs", json={}, headers=(who or api.police).headers)


async def say(api: Api, order: dict[str, Any], body: dict[str, Any]) -> Any:
    return await api.post(f"/v1/orders/{order['id']}/acknowledgements", api.bank, body)


async def test_a_bank_is_asked_over_its_own_channel_and_what_it_says_is_on_the_timeline(api: Api, rig: Rig) -> None:
    order = await held(api)
    await rig.round()
    asked = await ask(api, order)
    assert asked.status_code == 201, asked.text
    assert asked.json()["order_id"] == str(order["id"]) and asked.json()["amount_held"] == vnd(150_000_000)
    await rig.round()
    question = rig.speaker.to(api.world.endpoints["vietcombank"])[-1]
    assert (question.type, question.sequence, question.subject) == ("vn.hoatoc.order.read_back", 2, str(order["id"]))
    assert (question.body["action"], question.body["deadlines"]) == ("read_back", []) and question.signature
    answered = await say(api, order, FULL)
    assert answered.json()["state"] == "executed" and not answered.json()["repeated"]
    codes = await api.world.facts(order["request_id"])
    assert codes[codes.index("hold.asked") :] == ["hold.asked", "dispatch.sent", "hold.confirmed"]
    timeline = (await api.get(f"/v1/requests/{order['request_id']}/timeline", api.police)).json()["facts"]
    said = {fact["code"]: fact["text"] for fact in timeline}
    assert said["hold.asked"]["en"] == "Vietcombank was asked what it holds now."
    assert said["hold.confirmed"]["vi"] == "Vietcombank trả lời câu hỏi: vẫn đang giữ 150.000.000 ₫."
    assert await steps.findings(api.world) == []
    # It is no order: nothing waits for it, and what the bank reads as its order is the freeze.
    assert await api.world.rows(Deadline, subject_id=order["id"], state="pending", stage="receipt") == []
    shown = (await api.get(f"/v1/orders/{order['id']}", api.bank)).json()
    assert (shown["body"]["action"], shown["body"]["sequence"]) == ("freeze", 1)
    assert wrong(await exported(api.world, order["request_id"])) == []


@pytest.mark.parametrize(
    ("first", "body", "state", "fact", "tasks"),
    [
        (70_000_000, {"outcome": "executed", "amount_held": vnd(90_000_000)}, 90_000_000, "order.partly_executed", 0),
        (70_000_000, {"outcome": "executed", "amount_held": vnd(60_000_000)}, 70_000_000, "order.contradicted", 1),
        (150_000_000, {"outcome": "lifted"}, 150_000_000, "order.contradicted", 1),
    ],
)
async def test_more_is_taken_and_less_calls_a_coordinator(
    api: Api, first: int, body: dict[str, Any], state: int, fact: str, tasks: int
) -> None:
    order = await held(api, first)
    await ask(api, order)
    assert (await say(api, order, body)).status_code == 201
    now = await steps.order_now(api.world, order)
    assert (str(now["state"]), now["amount_held"]) == ("executed", state)
    codes = await api.world.facts(order["request_id"])
    assert fact in codes[codes.index("hold.asked") :]
    assert len(await api.world.rows(Task, order_id=order["id"], kind="contradicting_answer")) == tasks


async def test_an_answer_counts_once_and_never_one_that_was_signed_before_the_question(
    api: Api, fast_forward: FastForward
) -> None:
    order = await held(api)
    raw = json.dumps(FULL).encode()
    early = api.world.sign(Kind.ANSWER, raw, "vietcombank", str(order["id"]))
    await fast_forward(minutes=1)
    for system in (api.police, api.bank):
        await api.sign_on(system)
    await ask(api, order)
    path = f"/v1/orders/{order['id']}/acknowledgements"
    late = await api.post(path, api.bank, FULL, **{"Hoatoc-Signature": early})
    assert late.json()["repeated"] and "hold.confirmed" not in await api.world.facts(order["request_id"])
    assert not (await say(api, order, FULL)).json()["repeated"]
    assert (await say(api, order, FULL)).json()["repeated"]
    assert (await api.world.facts(order["request_id"])).count("hold.confirmed") == 1
    assert len(await api.world.rows(Acknowledgement, order_id=order["id"])) == 2


async def test_without_a_question_the_same_amount_said_again_is_no_news(api: Api) -> None:
    order = await held(api)
    again = {**FULL, "reference": "SO-2"}
    assert (await say(api, order, again)).json()["state"] == "executed"
    assert "hold.confirmed" not in await api.world.facts(order["request_id"])


async def test_only_a_hold_that_stands_is_asked_about_and_a_refusal_writes_nothing(api: Api) -> None:
    filed = await api.active(worlds.freeze())
    (placed,) = await api.world.orders(UUID(filed["id"]))
    before = await api.counts()
    early = await ask(api, placed)
    assert (early.status_code, early.json()["code"]) == (409, "read_back.no_hold")
    assert apis.grown(before, await api.counts()) == {}
    await say(api, placed, {"outcome": "refused", "refusal_code": "target_closed"})
    assert (await ask(api, placed)).json()["code"] == "read_back.no_hold"


async def test_one_question_in_fifteen_minutes_and_none_while_one_is_on_its_way(
    api: Api, rig: Rig, fast_forward: FastForward
) -> None:
    order = await held(api)
    assert (await ask(api, order)).status_code == 201
    before = await api.counts()
    assert (await ask(api, order)).json()["code"] == "read_back.on_its_way"
    assert apis.grown(before, await api.counts()) == {}
    while await rig.round():
        continue
    soon = await ask(api, order)
    assert (soon.status_code, soon.json()["code"]) == (429, "read_back.too_soon")
    assert 0 < int(soon.headers["retry-after"]) <= 900
    await fast_forward(minutes=15)
    await api.sign_on(api.police)
    assert (await ask(api, order)).status_code == 201


async def test_a_question_never_overtakes_a_lift_nor_stands_in_its_way(api: Api) -> None:
    order = await held(api)
    await ask(api, order)
    (question,) = await api.world.rows(Dispatch, message_type="vn.hoatoc.order.read_back")
    (item,) = await api.world.rows(QueueItem, dispatch_id=question["id"])
    assert item["order_key"] is None
    lift = await api.active(worlds.lift(order["request_id"]))
    (let_go,) = await api.world.orders(UUID(lift["id"]))
    # Whoever obeys the highest sequence obeys the lift.
    assert let_go["sequence"] > (await steps.order_now(api.world, order))["sequence"] - 1
    another = await held(api)
    await api.active(worlds.lift(another["request_id"]))
    assert (await ask(api, another)).json()["code"] == "read_back.on_its_way"


async def test_an_agency_asks_about_its_own_a_coordinator_about_all_and_others_about_none(api: Api) -> None:
    order = await held(api)
    await other_agency(api)
    stranger = await api.enroll(System("stranger-system"), "ca-tinh-99", Role.MAKER)
    reader = await api.enroll(System("reader"), worlds.AGENCY, Role.READER)
    before = await api.counts()
    foreign, missing = await ask(api, order, stranger), await ask(api, {"id": uuid4()}, stranger)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    for who in (reader, api.bank, api.admin):
        assert (await ask(api, order, who)).json()["code"] == "scope.missing"
    assert apis.grown(before, await api.counts()) == {}
    assert (await ask(api, order, api.coordinator)).status_code == 201
    (fact,) = await api.facts("hold.asked")
    assert (fact["actor_id"], fact["actor_tenant"], fact["tenant"]) == ("desk-system", "hoatoc-hub", worlds.AGENCY)


async def test_a_bank_without_an_endpoint_in_force_is_telephoned(api: Api) -> None:
    order = await held(api)
    endpoints = table(Endpoint)
    off = sa.update(endpoints).where(endpoints.c.tenant == "vietcombank").values(active=False)
    await api.hub.writer.run(lambda conn: conn.execute(off))
    assert (await ask(api, order)).json()["code"] == "read_back.unreachable"


async def test_an_old_question_is_never_sent_once_more(api: Api, rig: Rig) -> None:
    order = await held(api)
    await ask(api, order)
    while await rig.round():
        continue
    until = await steps.now(api.world)
    selection = {"which": "delivered", "order_id": str(order["id"]), "until": until.isoformat()}
    counted = await api.post("/v1/replays/previews", api.coordinator, selection)
    # The freeze, and not the question.
    assert (counted.json()["count"], counted.json()["left_out"]) == (1, 1), counted.text


async def test_a_bank_that_pulls_finds_the_question_in_its_inbox(api: Api) -> None:
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == api.world.endpoints["vietcombank"])
    await api.hub.writer.run(lambda conn: conn.execute(pulls.values(channel=Channel.PULL)))
    order = await held(api)
    await ask(api, order)
    # The execution says that the freeze has arrived; the question waits behind it.
    page = (await api.get("/v1/orders", api.bank)).json()
    assert [item["type"] for item in page["items"]] == ["vn.hoatoc.order.read_back"]
    await api.get("/v1/orders", api.bank, after=page["next"])
    assert (await say(api, order, FULL)).status_code == 201
    assert "hold.confirmed" in await api.world.facts(order["request_id"])


async def test_a_bank_of_iso_20022_is_asked_by_camt_046_and_answers_by_camt_047(
    api: Api, rig: Rig, fast_forward: FastForward
) -> None:
    await speaks_iso(api)
    key = api.world.keys["vietcombank"]
    private: Any = key.private_key
    bank = Bank(private, key.thumbprint(), hub=api.hub.settings.address, at=clock.utc_now())
    filed = await api.active(worlds.freeze())
    (order,) = await api.world.orders(UUID(filed["id"]))
    await send(api, bank.held(terms.reference(str(order["id"]), 1), 150_000_000))
    post, hub = Post(), api.hub
    iso = Iso20022(hub.settings.address, lambda at: order_keys.key_at(hub, at))
    delivery = Delivery(rig.hub, rig.node, Adapters(Webhook(hub.settings.address), iso20022=iso), post)

    async def asked() -> str:
        assert (await ask(api, order)).status_code == 201
        while await delivery.claim_once():
            await delivery.settled()
        opened = envelope.open_([content for url, content in post.sent if url.startswith("https://iso.")][-1])
        assert opened.definition == schemas.READ_BACK
        criteria = "RsvatnQryDef/RsvatnCrit/NewCrit/SchCrit/AcctId/Othr/Id"
        assert xml.text(opened.document, criteria) == worlds.freeze()["target"]["value"]
        return xml.needed(opened.document, "MsgHdr/MsgId")

    reference = await asked()
    assert reference == terms.reference(str(order["id"]), 2)
    assert (await send(api, bank.held(reference, 150_000_000))).json()["state"] == "executed"
    assert (await api.world.facts(order["request_id"]))[-1] == "hold.confirmed"
    await fast_forward(minutes=15)
    for system in (api.police, api.bank):
        await api.sign_on(system)
    gone = await asked()
    iso_bank.fresh(bank, clock.utc_now() + timedelta(seconds=1))
    assert (await send(api, bank.held(gone, 0, status="DELD"))).json()["contradicts"]
    (row,) = await api.world.rows(Order, id=order["id"])
    assert (str(row["state"]), row["amount_held"]) == ("executed", 150_000_000)
    assert wrong(await exported(api.world, order["request_id"])) == []
