"""What the hub really places for a telecom is a valid HI1 request, and hostile messages at its door write nothing."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import etsi_exchange as exchange
import etsi_steps
import sqlalchemy as sa
import steps
import test_etsi_parser as hostile
import world as worlds
from apis import Api
from builders import put_in_force, table
from etsi_steps import VALID, Telecom, update
from opening import opened
from rigs import Rig

from adapters import signing
from adapters.base import Endpoint, Message, Receipt
from adapters.etsi import build, messages, terms
from adapters.registry import Adapters
from adapters.webhook import Webhook
from service import db
from service.engine.delivery import Delivery
from service.models import Dispatch
from service.models import Endpoint as EndpointRow
from service.security import signatures
from service.security.signatures import Kind
from service.vault import subjects
from workflows.terms import DispatchKind

pytest_plugins = ["api_fixtures"]


async def sent(api: Api) -> list[Message]:
    """Every message about an order at the telecom, oldest first."""
    found = []
    for row in await api.world.rows(Dispatch, kind="order", participant_id="viettel"):
        text = json.loads(await opened(api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]))
        text["occurred_at"] = datetime.fromisoformat(text["occurred_at"])
        found.append(Message(**{**text, "kind": DispatchKind.ORDER}))
    return found


async def test_every_order_that_a_telecom_gets_is_a_valid_request(api: Api) -> None:
    telecom = await Telecom.enrolled(api)
    blocked = await etsi_steps.takedown(api)
    kept = await etsi_steps.preservation(api)
    for order, kind, status in ((blocked, terms.TAKEDOWN, "Resolved"), (kept, terms.PRESERVATION, "Preserved")):
        await telecom.say(update(order["id"], kind, status))
        await api.world.active(worlds.lift(order["request_id"], legal_basis="decree_147"))
    seen = []
    for message in await sent(api):
        request = build.request(message, api.hub.settings.address)
        assert [error.message for error in VALID.iter_errors(request)] == []
        actions = request["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]
        verb = next(name for name in actions[-1] if name != "ActionIdentifier")
        task = actions[-1][verb]["HI1Object"]
        seen.append((message.body["action"], verb, task["@xsi:type"], task["ObjectIdentifier"]))
    assert seen == [
        ("takedown", "CREATE", terms.TAKEDOWN, str(blocked["id"])),
        ("preserve", "CREATE", terms.PRESERVATION, str(kept["id"])),
        ("lift", "UPDATE", terms.TAKEDOWN, str(blocked["id"])),
        ("lift", "UPDATE", terms.PRESERVATION, str(kept["id"])),
    ]


class Line:
    """A transport to a telecom whose system takes every order, and keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Mapping[str, str]]] = []

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        self.sent.append((content, headers))
        body = messages.encode(exchange.taken(json.loads(content)))
        return Receipt(200, 0.01, body[:2048], "203.0.113.5:443", body)


async def test_the_engine_delivers_to_an_endpoint_that_speaks_it(api: Api) -> None:
    hub, endpoint, secret = api.hub, api.world.endpoints["viettel"], signing.new_secret()

    async def unit(conn: Any) -> None:
        house = await subjects.of_house(conn, hub.vault, "viettel")
        sealed = hub.vault.seal(house, "endpoints", endpoint, secret)
        row = sa.update(table(EndpointRow)).where(table(EndpointRow).c.id == endpoint)
        await conn.execute(row.values(channel="etsi", secret_sealed=sealed))
        await put_in_force(conn, endpoint)

    await hub.writer.run(unit, reach=db.HUB)
    order = await etsi_steps.takedown(api)
    line, rig = Line(), await Rig(hub).start()
    rig.delivery = Delivery(hub, rig.node, Adapters(Webhook(hub.settings.address)), line, refresh_every=0)
    try:
        while await rig.round():
            pass
    finally:
        await rig.stop()
    [(content, headers)] = [each for each in line.sent if b"TDTaskObject" in each[0]]
    request = json.loads(content)
    assert [error.message for error in VALID.iter_errors(request)] == []
    assert request["Header"]["ReceiverIdentifier"] == terms.endpoint("viettel")
    read = signatures.read(headers["Hoatoc-Signature"], Kind.ORDER)
    assert read.about == str(order["id"])
    assert str((await steps.order_now(api.world, order))["state"]) == "delivered"


async def _told(telecom: Telecom, raw: bytes) -> tuple[int, str]:
    raw = raw.replace(exchange.HUB.encode(), telecom.api.hub.settings.address.encode())
    headers = {**telecom.system.headers, "Content-Type": "application/json"}
    answer = await telecom.api.http.post("/v1/etsi", content=raw, headers=headers)
    if answer.status_code == 200:
        return 200, json.dumps(etsi_steps.payload(answer))
    return answer.status_code, answer.json()["code"]


async def test_hostile_messages_are_refused_by_name_and_write_nothing(api: Api) -> None:
    telecom = await Telecom.enrolled(api)
    order = await etsi_steps.takedown(api)
    before = await api.counts()
    for name, (damage, number, description) in hostile.BAD.items():
        made: Any = json.loads(json.dumps(exchange.answer(terms.TAKEDOWN, "Resolved")))
        damage(made)
        raw = json.dumps(made).replace(exchange.ORDER_ID, str(order["id"])).encode()
        status, told = await _told(telecom, raw)
        assert (status, f'"ErrorCode": {number}' in told) == (200, True), (name, told)
        assert description.split()[0] in told, (name, told)
    for name, raw in hostile.BYTES.items():
        status, told = await _told(telecom, raw)
        assert status in {200, 400, 413} and (status != 200 or "ErrorInformation" in told), (name, status, told)
    assert await api.counts() == before


async def test_what_is_no_object_is_a_problem(api: Api) -> None:
    telecom = await Telecom.enrolled(api)
    for body in ([], "text", 1, None):
        assert await _told(telecom, json.dumps(body).encode()) == (422, "input.invalid")
