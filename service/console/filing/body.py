"""Answers turned into the body that is signed: as people write them, brought to the form of the contract."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from service import canonical_json
from service.console.filing import steps
from workflows.routing import SECTORS
from workflows.terms import MONEY_TARGETS, Action, Sector, TargetKind
from workflows.working_hours import VIETNAM

Answers = Mapping[str, str]
_PLATFORM = frozenset({TargetKind.SOCIAL_ACCOUNT})
_HOSTS = frozenset({TargetKind.DOMAIN})
_ADDRESSES = frozenset({TargetKind.URL, TargetKind.CONTENT})
_SPACED = str.maketrans("", "", " .-\N{NO-BREAK SPACE}")
_OF_TARGET = ("value", "at", "holder_name", "sha256", "intimate")
_SUM = re.compile(r"\d+|\d{1,3}(?:[.,  ]\d{3})+")
_DAYS = frozenset({"document.date", "payment.sent_on"})
_TIMES = frozenset({"ends_at", "window.since", "window.until"})
_FIELD = "%Y-%m-%dT%H:%M"  # what a field for day and time takes and gives
_DAY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
# A target that has none of these says nothing, and is left out.
_SAYS = ("value", "at", "sha256")
_TARGET = re.compile(r"targets\.(\d{1,3})\.\w+")


def build(answers: Answers, officer_id: str) -> dict[str, Any]:
    """Return the body of a request; what was not answered is not in it, what is wrong stays as it was written."""
    action = steps.action_of(answers)
    said: dict[str, Any] = {"action": answers.get("action", ""), "officer_id": officer_id}
    for name in ("case_number", "urgency", "legal_basis", "province_code", "measure"):
        _put(said, name, answers)
    said["document"] = _members(answers, "document", ("number", "date", "sha256"))
    said["document"] |= {"date": day(said["document"]["date"])} if "date" in said["document"] else {}
    said["contact"] = _members(answers, "contact", ("name", "phone", "email"))
    said["contact"] |= {"phone": e164(said["contact"]["phone"])} if "phone" in said["contact"] else {}
    if action is None:
        return said
    if action in steps.FOLLOW_UPS:
        said["original_request_id"] = answers.get("original_request_id", "")
        if action is Action.EXTEND:
            said["ends_at"] = instant(answers.get("ends_at", ""))
            _put(said, "reason", answers)
        said.pop("measure", None)
        return said
    targets = [_target(answers, place) for place in places(answers)]
    if action in steps.ONE:
        said["target"] = targets[0] if targets else {"kind": str(TargetKind.ACCOUNT), "value": ""}
    else:
        said["targets"] = targets
    if steps.Step.AMOUNT in steps.order(action):
        _amount(said, answers, action)
    if action is Action.RECALL:
        said["payment"] = _members(answers, "payment", ("reference", "sent_on", "sender", "end_to_end_id"))
        said["payment"] |= {"sent_on": day(said["payment"]["sent_on"])} if "sent_on" in said["payment"] else {}
    if action is Action.TRACE:
        window = _members(answers, "window", ("since", "until"))
        said["window"] = {name: instant(written) for name, written in window.items()}
    if action is Action.DISCLOSE:
        said["asked"] = sorted(name.removeprefix("asked.") for name in answers if name.startswith("asked."))
    if steps.Step.END in steps.order(action) and answers.get("until") == "named":
        said["ends_at"] = instant(answers.get("ends_at", ""))
    if action is not Action.TAKEDOWN:
        said.pop("measure", None)
    return said


def content(body: Mapping[str, Any]) -> bytes:
    """Return the body in the form that is signed (RFC 8785)."""
    return canonical_json.dumps(body)


def places(answers: Answers) -> list[int]:
    """Return the numbers of the targets that say something, in their order."""
    named = {int(match[1]) for name in answers if (match := _TARGET.fullmatch(name))}
    return [place for place in sorted(named) if any(answers.get(f"targets.{place}.{name}") for name in _SAYS)]


def kind_of(answers: Answers, place: int) -> TargetKind | None:
    """Return the kind of a target as it was chosen."""
    chosen = answers.get(f"targets.{place}.kind", "")
    return TargetKind(chosen) if chosen in set(TargetKind) else None


def asks_where(kind: TargetKind) -> bool:
    """Tell whether somebody must say who holds a target of this kind."""
    return kind in MONEY_TARGETS or kind in _PLATFORM


def may_say_where(kind: TargetKind) -> bool:
    """Tell whether somebody may say who holds a target of this kind: of content, where its address does not."""
    return asks_where(kind) or kind is TargetKind.CONTENT


def value_of(kind: TargetKind | None, written: str) -> str:
    """Return a target's value without what people put in for the eye."""
    text = written.strip()
    if kind in MONEY_TARGETS:
        plain = text.translate(_SPACED)
        return plain.upper() if kind is TargetKind.ACCOUNT else plain
    if kind is TargetKind.PHONE:
        return e164(text)
    if kind in _HOSTS:
        return text.lower().removeprefix("https://").removeprefix("http://").strip("/")
    if kind in _ADDRESSES and text and "://" not in text:
        return f"https://{text}"
    return text


def e164(written: str) -> str:
    """Return a telephone number as +84…; one that is written as at home begins with 0."""
    text = written.translate(_SPACED)
    return f"+84{text[1:]}" if re.fullmatch(r"0\d{8,10}", text) else text


def money(written: str) -> str:
    """Return a sum in digits alone, or as it was written where that is no sum."""
    text = re.sub(r"\s*(₫|đ|vnd|vnđ|đồng)$", "", written.strip(), flags=re.I)
    return re.sub(r"\D", "", text) if _SUM.fullmatch(text) else text


def kept(name: str, written: str) -> str:
    """Return an answer as it is kept: days and times as fields for them take them back, all else as it was written."""
    text = written.replace("\r\n", "\n")
    if name in _DAYS:
        return day(text)
    if name in _TIMES and (found := _moment(text)) is not None:
        return found.strftime(_FIELD)
    return text


def day(written: str) -> str:
    """Return a day as the contract writes it; people write 20/11/2026."""
    match = _DAY.fullmatch(written.strip())
    return f"{match[3]}-{int(match[2]):02}-{int(match[1]):02}" if match else written.strip()


def instant(written: str) -> str:
    """Return a time of a day in Vietnam as an instant; people write "2026-12-01T10:00" or "10:00 01/12/2026"."""
    found = _moment(written)
    return found.replace(tzinfo=VIETNAM).isoformat() if found else written.strip()


def field_of(at: datetime) -> str:
    """Return a time in Vietnam as a field for day and time takes it."""
    return at.strftime(_FIELD)


def _moment(written: str) -> datetime | None:
    for form in (_FIELD, "%Y-%m-%dT%H:%M:%S", "%H:%M %d/%m/%Y"):
        try:
            return datetime.strptime(written.strip(), form)  # noqa: DTZ007 - in Vietnam, as the page says
        except ValueError:
            continue
    return None


def sectors(action: Action) -> frozenset[Sector]:
    """Return the sectors that can hold what a request of this kind names, where somebody must say who."""
    asked = [SECTORS[kind] for kind in steps.kinds(action) if asks_where(kind)]
    return frozenset[Sector]().union(*asked)


def today(now: datetime) -> date:
    """Return the day in Vietnam."""
    return now.astimezone(VIETNAM).date()


def _amount(said: dict[str, Any], answers: Answers, action: Action) -> None:
    if action is Action.FREEZE and answers.get("extent") == "whole":
        said["whole_account"] = {"reason": answers.get("whole_account.reason", "").strip()}
    elif action is Action.RECALL or answers.get("extent") == "amount":
        said["amount"] = {"value": money(answers.get("amount", "")), "currency": "VND"}


def _target(answers: Answers, place: int) -> dict[str, Any]:
    kind = kind_of(answers, place)
    written = {name: answers.get(f"targets.{place}.{name}", "").strip() for name in _OF_TARGET}
    said: dict[str, Any] = {"kind": str(kind or ""), "value": value_of(kind, written["value"])}
    if kind in MONEY_TARGETS:
        said["holder_name"] = written["holder_name"]
        if written["at"] or kind is not TargetKind.CARD:
            said["institution"] = written["at"]
    if kind in _PLATFORM:
        said["platform"] = written["at"]
    if kind is TargetKind.CONTENT:
        said |= {"platform": written["at"]} if written["at"] else {}
        said["sha256"] = "".join(written["sha256"].lower().split())
        said |= {"intimate": True} if written["intimate"] else {}
    return said


def _put(said: dict[str, Any], name: str, answers: Answers) -> None:
    if answers.get(name, "").strip():
        said[name] = answers[name].strip()


def _members(answers: Answers, group: str, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: answers.get(f"{group}.{name}", "").strip() for name in names}
    return {name: value for name, value in found.items() if value}
