"""A disclosure is asked of a telecom as an LD task and answered by delivering the coded minimum, signed."""

import json
from datetime import datetime

import etsi_steps
import steps
from apis import Api
from etsi_steps import NUMBER, VALID, Telecom, deliver, error, only, update
from opening import opened

from adapters.base import Message
from adapters.etsi import build, terms
from service.engine import evidence as bundles
from service.models import Acknowledgement, Dispatch
from service.security import evidence
from workflows.terms import DispatchKind

pytest_plugins = ["api_fixtures"]


async def test_a_delivery_with_what_was_asked_executes_the_disclosure(api: Api) -> None:
    telecom = await Telecom.enrolled(api)
    [order] = await steps.asked(api.world, NUMBER, asked=["holder_name", "holder_document"])
    [row] = await api.world.rows(Dispatch, order_id=order["id"], kind="order")
    text = json.loads(await opened(api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]))
    text["occurred_at"] = datetime.fromisoformat(text["occurred_at"])
    request = build.request(Message(**{**text, "kind": DispatchKind.ORDER}), api.hub.settings.address)
    assert [fault.message for fault in VALID.iter_errors(request)] == []
    shown = only(await telecom.say({"GET": {"Identifier": str(order["id"])}}))["GETResponse"]["HI1Object"]
    assert shown["@xsi:type"] == terms.DISCLOSURE
    assert shown["task:Status"] == terms.entry("LDTaskStatus", "AwaitingDisclosure")
    await telecom.say(update(order["id"], terms.DISCLOSURE, "AwaitingDisclosure"))
    assert (await steps.order_now(api.world, order))["state"] == "acknowledged"
    refused = await telecom.say(deliver(order["id"], opened_on="2026-01-02"))
    assert error(refused) == (1010, "disclosed.not_asked /disclosed/opened_on")
    wrong = await telecom.say(deliver(order["id"], holder_document="079000000001"))
    assert error(wrong)[0] == 1001
    assert (await steps.order_now(api.world, order))["state"] == "acknowledged"
    said = {"holder_name": "NGUYEN VAN MAU", "holder_document": "national_id 079000000001"}
    assert "DELIVERResponse" in only(await telecom.say(deliver(order["id"], **said)))
    assert (await steps.order_now(api.world, order))["state"] == "executed"
    kept = await api.world.rows(Acknowledgement, order_id=order["id"])
    assert [str(each["outcome"]) for each in kept] == ["received", "executed"]
    found = evidence.verify(await bundles.export(api.hub, str(order["request_id"])))
    assert [check for check in found if check.wrong] == []
    (read,) = (await api.get(f"/v1/requests/{order['request_id']}/disclosures", api.police)).json()["items"]
    paper = {"kind": "national_id", "number": "079000000001"}
    given = {name: value for name, value in read["disclosed"].items() if value is not None}
    assert given == {"holder_name": "NGUYEN VAN MAU", "holder_document": paper}


async def test_a_subscriber_that_is_not_known_refuses_the_disclosure(api: Api) -> None:
    telecom = await Telecom.enrolled(api)
    [order] = await steps.asked(api.world, NUMBER, asked=["holder_name", "holder_document"])
    assert error(await telecom.say(update(order["id"], terms.DISCLOSURE, "Disclosed"))) == (
        1005,
        "status.unknown task:Status",
    )
    answer = etsi_steps.payload(
        await telecom.post(telecom.message(update(order["id"], terms.DISCLOSURE, "DisclosureNotAvailable")))
    )
    assert "UPDATEResponse" in only(answer)
    assert (await steps.order_now(api.world, order))["state"] == "refused"
