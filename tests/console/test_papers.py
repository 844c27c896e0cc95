"""A paper in words: each member of the text is told, whatever it is, and amounts are spelled as on paper."""

import re
from typing import Any

import pytest

from service import i18n
from service.console import papers
from service.i18n.spelling import amount_in_words
from workflows.terms import Action

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
BASE: dict[str, Any] = {
    "case_number": "01/2026/CA",
    "urgency": "hoa_toc",
    "legal_basis": "decree_52_11",
    "officer_id": "can-bo-1",
    "province_code": "79",
    "document": {"number": "15/QD-PC02", "date": "2026-11-20", "sha256": "ab" * 32},
    "contact": {"name": "Trực ban", "phone": "+84283000111", "email": "truc@agency.example"},
}
MONEY = {"kind": "account", "value": "9990001112223", "institution": "970436", "holder_name": "NGUYEN VAN MAU"}
HOST = {"kind": "domain", "value": "mau.example.com"}
IMAGE = {
    "kind": "content",
    "value": "https://mau.example.com/a",
    "platform": "facebook",
    "sha256": "cd" * 32,
    "perceptual_hash": "0f" * 8,
    "intimate": True,
}
ENDS = "2026-11-27T03:00:00Z"
BODIES: dict[str, dict[str, Any]] = {
    "freeze": {
        "action": "freeze",
        "target": MONEY,
        "amount": {"value": "150000000", "currency": "VND"},
        "ends_at": ENDS,
    },
    "whole": {"action": "freeze", "target": MONEY, "whole_account": {"reason": "Đang bị rút"}, "amount": None},
    "one": {"action": "takedown", "measure": "block", "targets": [HOST], "starts_at": "2026-11-24t03:00:00.5z"},
    "many": {"action": "takedown", "measure": "remove", "targets": [HOST, IMAGE]},
    "preserve": {"action": "preserve", "targets": [MONEY, HOST]},
    "lift": {"action": "lift", "original_request_id": "01a20b6b-f72c-7204-8d6d-1b1c98c21e8b"},
    "extend": {"action": "extend", "original_request_id": "01a20b6b-f72c-7204-8d6d-1b1c98c21e8b", "ends_at": ENDS},
    "recall": {
        "action": "recall",
        "target": MONEY,
        "amount": {"value": "150000000", "currency": "VND"},
        "payment": {"reference": "FT26327", "sent_on": "2026-11-20", "sender": "970407", "end_to_end_id": "E2E-417"},
    },
    "disclose": {"action": "disclose", "targets": [MONEY], "asked": ["holder_name", "holder_document"]},
    "disclose many": {"action": "disclose", "targets": [MONEY, HOST], "asked": ["holder_name", "opened_on"]},
    "trace": {
        "action": "trace",
        "target": MONEY,
        "window": {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00+07:00"},
    },
    "unknown": {
        "action": "seize",
        "target": MONEY,
        "amount": {"value": "7", "currency": "USD"},
        "new": {"deep": [1.5]},
    },
}

TERMS = ("action", "measure", "urgency", "legal_basis", "target_kind", "datum")


def reading(lang: str) -> papers.Reading:
    return papers.Reading(lang, lambda officer: f"Thượng tá {officer}")


def told(body: dict[str, Any], lang: str) -> str:
    lines = [line for group in papers.groups(body, reading(lang)) for line in group.lines]
    return "\n".join(f"{line.label}\n{line.text}\n{line.note}" for line in lines)


def leaves(node: Any) -> list[Any]:
    if isinstance(node, dict | list):
        return [leaf for each in (node.values() if isinstance(node, dict) else node) for leaf in leaves(each)]
    return [node]


@BOTH
@pytest.mark.parametrize("name", BODIES)
def test_every_member_of_the_text_is_told(name: str, lang: str) -> None:
    body = BASE | BODIES[name]
    words = told(body, lang)
    spoken = {
        "150000000": "150.000.000",
        "2026-11-20": "20/11/2026",
        ENDS: "10:00:00 27/11/2026",
        "2026-11-24t03:00:00.5z": "10:00:00 24/11/2026",
        "VND": "₫" if "₫" in words else "VND",
        "seize": "Seize",
        None: "null",
        True: {"vi": "có", "en": "yes"}[lang],
    }
    for leaf in leaves(body):
        said = spoken.get(leaf, str(leaf))
        names = [i18n.texts(lang).get(f"terms.{group}.{leaf}", "") for group in TERMS]
        assert said in words or any(name and name.lower() in words.lower() for name in names), leaf
    assert not re.search(r"console\.|terms\.|None|\{", words)


@BOTH
@pytest.mark.parametrize("name", [name for name in BODIES if name != "unknown"])
def test_what_the_signature_does_is_one_sentence(name: str, lang: str) -> None:
    original = "HT-261124-ABCDEF" if "original_request_id" in BODIES[name] else None
    said = papers.summary(BASE | BODIES[name], reading(lang), ends_at=None, original=original, at="Vietcombank")
    assert said.endswith(".") and "None" not in said and "{" not in said and "[[" not in said
    for part in {
        "freeze": ("150.000.000 ₫", "9990001112223", "970436 (Vietcombank)", "NGUYEN VAN MAU"),
        "whole": ({"vi": "TOÀN BỘ", "en": "WHOLE"}[lang], "9990001112223"),
        "one": ("mau.example.com",),
        "many": (" 2 ",),
        "preserve": (" 2 ",),
        "recall": ("150.000.000 ₫", "9990001112223", "970436 (Vietcombank)"),
        "disclose": ("9990001112223", i18n.text("terms.datum.holder_document", lang)),
        "disclose many": (" 2 ", i18n.text("terms.datum.opened_on", lang)),
        "trace": ("9990001112223", "23/11/2026", "00:00:00 24/11/2026"),
        "lift": ("HT-261124-ABCDEF",),
        "extend": ("HT-261124-ABCDEF",),
    }[name]:
        assert part in said


def test_each_action_can_be_told() -> None:
    assert {body["action"] for body in BODIES.values()} == {*map(str, Action), "seize"}


@pytest.mark.parametrize(
    ("amount", "vietnamese", "english"),
    [
        (0, "không", "zero"),
        (5, "năm", "five"),
        (10, "mười", "ten"),
        (15, "mười lăm", "fifteen"),
        (21, "hai mươi mốt", "twenty-one"),
        (111, "một trăm mười một", "one hundred eleven"),
        (105, "một trăm linh năm", "one hundred five"),
        (1_005, "một nghìn không trăm linh năm", "one thousand five"),
        (150_000_000, "một trăm năm mươi triệu", "one hundred fifty million"),
        (1_050_000, "một triệu không trăm năm mươi nghìn", "one million fifty thousand"),
        (92_500_000, "chín mươi hai triệu năm trăm nghìn", "ninety-two million five hundred thousand"),
        (3_005_000_000, "ba tỷ không trăm linh năm triệu", "three billion five million"),
        (10**12, "một nghìn tỷ", "one trillion"),
        (10**15, "một triệu tỷ", "one quadrillion"),
    ],
)
def test_an_amount_is_spelled_as_on_paper(amount: int, vietnamese: str, english: str) -> None:
    assert amount_in_words(amount, "vi") == f"{vietnamese} đồng"
    assert amount_in_words(amount, "en") == f"{english} đồng"
