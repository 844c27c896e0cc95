"""The end of a silence: two officers of the agency, one message to whoever has the disclosure, and never by itself."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import apis
import pytest
import registry_forms
import silence_steps
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import insert_endpoint, table
from rigs import FastForward, Rig
from silence_steps import ENDS, disclosed
from test_api_doors import other_agency
from test_business_messages import Post, speaks_iso
from test_erasing import CONFIRMER, arrive, erase
from test_evidence import exported, wrong

from adapters.iso20022 import envelope, schemas, terms, xml
from adapters.iso20022.adapter import Iso20022
from adapters.registry import Adapters
from adapters.webhook import Webhook
from service.engine import handing_over, order_keys
from service.engine.delivery import Delivery
from service.models import Approval, Deadline, Dispatch, Endpoint, Officer, PublicKey, QueueItem
from service.security.signatures import Kind
from workflows.terms import Channel, Role

pytest_plugins = ["api_fixtures"]

TYPE = "vn.hoatoc.order.silence_ended"
PHONE = {"kind": "phone", "value": "+84912000111"}


async def end(api: Api, request_id: Any, who: System | None = None, **changes: Any) -> Any:
    headers = changes.pop("headers", {})
    body = {name: value for name, value in {**ENDS, **changes}.items() if value is not None}
    return await api.post(f"/v1/requests/{request_id}/silence-ends", who or api.police, body, **headers)


async def sent(api: Api) -> list[dict[str, Any]]:
    return await api.world.rows(Dispatch, message_type=TYPE)


async def change(api: Api, model: Any, where: dict[str, Any], **values: Any) -> None:
    rows = table(model)
    made = sa.update(rows).where(*(rows.c[name] == value for name, value in where.items())).values(**values)
    await api.hub.writer.run(lambda conn: conn.execute(made))


async def test_two_officers_end_it_once_and_the_bank_that_has_the_disclosure_is_told(api: Api, rig: Rig) -> None:
    (order,) = await disclosed(api.world)
    answer = await end(api, order["request_id"])
    assert answer.status_code == 201, answer.text
    first = answer.json()
    assert {name: first[name] for name in ENDS} == ENDS and first["left_out"] == [] and not first["repeated"]
    assert first["told"] == [{"order_id": str(order["id"]), "participant_id": "vietcombank"}]
    while await rig.round():
        continue
    message = rig.speaker.to(api.world.endpoints["vietcombank"])[-1]
    assert (message.type, message.sequence, message.subject) == (TYPE, 2, str(order["id"])) and message.signature
    told = {name: message.body[name] for name in ("action", "confidential", "reason", "deadlines")}
    assert told == {"action": "silence_ended", "confidential": False, "reason": "proceedings_ended", "deadlines": []}
    # Nothing waits for it, nobody is in its way, and what is shown as the order stays the disclosure.
    assert await api.world.rows(Deadline, subject_id=order["id"], state="pending") == []
    shown = (await api.get(f"/v1/orders/{order['id']}", api.bank)).json()
    assert (shown["body"]["action"], shown["body"]["sequence"]) == ("disclose", 1)
    again = (
        await end(api, order["request_id"], reason="ordered", officer_id="second", second_officer_id="approver")
    ).json()
    assert again == {**first, "repeated": True}
    assert len(await sent(api)) == 1
    timeline = (await api.get(f"/v1/requests/{order['request_id']}/timeline", api.police)).json()["facts"]
    (fact,) = [each for each in timeline if each["code"] == "request.silence_ended"]
    assert "the proceedings have ended" in fact["text"]["en"] and "đã kết thúc" in fact["text"]["vi"]
    assert (fact["data"]["officer_id"], fact["data"]["second_officer_id"]) == ("approver", "second")
    detail = (await api.get(f"/v1/requests/{order['request_id']}", api.police)).json()
    assert detail["approved_by"] == ["second"]
    assert await steps.findings(api.world) == []
    bundle = await exported(api.world, order["request_id"])
    assert wrong(bundle) == []
    assert [each["officer_id"] for each in bundle["requests"][0]["silence_ends"]] == ["approver", "second"]


async def test_the_evidence_shows_an_end_that_two_did_not_sign(api: Api) -> None:
    (order,) = await disclosed(api.world)
    await end(api, order["request_id"])
    whole = await exported(api.world, order["request_id"])

    def broken(change_: Callable[[dict[str, Any]], object]) -> set[str]:
        bundle = json.loads(json.dumps(whole))
        change_(bundle["requests"][0])
        return {each.partition(":")[0] for each in wrong(bundle)}

    assert "silence.fact" in broken(lambda request: request["silence_ends"].pop())
    assert "silence.agrees" in broken(
        lambda request: request["silence_ends"].__setitem__(1, request["silence_ends"][0])
    )
    swapped = json.dumps({**ENDS, "reason": "ordered"})
    found = broken(lambda request: request["silence_ends"][0].update(body=swapped))
    assert {"silence.signature", "silence.agrees"} <= found
    assert "silence.agrees" in broken(
        lambda request: request["orders"][0]["messages"][1]["body"].update(reason="ordered")
    )


async def test_nobody_is_told_who_does_not_have_the_disclosure(api: Api) -> None:
    account = worlds.freeze()["target"]
    orders = await steps.asked(api.world, account, {**account, "institution": "970407"})
    before = await api.counts()
    early = await end(api, orders[0]["request_id"])
    assert (early.status_code, early.json()["code"]) == (409, "silence.nothing_sent")
    assert apis.grown(before, await api.counts()) == {}
    bank, other = sorted(orders, key=lambda order: order["participant_id"] != "vietcombank")
    await steps.delivered(api.world, bank)
    ended = (await end(api, bank["request_id"])).json()
    assert [each["participant_id"] for each in ended["told"]] == ["vietcombank"]
    missing = {"order_id": str(other["id"]), "participant_id": "techcombank", "why": "not_reached"}
    assert ended["left_out"] == [missing]
    assert [row["participant_id"] for row in await sent(api)] == ["vietcombank"]


async def test_a_request_that_asked_for_no_silence_has_none_to_end(api: Api) -> None:
    held = await steps.held(api.world)
    await steps.second_officer(api.world)
    refused = await end(api, held["request_id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "silence.no_silence")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"second_officer_id": "approver"}, "authority.same_officer"),
        ({"officer_id": "junior"}, "authority.rank_too_low"),
        ({"second_officer_id": "maker"}, "authority.power_missing"),
        ({"headers": {"Hoatoc-Signature": ""}}, "signature.missing"),
        ({"second_signature": "x.y.z"}, "signature.malformed"),
    ],
)
async def test_it_takes_two_officers_who_may(api: Api, changes: dict[str, Any], code: str) -> None:
    (order,) = await disclosed(api.world)
    refused = await end(api, order["request_id"], **changes)
    assert (refused.status_code, refused.json()["code"]) == (403, code), refused.text
    assert await sent(api) == [] and await api.facts("request.silence_ended") == []
    assert len(await api.facts("authority.refused") + await api.facts("signature.refused")) == 1


async def test_an_officer_who_has_left_ends_nothing_nor_one_signature_for_two(api: Api) -> None:
    (order,) = await disclosed(api.world)
    about = str(order["request_id"])
    first = api.world.sign(Kind.SILENCE, json.dumps(ENDS).encode(), "approver", about)
    for stolen in (
        first,
        api.world.sign(Kind.SILENCE, json.dumps({**ENDS, "reason": "ordered"}).encode(), "second", about),
    ):
        refused = await end(api, about, second_signature=stolen)
        assert refused.json()["code"] in {"signature.key_unknown", "signature.invalid"}
    elsewhere = api.world.sign(Kind.SILENCE, json.dumps(ENDS).encode(), "second", uuid4())
    assert (await end(api, about, second_signature=elsewhere)).json()["code"] == "signature.about"
    withdrawn = api.world.sign(Kind.WITHDRAWAL, json.dumps(ENDS).encode(), "second", about)
    assert (await end(api, about, second_signature=withdrawn)).json()["code"] == "signature.type"
    await change(api, Officer, {"id": "second"}, active=False)
    assert (await end(api, about)).json()["code"] == "authority.officer_inactive"
    unknown = await end(api, about, second_officer_id="nobody", second_signature="x")
    assert unknown.status_code == 422 and unknown.json()["errors"][0]["field"] == "/second_officer_id"
    assert await sent(api) == []


async def test_only_the_agency_that_asked_ends_it(api: Api) -> None:
    (order,) = await disclosed(api.world)
    await other_agency(api)
    stranger = await api.enroll(System("stranger-system"), "ca-tinh-99", Role.MAKER, Role.APPROVER)
    maker = await api.enroll(System("maker-system"), worlds.AGENCY, Role.MAKER)
    before = await api.counts()
    foreign, missing = await end(api, order["request_id"], stranger), await end(api, uuid4(), stranger)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    for who in (maker, api.bank, api.coordinator, api.admin):
        assert (await end(api, order["request_id"], who)).json()["code"] == "scope.missing"
    assert apis.grown(before, await api.counts()) == {}


async def test_nothing_ends_it_by_itself(api: Api, rig: Rig, fast_forward: FastForward) -> None:
    (answered,) = await disclosed(api.world)
    (silent,) = await steps.asked(api.world, {**worlds.freeze()["target"], "value": "9990001112299"})
    await steps.delivered(api.world, silent)
    await fast_forward(days=25)
    await api.world.fire()
    states = {str((await steps.order_now(api.world, order))["state"]) for order in (answered, silent)}
    assert states == {"executed", "lapsed"} and await sent(api) == []
    # Whoever has it and never answered keeps silent still, and is told.
    ended = await silence_steps.end(api.world, silent["request_id"])
    assert [each.order_id for each in ended.told] == [silent["id"]]


async def test_etsi_has_no_message_for_it_and_neither_has_a_participant_out_of_reach(api: Api) -> None:
    (order,) = await disclosed(api.world, PHONE, asked=["holder_name"])
    for values, why in (({"channel": Channel.ETSI}, "no_message"), ({"active": False}, "unreachable")):
        again, *_ = await disclosed(api.world, {**PHONE, "value": f"+8491200022{len(why) % 10}"}, asked=["holder_name"])
        await change(api, Endpoint, {"tenant": order["participant_id"], "purpose": "orders"}, **values)
        ended = (await end(api, again["request_id"])).json()
        assert ([], why) == (ended["told"], ended["left_out"][0]["why"])
    assert await sent(api) == [] and len(await api.facts("request.silence_ended")) == 2


async def test_the_next_channel_takes_it_over_unless_that_is_etsi(api: Api, rig: Rig) -> None:
    (order,) = await disclosed(api.world, PHONE, asked=["holder_name"])
    while await rig.round():
        continue
    (mine,) = await api.world.rows(Endpoint, tenant=order["participant_id"], purpose="orders")
    await end(api, order["request_id"])
    for position, channel in ((2, Channel.ETSI), (3, Channel.PULL)):
        row = {**mine, "id": uuid4(), "channel": channel, "position": position}
        await api.hub.writer.run(partial(insert_endpoint, row=row))
    await change(api, Endpoint, {"id": mine["id"]}, active=False)
    assert await handing_over.hand_over(api.hub) == 1
    first, second = await sent(api)
    assert (second["channel"], second["first_id"]) == (Channel.PULL, first["id"])


async def test_it_stands_in_nothings_way_and_is_sent_once_more_when_it_was_lost(api: Api, rig: Rig) -> None:
    (order,) = await disclosed(api.world)
    await end(api, order["request_id"])
    (dispatch,) = await sent(api)
    (item,) = await api.world.rows(QueueItem, dispatch_id=dispatch["id"])
    assert item["order_key"] is None
    while await rig.round():
        continue
    selection = {"which": "delivered", "order_id": str(order["id"]), "until": (await steps.now(api.world)).isoformat()}
    counted = await api.post("/v1/replays/previews", api.coordinator, selection)
    # The end, and not the disclosure, which was answered.
    assert counted.json()["count"] == 1, counted.text
    replayed = await api.post("/v1/replays", api.coordinator, selection)
    assert replayed.status_code < 300, replayed.text
    (item,) = await api.world.rows(QueueItem, dispatch_id=dispatch["id"])
    assert item["order_key"] is None


async def test_a_bank_that_pulls_finds_it_in_its_inbox(api: Api) -> None:
    await change(api, Endpoint, {"id": api.world.endpoints["vietcombank"]}, channel=Channel.PULL)
    (order,) = await disclosed(api.world)
    await end(api, order["request_id"])
    page = (await api.get("/v1/orders", api.bank)).json()
    assert [(each["type"], each["body"]["confidential"]) for each in page["items"]] == [(TYPE, False)]
    await api.get("/v1/orders", api.bank, after=page["next"])
    assert (await api.get("/v1/orders", api.bank, after=page["next"])).json()["items"] == []
    assert await steps.findings(api.world) == []


async def test_a_bank_of_iso_20022_is_told_by_auth_003(api: Api, rig: Rig) -> None:
    await speaks_iso(api)
    (order,) = await disclosed(api.world)
    await end(api, order["request_id"])
    post, hub = Post(), api.hub
    iso = Iso20022(hub.settings.address, lambda at: order_keys.key_at(hub, at))
    delivery = Delivery(rig.hub, rig.node, Adapters(Webhook(hub.settings.address), iso20022=iso), post)
    while await delivery.claim_once():
        await delivery.settled()
    opened = envelope.open_([content for url, content in post.sent if url.startswith("https://iso.")][-1])
    assert opened.definition == schemas.CONFIDENTIALITY
    assert xml.needed(opened.document, "OrgnlBizQry") == terms.plain(str(order["id"]))
    assert xml.needed(opened.document, "CnfdtltySts") == "false"
    assert wrong(await exported(api.world, order["request_id"])) == []


async def test_of_an_erased_request_nobody_can_be_told(api: Api) -> None:
    (order,) = await disclosed(api.world)
    await registry_forms.enrolled(api.hub, CONFIRMER)
    await arrive(api.world)
    await erase(api.world, order["request_id"])
    refused = await end(api, order["request_id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "request.erased")
    assert await sent(api) == []


async def test_a_revoked_key_ends_nothing(api: Api) -> None:
    (order,) = await disclosed(api.world)
    kid = api.world.keys["second"].thumbprint()
    await change(api, PublicKey, {"kid": kid}, revoked_at=await steps.now(api.world))
    assert (await end(api, order["request_id"])).json()["code"] == "signature.key_revoked"
    assert await api.world.rows(Approval, request_id=UUID(str(order["request_id"])), kind="silence") == []
