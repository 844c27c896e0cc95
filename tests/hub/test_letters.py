"""The letter of an order: who gets it, what it carries, that its reading is a fact, and that each kind is worded."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pypdfium2
import pytest
import world as worlds
import zxingcpp
from apis import Api, System, grown
from test_api_doors import other_agency, seen

from adapters.letter import page
from service import clock, i18n
from service.actions import write_letter
from service.actions.letter_wording import Wording
from service.models import AuditEntry
from service.security import signatures
from service.security.signatures import Kind
from workflows.terms import Door, Role
from workflows.working_hours import VIETNAM

pytest_plugins = ["api_fixtures"]

EXAMPLES = Path(__file__).parents[2] / "openapi" / "examples"
QR = zxingcpp.BarcodeFormat.QRCode
PLACED = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)


def read(pdf: bytes) -> tuple[str, dict[str, bytes], list[str]]:
    """The text of a letter, what is attached to it, and what its codes say."""
    document = pypdfium2.PdfDocument(pdf)
    text = "\n".join(sheet.get_textpage().get_text_range() for sheet in document).replace("\u200b", "")
    attached = [document.get_attachment(place) for place in range(document.count_attachments())]
    codes = [found.text for sheet in document for found in zxingcpp.read_barcodes(sheet.render(scale=3).to_pil(), QR)]
    return text, {each.get_name(): bytes(each.get_data()) for each in attached}, codes


async def letter(api: Api, order: str, who: System, lang: str = "") -> Any:
    return await api.get(f"/v1/orders/{order}/letter{lang}", who)


async def test_the_bank_the_agency_and_the_duty_desk_get_the_letter_of_an_order(api: Api) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    shown = (await api.get(f"/v1/orders/{order}", api.bank)).json()
    for who in (api.bank, api.police, api.coordinator):
        answer = await letter(api, order, who)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
        assert answer.headers["cache-control"] == "no-store"
        text, files, (code,) = read(answer.content)
        for said in ("9990001112223", "150.000.000 ₫", "Một trăm năm mươi triệu đồng", request["reference"], "HỎA TỐC"):
            assert said in text
        assert json.loads(files["order.json"]) == shown["body"]
        assert files["order.jws"].decode() == shown["signature"]
        told = json.loads(code)
        assert told["target"]["value"] == "9990001112223" and "holder_name" not in told["target"]
        assert (told["order_id"], told["amount"]) == (order, shown["body"]["amount"])
    # A judge needs nothing but the file and the hub's published key.
    unverified = signatures.read(files["order.jws"].decode(), Kind.ORDER)
    signatures.verify(unverified, files["order.json"], api.hub.order_keys[0].private.public_key())


async def test_a_foreign_letter_is_as_unknown_as_one_that_does_not_exist(api: Api) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    bank = await api.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    await other_agency(api)
    agency = await api.enroll(System("stranger-system"), "ca-tinh-99", Role.MAKER, Role.APPROVER)
    before = await api.counts()
    for stranger in (bank, agency):
        foreign, unknown = [await letter(api, each, stranger) for each in (order, str(uuid4()))]
        assert seen(foreign) == seen(unknown) and foreign.status_code == 404
    assert grown(before, await api.counts()) == {}


async def test_a_letter_of_what_was_lifted_says_that_it_is_not_to_be_carried_out(api: Api) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    assert "KHÔNG CÒN HIỆU LỰC" not in read((await letter(api, order, api.bank)).content)[0]
    await api.world.active(worlds.lift(UUID(request["id"])))
    text, *_ = read((await letter(api, order, api.bank)).content)
    assert "LỆNH KHÔNG CÒN HIỆU LỰC, KHÔNG THỰC HIỆN: đã rút" in text


async def test_after_a_hold_ended_by_itself_the_letter_is_the_lift_of_that_day(
    api: Api, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    [row] = await api.world.orders(UUID(request["id"]))
    await api.world.answer(row, outcome="executed", amount_held={"value": "150000000", "currency": "VND"})
    await fast_forward(days=4)
    await api.world.fire()
    bank = api.world.participant("vietcombank")
    text, *_ = read(await write_letter.write(api.hub, bank, Door.API, UUID(order), "vi"))
    day = clock.utc_now().astimezone(VIETNAM)
    assert "KHÔNG CÒN HIỆU LỰC" not in text, "the lift is still to be done"
    assert "Chấm dứt biện pháp" in text and f"Ngày {day:%d} tháng" in text


async def test_an_auditor_reads_that_there_was_an_order_and_never_its_letter(api: Api) -> None:
    request = await api.active(worlds.freeze())
    auditor = await api.enroll(System("audit-system"), "hoatoc-hub", Role.AUDITOR)
    refused = await letter(api, request["order_list"][0]["id"], auditor)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope.missing")


async def test_each_letter_that_was_opened_is_a_fact(api: Api) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    await letter(api, order, api.bank)
    await letter(api, order, api.police, "?lang=en")
    facts = await api.world.rows(AuditEntry, code="person.opened")
    told = [(fact["actor_tenant"], json.loads(fact["data"])) for fact in sorted(facts, key=lambda row: row["sequence"])]
    told = [each for each in told if each[1]["view"] == "letter"]
    assert told == [
        (tenant, {"door": "api", "view": "letter", "order_id": order}) for tenant in ("vietcombank", worlds.AGENCY)
    ]


def orders() -> list[dict[str, Any]]:
    """The bodies of orders that the contract shows, one of each kind at least."""
    written = json.loads((EXAMPLES / "webhooks" / "receiveOrder.json").read_text("utf-8"))
    more = written.get("more_requests", {}).values()
    return [event["data"] for event in (written["request"], *more)]


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
async def test_every_order_of_the_contract_is_worded_whole(lang: str) -> None:
    wording = Wording(lang, "Ngân hàng Mẫu", "https://hub.example", "kid")
    assert {"freeze", "lift", "extend", "takedown", "preserve", "recall", "disclose"} <= {
        body["action"] for body in orders()
    }
    for body in orders():
        made = wording.letter(body, "signature", PLACED)
        # In Vietnam it is the next day already.
        assert (made.day.day, made.day.month) == (1, 12)
        text, files, (code,) = read(await asyncio.to_thread(page.lay_out, made))
        plain = text.replace("\r\n", "").replace(" ", "")
        assert body["target"]["value"] in plain and body["order_id"] in plain
        assert body["contact"]["phone"] in text and body["document"]["number"] in text
        assert json.loads(files["order.json"]) == body and json.loads(code)["order_id"] == body["order_id"]
        assert body["officer"]["number"] in text
