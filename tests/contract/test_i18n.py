"""Every code that the hub can show has its sentence in Vietnamese and in English, and no sentence can go wrong."""

import ast
import enum
import itertools
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service import i18n
from service.i18n import formats
from workflows import authority, record_terms, terms

ROOT = Path(__file__).parents[2]
RAISED = {
    "HubError",
    "InvalidInput",
    "MalformedInput",
    "Unauthenticated",
    "Forbidden",
    "Conflict",
    "TooSlow",
    "TooLarge",
    "UrlTooLong",
    "HeadTooLarge",
    "WrongType",
    "TooManyRequests",
    "Unavailable",
}
IN_STRICT_JSON = {"_refuse", "_Refused"}
ENUMS = [
    found
    for module in (terms, authority, record_terms)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, enum.StrEnum) and found not in (enum.StrEnum, terms.Fact)
]
FULL: dict[str, Any] = {
    "participant": "Vietcombank",
    "officer": "Đội trưởng, số hiệu 123-456",
    "action": "freeze",
    "amount": "150000000",
    "amount_held": {"value": "120000000", "currency": "VND"},
    "amount_asked": 150_000_000,
    "stage": "execute",
    "rung": 2,
    "due_at": "2026-11-23T10:41:00+00:00",
    "ends_at": datetime(2026, 11, 26, 17, 0, tzinfo=UTC),
    "reached": [
        {"reach": "participant", "contacts": 1},
        {"reach": "coordinator", "contacts": 2},
        {"reach": "supervisor", "contacts": 0},
    ],
    "channel": "webhook",
    "before": "pull",
    "why": "not_received",
    "attempt": 3,
    "latency_ms": 1234,
    "refusal": "no_balance",
    "ported_to": "Viettel",
    "reason": "connect.timeout",
    "count": 4,
    "reference": "HT-261123-7K3MQ",
    "urgency": "hoa_toc",
    "kind": "order",
    "rule": "amount_over_cap",
    "client": "pc02-hcm",
    "error": "tls",
    "what": "endpoint",
}


def codes_in_source() -> Iterator[tuple[str, str]]:
    """Yield ("problem" | "field", code) for each constant code that the hub raises."""
    for file in (ROOT / "service").rglob("*.py"):
        raised = RAISED | IN_STRICT_JSON if file.name == "strict_json.py" else RAISED
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Attribute(value=ast.Name(id="InvalidInput") | ast.Attribute(attr="InvalidInput"), attr="of"):
                    kind, place = "field", 1
                case ast.Name(id=name) | ast.Attribute(attr=name) if name in raised:
                    kind, place = "problem", 0
                case ast.Name(id=name) | ast.Attribute(attr=name) if name in {"FieldError", "PydanticCustomError"}:
                    kind, place = "field", 1 if name == "FieldError" else 0
                case _:
                    continue
            if place < len(node.args) and isinstance(code := node.args[place], ast.Constant):
                yield kind, str(code.value)


def templates(file: str) -> Iterator[tuple[str, str]]:
    for lang in i18n.LANGUAGES:
        for key, template in i18n.texts(lang).items():
            if key.startswith(f"{file}."):
                yield lang, template


def test_both_languages_have_the_same_keys() -> None:
    assert i18n.texts("vi").keys() == i18n.texts("en").keys()


def test_both_languages_use_the_same_parameters() -> None:
    def used(template: str) -> set[str]:
        return i18n.parameters(template.replace("[[", "").replace("]]", ""))

    vi, en = i18n.texts("vi"), i18n.texts("en")
    assert [key for key in vi if used(vi[key]) != used(en[key])] == []


def test_no_text_is_empty_and_none_is_left_untranslated() -> None:
    vi, en = i18n.texts("vi"), i18n.texts("en")
    assert [key for key in vi if not vi[key].strip() or not en[key].strip()] == []
    same = {key for key in vi if vi[key] == en[key]}
    # Names of standards are the same in every language, and so is what nobody of either must overlook.
    assert same <= {"terms.channel.webhook", "terms.channel.iso20022", "terms.channel.etsi", "drill.mark"}


@pytest.mark.parametrize("fact", terms.Fact)
def test_every_fact_is_a_sentence_with_and_without_its_data(fact: terms.Fact) -> None:
    for lang in i18n.LANGUAGES:
        names = i18n.parameters(i18n.texts(lang)[f"facts.{fact}"].replace("[[", "").replace("]]", ""))
        given = [name for name in names if name in FULL]
        for size in range(len(given) + 1):
            for chosen in itertools.combinations(given, size):
                data = {name: FULL[name] if name in chosen else None for name in names}
                check_sentence(i18n.fact_text(fact, data, lang))
        check_sentence(i18n.fact_text(fact, {}, lang))


def check_sentence(sentence: str) -> None:
    assert sentence.endswith(".") and sentence[0].isupper(), sentence
    for slip in ("None", "{", "}", "[[", "]]", "|", "  ", " .", " ,", " :", ",,", "()", "..", "T10:41"):
        assert slip not in sentence, sentence


def test_a_fact_tells_what_a_person_wants_to_know() -> None:
    data = {**FULL, "amount_asked": "150000000"}
    assert i18n.fact_text(terms.Fact.ORDER_PARTLY_EXECUTED, data, "vi") == (
        "Vietcombank đã thực hiện một phần lệnh phong tỏa: giữ 120.000.000 ₫ trong tổng số 150.000.000 ₫ được yêu cầu."
    )
    assert i18n.fact_text(terms.Fact.ESCALATION_RAISED, FULL, "en") == (
        "Escalation, rung 2 (execution) about Vietcombank; notified: the participant's duty contact, the coordinator."
    )
    assert i18n.fact_text(terms.Fact.DEADLINE_MISSED, {"participant_id": "vcb", "due_at": FULL["due_at"]}, "vi") == (
        "vcb đã quá hạn (hạn 17:41:00 23/11/2026)."
    )


@pytest.mark.parametrize("member", [member for found in ENUMS for member in found], ids=repr)
def test_every_member_of_the_vocabulary_has_a_name(member: enum.StrEnum) -> None:
    for lang in i18n.LANGUAGES:
        assert i18n.term(member, lang)


def test_every_error_that_the_source_raises_has_its_texts() -> None:
    found = set(codes_in_source())
    assert {("problem", "json.depth"), ("problem", "body.too_large"), ("field", "target.card")} <= found
    missing = [
        code
        for kind, code in sorted(found)
        if not (
            (i18n.has(f"errors.{code}.title") and i18n.has(f"errors.{code}.detail"))
            or (kind == "field" and i18n.has(f"fields.{code}"))
        )
    ]
    assert missing == []


@pytest.mark.parametrize("rule", authority.RULE_NAMES)
def test_every_authority_rule_has_its_texts(rule: str) -> None:
    params = {"basis": "cpc_129", "action": "freeze", "rank": "dai_ta", "cap": "50000000", "level": "ward"}
    for lang, given in itertools.product(i18n.LANGUAGES, ({}, params)):
        assert i18n.text(f"errors.authority.{rule}.title", lang, **given)
        check_sentence(i18n.text(f"errors.authority.{rule}.detail", lang, **given))


@pytest.mark.parametrize("file", ["errors", "fields"])
def test_an_error_text_needs_no_parameter_to_be_a_sentence(file: str) -> None:
    for lang in i18n.LANGUAGES:
        for key in i18n.texts(lang):
            if key.startswith(f"{file}.") and not key.endswith(".title"):
                check_sentence(i18n.text(key, lang))


def test_every_form_of_a_parameter_is_a_known_one() -> None:
    groups = {key.split(".")[1] for key in i18n.texts("vi") if key.startswith("terms.")}
    known = {"", "money", "instant", "duration", *groups}
    for file in ("errors", "fields", "facts", "notices"):
        for _lang, template in templates(file):
            plain = template.replace("[[", "").replace("]]", "")
            assert {form or "" for _, name, form, _ in string.Formatter().parse(plain) if name} <= known


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
@pytest.mark.parametrize("reach", terms.Reach)
@pytest.mark.parametrize("rung", [1, 2, 3, 4])
def test_a_notice_says_what_to_do_and_nothing_personal(rung: int, reach: terms.Reach, lang: str) -> None:
    subject, body = i18n.notice(
        rung, reach, lang, reference="HT-1", participant="VCB", stage="execute", due_at=FULL["due_at"]
    )
    assert "HT-1" in subject and "VCB" in subject and "\n" not in subject
    assert "17:41:00 23/11/2026" in body and "HT-1" in body
    # A deadline of an endpoint or a task belongs to no request.
    assert ": " not in i18n.notice(rung, reach, lang, participant="VCB", stage="task", due_at=FULL["due_at"])[0][:12]
    # A maintenance is told in the same message, and that the deadline runs on.
    said = {"participant": "VCB", "stage": "execute", "due_at": FULL["due_at"]}
    _, resting = i18n.notice(rung, reach, lang, "2026-12-01T05:00:00Z", **said)
    runs_on = {"vi": "thời hạn vẫn tính", "en": "the deadline runs on"}[lang]
    assert "12:00:00 01/12/2026" in resting and runs_on in resting and runs_on not in body
    allowed = {"reference", "participant", "stage", "due_at", "until"}
    for _lang, template in templates("notices"):
        assert i18n.parameters(template.replace("[[", "").replace("]]", "")) <= allowed


def test_money_and_instants_are_written_as_in_vietnam() -> None:
    assert formats.money(150_000_000) == formats.money("150000000") == "150.000.000 ₫"
    assert formats.money({"value": "0", "currency": "VND"}) == "0 ₫"
    assert formats.instant(datetime(2026, 12, 31, 17, 0, tzinfo=UTC)) == "00:00:00 01/01/2027"
    assert (formats.duration(340, "vi"), formats.duration(1234, "vi"), formats.duration(1234, "en")) == (
        "340 ms",
        "1,2 s",
        "1.2 s",
    )
    with pytest.raises(ValueError, match="time zone"):
        formats.instant("2026-01-01T00:00:00")


def test_a_missing_text_and_a_missing_parameter_are_said() -> None:
    with pytest.raises(i18n.MissingText, match="no such key"):
        i18n.text("no such key", "vi")
    with pytest.raises(i18n.MissingText, match="participant"):
        i18n.text("notices.rung_1.subject", "vi", reference="x")
    with pytest.raises(i18n.MissingText):
        i18n.text("errors.not_found.title", "fr")


def test_a_name_with_braces_is_shown_and_not_read() -> None:
    sentence = i18n.fact_text(terms.Fact.ORDER_ACKNOWLEDGED, {"participant": "{0.__class__} [[x|y]]"}, "en")
    assert sentence.startswith("{0.__class__} [[x|y]]")
