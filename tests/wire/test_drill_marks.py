"""An order of an exercise says so on every channel, where programs and people look; a real one never does."""

import base64
import dataclasses
import email.policy
import json
from email import message_from_bytes
from typing import Any

import adapter_cases
import iso_orders
import message_kinds
import pypdfium2
import pytest
import zxingcpp
from adapter_cases import CASES, LETTERS, PULLED
from iso_bank import Bank
from lxml import etree

from adapters.base import Message
from adapters.iso20022 import envelope, parse, terms, xml
from adapters.letter import page
from service import i18n
from service.actions.letter_wording import Wording
from workflows.terms import Channel

MARK = "DIỄN TẬP – EXERCISE"


def is_drill(name: str) -> bool:
    return "drill" in name


async def sent(channel: Channel) -> dict[str, bytes]:
    case = CASES[channel]
    return {name: await adapter_cases.sent(case, message) for name, message in case.messages.items()}


async def test_a_webhook_says_it_in_its_envelope_and_in_the_body_that_is_signed() -> None:
    for name, content in (await sent(Channel.WEBHOOK)).items():
        event = json.loads(content)
        said = (event.get("hoatocdrill"), event["data"].get("drill"))
        assert said == ((True, True) if is_drill(name) else (None, None)), name


def test_an_inbox_says_it_in_the_body_that_is_signed() -> None:
    for name, message in PULLED.items():
        (item,) = adapter_cases.pulled(message)["items"]
        assert item["body"].get("drill") is (True if is_drill(name) else None), name


async def test_a_bank_sees_another_business_service_and_a_word_in_the_details() -> None:
    for name, content in (await sent(Channel.ISO20022)).items():
        root = etree.fromstring(content)
        service = xml.text(root[0], "BizSvc")
        marked = [each.text for each in root.iter(f"{{{xml.ORDER}}}Drll")]
        assert (service, marked) == (("hoatoc.drill.1", ["true"]) if is_drill(name) else ("hoatoc.order.1", [])), name
        assert envelope.open_(content).drill is is_drill(name)


def test_what_a_bank_answers_says_which_of_the_two_it_answers() -> None:
    bank = Bank(iso_orders.BANK_KEY, iso_orders.BANK_KID)
    reference = terms.reference(iso_orders.HOLD, 1)
    assert parse.read(bank.receipt(reference, "PDNG")).drill is False
    bank.drill = True
    assert parse.read(bank.receipt(reference, "PDNG")).drill is True


async def test_a_telecom_sees_etsis_own_flag_for_a_test_wherever_the_standard_has_one() -> None:
    for name, content in (await sent(Channel.ETSI)).items():
        actions = json.loads(content)["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]
        made = [each["HI1Object"] for action in actions for each in action.values() if isinstance(each, dict)]
        flags = {
            each["@xsi:type"].rpartition("}")[2]: str(each.get("auth:AuthorisationFlags", each.get("task:Flags", "")))
            for each in made
        }
        tested = {kind for kind, said in flags.items() if "IsTest" in said}
        wanted = {"AuthorisationObject"} | ({"LDTaskObject"} & flags.keys())
        assert tested == (wanted if is_drill(name) else set()), name
        (inside,) = [each["doc:DocumentBody"]["doc:Contents"] for each in made if "doc:Contents" in str(each)]
        assert (json.loads(base64.b64decode(inside)).get("drill") is True) is is_drill(name)


async def test_a_mail_says_it_first_in_its_subject_and_in_both_languages() -> None:
    for name, content in (await sent(Channel.EMAIL)).items():
        letter = message_from_bytes(content, policy=email.policy.default)
        text = letter.get_content()
        assert letter["Subject"].startswith(MARK) is is_drill(name)
        assert text.count(MARK) == (2 if is_drill(name) else 0)
        for lang in i18n.LANGUAGES:
            assert (i18n.text("drill.notice", lang) in text) is is_drill(name)


def lettered(message: Message, lang: str) -> page.Letter:
    wording = Wording(lang, "Ngân hàng Mẫu", "https://hub.example", "kid")
    return wording.letter(message.body, message.signature or "", message.occurred_at)


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_a_letter_says_it_on_every_page_in_its_title_and_in_its_code(lang: str) -> None:
    real, drill = (lettered(message_kinds.ORDERS[name], lang) for name in ("freeze", "drill-freeze"))
    # As long as three pages.
    drill = dataclasses.replace(drill, lines=drill.lines * 12)
    document = pypdfium2.PdfDocument(page.lay_out(drill))
    texts = [sheet.get_textpage().get_text_range() for sheet in document]
    assert len(texts) >= 3
    # Above and below on each page; and in words, where the reading begins.
    assert [text.count(MARK) for text in texts] == [3] + [2] * (len(texts) - 1)
    assert document.get_metadata_value("Title").startswith(MARK)
    said = drill.drill_note.split()[:4]
    assert " ".join(said) in texts[0].replace("\r\n", " ")
    assert json.loads(codes(document)[0])["drill"] is True
    plain = pypdfium2.PdfDocument(page.lay_out(real))
    assert all(MARK not in sheet.get_textpage().get_text_range() for sheet in plain)
    assert "drill" not in json.loads(codes(plain)[0])


def codes(document: Any) -> list[str]:
    pictures = [sheet.render(scale=3).to_pil() for sheet in document]
    return [
        found.text for picture in pictures for found in zxingcpp.read_barcodes(picture, zxingcpp.BarcodeFormat.QRCode)
    ]


def test_every_drill_letter_of_the_golden_files_is_marked_and_no_other() -> None:
    for name in LETTERS:
        made = json.loads((adapter_cases.GOLDEN / "letter" / name).read_bytes())
        assert made["drill"] == (MARK if is_drill(name) else ""), name
