"""The answers in words, question by question, for the page on which they are checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from service import i18n
from service.console import forms
from service.console.filing import steps
from service.console.filing.steps import Step
from service.console.papers import Reading
from service.i18n import formats, spelling


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer; ``lines`` is empty where it was not answered."""

    step: Step
    lines: tuple[str, ...]


def rows(answers: Mapping[str, str], body: Mapping[str, Any], reading: Reading, ends_at: datetime | None) -> list[Row]:
    """Return a row for each question that has an answer of its own."""
    action = steps.action_of(answers)
    asked = (step for step in steps.order(action) if step in _TELL)
    return [Row(step, tuple(line for line in _TELL[step](answers, body, reading, ends_at) if line)) for step in asked]


def _action(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    return [_term(reading, "action", body["action"])]


def _targets(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    listed = [body["target"]] if "target" in body else body.get("targets", [])
    lines = []
    for each in listed:
        if not each["value"]:
            continue
        notes = [each.get("institution"), each.get("platform"), each.get("holder_name")]
        kind = _term(reading, "target_kind", each["kind"]) if each["kind"] else "?"
        if each.get("intimate"):
            notes.append(reading.label("intimate"))
        lines.append(" · ".join([f"{kind}: {each['value']}", *(note for note in notes if note)]))
        lines.append(each.get("sha256", ""))
    return lines


def _measure(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    return [_term(reading, "measure", body["measure"])] if body.get("measure") else []


def _asked(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    return [i18n.sentence_case(", ".join(reading.term("datum", each) for each in body.get("asked", [])))]


def _window(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    said = body.get("window", {})
    return [
        f"{reading.label(f'window.{name}')}: {_moment(said[name])}" for name in ("since", "until") if said.get(name)
    ]


def _amount(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    if "whole_account" in body:
        whole = i18n.sentence_case(i18n.text("console.request.whole_account", reading.lang))
        return [whole, body["whole_account"]["reason"]]
    value = body.get("amount", {}).get("value", "")
    if not (value.isascii() and value.isdigit()) or len(value) > len(str(10**15)):
        return [value]
    words = spelling.amount_in_words(int(value), reading.lang)
    return [forms.joined(formats.money(value)), i18n.text("console.approve.in_words", reading.lang, words=words)]


def _payment(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    said = body.get("payment", {})
    reference, sender, end_to_end = (said.get(name, "") for name in ("reference", "sender", "end_to_end_id"))
    return [reference, _day(said.get("sent_on", "")), sender, end_to_end]


def _case(_answers: Any, body: Any, _reading: Any, _end: Any) -> list[str]:
    return [body.get("case_number", "")]


def _basis(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    basis = _term(reading, "legal_basis", body["legal_basis"]) if body.get("legal_basis") else ""
    province = body.get("province_code", "")
    return [basis, f"{reading.label('province_code')}: {province}" if province else ""]


def _urgency(_answers: Any, body: Any, reading: Reading, _end: Any) -> list[str]:
    return [_term(reading, "urgency", body["urgency"])] if body.get("urgency") else []


def _ends(answers: Mapping[str, str], body: Any, reading: Reading, end: datetime | None) -> list[str]:
    reason = [_term(reading, "extend_reason", body["reason"])] if body.get("reason") else []
    if not answers.get("until") and not answers.get("ends_at"):
        return reason
    if end is None:
        return [answers.get("ends_at", "") or i18n.text("console.filing.end.by_rule", reading.lang), *reason]
    return [forms.moment(end), *reason]


def _document(_answers: Any, body: Any, _reading: Any, _end: Any) -> list[str]:
    said = body.get("document", {})
    return [said.get("number", ""), _day(said.get("date", ""))]


def _paper(answers: Mapping[str, str], body: Any, _reading: Any, _end: Any) -> list[str]:
    return [answers.get("paper.name", ""), body.get("document", {}).get("sha256", "")]


def _contact(_answers: Any, body: Any, _reading: Any, _end: Any) -> list[str]:
    said = body.get("contact", {})
    return [said.get("name", ""), said.get("phone", ""), said.get("email", "")]


def _term(reading: Reading, group: str, code: str) -> str:
    return i18n.sentence_case(reading.term(group, str(code)))


def _moment(written: str) -> str:
    try:
        return forms.moment(datetime.fromisoformat(written))
    except (ValueError, OverflowError):  # the first and the last hours that there are have no other zone
        return written


def _day(written: str) -> str:
    try:
        return date.fromisoformat(written).strftime("%d/%m/%Y")
    except ValueError:
        return written


_TELL = {
    Step.ACTION: _action,
    Step.TARGETS: _targets,
    Step.MEASURE: _measure,
    Step.ASKED: _asked,
    Step.WINDOW: _window,
    Step.AMOUNT: _amount,
    Step.PAYMENT: _payment,
    Step.CASE: _case,
    Step.BASIS: _basis,
    Step.URGENCY: _urgency,
    Step.END: _ends,
    Step.DOCUMENT: _document,
    Step.PAPER: _paper,
    Step.CONTACT: _contact,
}
