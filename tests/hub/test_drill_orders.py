"""What a drill's hub sends and shows: every message, document and answer of it says that it is an exercise."""

import dataclasses
import json
from typing import Any
from uuid import UUID

import httpx
import pypdfium2
import pytest
import rigs
import steps
import world as worlds
from apis import Api
from iso_bank import Bank
from rigs import FastForward
from world import World

from adapters.base import Message
from adapters.iso20022 import schemas, terms
from service import app, canonical_json, clock
from service.actions import write_letter
from service.engine import evidence
from service.engine.hub import Hub
from service.models import Attempt, Dispatch
from service.security import evidence as verifying
from service.security import signatures
from service.security.signatures import Kind
from workflows.terms import DispatchKind, Door

pytest_plugins = ["api_fixtures"]
DRILL = "https://drill.hoatoc.example.vn"


def as_drill(hub: Hub) -> Hub:
    """The same hub, opened as a drill's."""
    return dataclasses.replace(hub, settings=hub.settings.model_copy(update={"drill": True, "issuer": DRILL}))


@pytest.fixture
def drill(hub: Hub) -> Hub:
    return as_drill(hub)


@pytest.fixture
async def world(drill: Hub) -> World:
    """A settled network whose hub is a drill's."""
    made = World(drill)
    await made.settle_in()
    return made


async def sent(hub: Hub) -> list[Message]:
    rig = await rigs.Rig(hub).start()
    while await rig.round():
        pass
    await rig.stop()
    return [message for message, _ in rig.speaker.sent]


def is_signed(hub: Hub, message: Message) -> None:
    """The hub's own signature stands over the whole body, the mark in it."""
    assert message.signature is not None
    key: Any = hub.order_keys[0].private.public_key()
    signatures.verify(signatures.read(message.signature, Kind.ORDER), canonical_json.dumps(dict(message.body)), key)


async def test_orders_statuses_notices_and_lifts_are_marked_inside_what_is_signed(
    world: World, drill: Hub, fast_forward: FastForward
) -> None:
    await steps.held(world)
    silent = await world.active(worlds.freeze())
    messages = await sent(drill)
    # Past the ladder of the one, and the end of both.
    for hours in (1, 80):
        await fast_forward(hours=hours)
        await world.fire()
    messages += await sent(drill)
    kinds = {message.type for message in messages}
    assert {"vn.hoatoc.order.freeze", "vn.hoatoc.order.lift", "vn.hoatoc.notice.escalation"} <= kinds, kinds
    assert [message.type for message in messages if message.body.get("drill") is not True] == []
    for message in messages:
        if message.kind is DispatchKind.ORDER:
            is_signed(drill, message)
    notice = next(message for message in messages if message.kind is DispatchKind.NOTICE)
    assert notice.body["subject"].startswith("DIỄN TẬP – EXERCISE")
    assert await world.rows(Dispatch, request_id=silent.id)


async def test_the_real_hub_says_nothing_of_drills(hub: Hub) -> None:
    world = World(hub)
    await world.settle_in()
    await steps.held(world)
    messages = await sent(hub)
    assert messages and [message.type for message in messages if "drill" in message.body] == []


@pytest.mark.parametrize("is_drill", [True, False])
async def test_what_is_not_of_this_hub_is_never_sent_whoever_placed_it(hub: Hub, *, is_drill: bool) -> None:
    """The last net: a message of the other kind that got into the queue, however it did."""
    world, other = World(hub if is_drill else as_drill(hub)), as_drill(hub) if is_drill else hub
    await world.settle_in()
    await steps.held(world)
    assert await sent(other) == []
    attempts = await world.rows(Attempt)
    assert attempts and {row["error"] for row in attempts} == {"message.not_of_this_hub"}
    assert {str(row["state"]) for row in await world.rows(Dispatch) if row["channel"] != "pull"} <= {"dead"}


async def test_evidence_of_a_drill_says_so_under_the_hubs_seal(world: World, drill: Hub) -> None:
    order = await steps.held(world)
    text = await evidence.export(drill, str(order["request_id"]))
    bundle = json.loads(text)
    assert bundle["drill"] is True
    checks = verifying.verify(text)
    assert [check for check in checks if check.wrong] == []
    assert ("bundle.drill", "this is an EXERCISE") in [(check.name, check.about) for check in checks]
    # Whoever takes the word away breaks the seal, and the orders inside still say it.
    del bundle["drill"]
    assert {"bundle.drill", "bundle.seal"} <= {
        check.name for check in verifying.verify(json.dumps(bundle)) if check.wrong
    }


async def test_a_letter_of_a_drill_is_marked(world: World, drill: Hub) -> None:
    order = await steps.held(world)
    made = await write_letter.write(drill, world.participant(order["participant_id"]), Door.API, order["id"], "en")
    document = pypdfium2.PdfDocument(made)
    assert all("DIỄN TẬP – EXERCISE" in sheet.get_textpage().get_text_range() for sheet in document)


@pytest.mark.parametrize("is_drill", [True, False])
async def test_every_answer_of_a_drill_says_it_the_refused_ones_too(hub: Hub, *, is_drill: bool) -> None:
    made = app.create_app(as_drill(hub) if is_drill else hub)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://127.0.0.1:8470") as http:
        for path in ("/healthz", "/readyz", "/v1/requests", "/v1/nothing", "/", "/static/console.css", "/metrics"):
            answer = await http.get(path)
            assert answer.headers.get("Hoatoc-Drill") == ("true" if is_drill else None), path
        assert (await http.get("/healthz")).json()["drill"] is is_drill
        assert f"hoatoc_drill {float(is_drill)}" in (await http.get("/metrics")).text


async def test_the_readiness_of_a_node_on_the_other_ones_database_says_what_is_wrong(hub: Hub) -> None:
    made = app.create_app(as_drill(hub))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url=DRILL) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["faults"]) == (503, ["database.kind"])


async def test_a_bank_answers_a_drill_under_its_service_and_the_real_hub_under_the_other(api: Api) -> None:
    """What a bank signed in an exercise answers no order of the real hub, even where it names its address."""
    key = api.world.keys["vietcombank"]
    private: Any = key.private_key
    bank = Bank(private, key.thumbprint(), hub=api.hub.settings.address, at=clock.utc_now())
    filed = await api.active(worlds.freeze())
    (order,) = await api.world.orders(UUID(filed["id"]))
    reference = terms.reference(str(order["id"]), order["sequence"])
    headers = {**api.bank.headers, "Content-Type": "application/xml"}
    bank.drill = True
    refused = await api.http.post(
        "/v1/iso20022", content=bank.receipt(reference, "PDNG", answers=schemas.FREEZE), headers=headers
    )
    assert refused.status_code == 422, refused.text
    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [("/AppHdr/BizSvc", "xml.value")]
    bank.drill = False
    taken = await api.http.post(
        "/v1/iso20022", content=bank.receipt(reference, "PDNG", answers=schemas.FREEZE), headers=headers
    )
    assert taken.status_code == 201, taken.text
