"""Puts the text that an officer signs into words: every member of it once, read from the text itself."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from service import i18n
from service.console import forms
from service.i18n import formats, spelling
from workflows.terms import Action

# Which of the members belong together, in the order in which a reader asks for them.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "demand": (
        "action",
        "measure",
        "amount",
        "whole_account.reason",
        "window.since",
        "window.until",
        "starts_at",
        "ends_at",
        "reason",
        "original_request_id",
        "urgency",
    ),
    "payment": ("payment.reference", "payment.sent_on", "payment.sender", "payment.end_to_end_id"),
    "targets": (),
    "basis": ("legal_basis", "document.number", "document.date", "document.sha256", "case_number", "province_code"),
    "people": ("officer_id", "contact.name", "contact.phone", "contact.email"),
}
_TERMS = {
    "action": "action",
    "measure": "measure",
    "urgency": "urgency",
    "legal_basis": "legal_basis",
    "reason": "extend_reason",
}
_DIGESTS = frozenset({"sha256", "document.sha256", "perceptual_hash", "original_request_id"})
_WINDOW = ("window.since", "window.until")
_IN_TARGETS = ("institution", "platform", "holder_name", "sha256", "perceptual_hash", "intimate")


@dataclass(frozen=True, slots=True)
class Line:
    """One member in words: its label and value, a second line under it; ``is_code`` for what is compared by letters."""

    label: str
    text: str
    note: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Members that belong together; ``name`` is a key of ``console.approve.group``."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a paper is read: in which language, and how the officers it names are called."""

    lang: str
    officer: Callable[[str], str] = field(repr=False)

    def label(self, name: str, **params: Any) -> str:
        """Return the label of a member."""
        return i18n.text(f"console.approve.field.{name.replace('.', '_')}", self.lang, **params)

    def term(self, group: str, code: str) -> str:
        """Return a code's display name; one of a newer version is shown as it is."""
        return i18n.texts(self.lang).get(f"terms.{group}.{code}", code)


def groups(body: Mapping[str, Any], reading: Reading) -> tuple[Group, ...]:
    """Return all that stands in ``body``: what this version has no words for comes last, as it is."""
    left = dict(_leaves(body))
    made = []
    for name, members in _GROUPS.items():
        lines = list(_targets(body, reading, left)) if name == "targets" else _lines(members, left, reading)
        if name == "demand" and isinstance(body.get("asked"), list):
            for place in range(len(body["asked"])):
                left.pop(f"asked.{place}", None)
            lines.append(Line(reading.label("asked"), _asked(body["asked"], reading)))
        made.append(Group(name, tuple(lines)))
    made.append(Group("more", tuple(Line(path, _raw(value), is_code=True) for path, value in left.items())))
    return tuple(group for group in made if group.lines)


def summary(
    body: Mapping[str, Any], reading: Reading, *, ends_at: datetime | None, original: str | None, at: str = ""
) -> str:
    """Return in one sentence what the signature sets in motion.

    ``original`` is the reference of the request that it is about, ``at`` how the one recipient is called.
    """
    targets = _listed(body)
    first: Mapping[str, Any] = targets[0] if targets else {}
    institution = first.get("institution") or first.get("platform")
    action = str(body.get("action"))
    key = action
    if action == Action.FREEZE and body.get("whole_account"):
        key = "freeze_whole"
    elif action in {Action.TAKEDOWN, Action.DISCLOSE} and len(targets) == 1:
        key = f"{action}_one"
    window = {
        name: forms.moment(datetime.fromisoformat(str(written).upper()))
        for name, written in body.get("window", {}).items()
    }
    return i18n.text(
        f"console.approve.does.{key}",
        reading.lang,
        amount=formats.money(body["amount"]) if body.get("amount") else None,
        kind=reading.term("target_kind", str(first.get("kind"))),
        value=first.get("value"),
        institution=f"{institution} ({at})" if institution and at else institution or at,
        holder=first.get("holder_name"),
        measure=i18n.sentence_case(reading.term("measure", str(body.get("measure")))),
        count=len(targets),
        asked=_asked(body.get("asked", ()), reading),
        end=forms.moment(ends_at) if ends_at else None,
        original=original,
        **window,
    )


def _asked(asked: Iterable[Any], reading: Reading) -> str:
    return ", ".join(reading.term("datum", str(datum)) for datum in asked)


def _listed(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [body["target"]] if "target" in body else list(body.get("targets", ()))


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of the text with the way to it: ``targets.0.kind``."""
    if isinstance(node, Mapping | list):
        members = node.items() if isinstance(node, Mapping) else enumerate(node)
        for name, value in members:
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def _lines(members: tuple[str, ...], left: dict[str, Any], reading: Reading) -> list[Line]:
    lines = []
    for name in members:
        if name == "amount" and "amount.value" in left:
            lines.append(_amount(left, reading))
        elif left.get(name) is not None:
            value = str(left.pop(name))
            lines.append(Line(reading.label(name), *_worded(name, value, reading), is_code=name in _DIGESTS))
    return lines


def _amount(left: dict[str, Any], reading: Reading) -> Line:
    value, currency = str(left.pop("amount.value")), left.pop("amount.currency", "VND")
    if currency != "VND" or not value.isdigit():
        return Line(reading.label("amount"), f"{value} {currency}")
    words = spelling.amount_in_words(int(value), reading.lang)
    note = i18n.text("console.approve.in_words", reading.lang, words=words)
    return Line(reading.label("amount"), forms.joined(formats.money(value)), note)


def _worded(name: str, value: str, reading: Reading) -> tuple[str, str]:
    """Return a member's value as it is read, and what is added under it."""
    if name in _TERMS:
        return i18n.sentence_case(reading.term(_TERMS[name], value)), ""
    if name == "officer_id":
        return reading.officer(value), value
    if name in {"document.date", "payment.sent_on"}:
        return date.fromisoformat(value).strftime("%d/%m/%Y"), ""
    if name.endswith("_at") or name in _WINDOW:
        return forms.moment(datetime.fromisoformat(value.upper())), value
    return value, ""


def _targets(body: Mapping[str, Any], reading: Reading, left: dict[str, Any]) -> Iterator[Line]:
    listed = _listed(body)
    for position in range(len(listed)):
        path = "target" if "target" in body else f"targets.{position}"
        label = reading.label("target") if len(listed) == 1 else reading.label("target_number", number=position + 1)
        kind, value = left.pop(f"{path}.kind"), left.pop(f"{path}.value")
        notes = []
        for name in _IN_TARGETS:
            if left.get(f"{path}.{name}") is not None:
                notes.append(f"{reading.label(name)}: {_plain(left.pop(f'{path}.{name}'), reading)}")
        yield Line(f"{label} · {reading.term('target_kind', str(kind))}", str(value), " · ".join(notes))


def _raw(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(value: Any, reading: Reading) -> str:
    return reading.label("yes" if value else "no") if isinstance(value, bool) else str(value)
