"""Makes the entries of a timeline from its facts: one each, or one for many that say the same at the same time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service import i18n
from service.console import forms
from service.queries.board import Background
from service.schemas.requests import FactAnswer, OrderAnswer, TimelineAnswer
from workflows.terms import ActorKind, Fact

# A takedown of a hundred targets tells each step a hundred times; from this many on they become one entry.
_MANY = 4
_TOGETHER = timedelta(seconds=60)

# What each fact looks like: a drawing of the sprite, and a tone that the stylesheet gives a colour and a frame.
LOOKS: Mapping[Fact, tuple[str, str]] = {
    Fact.REQUEST_SUBMITTED: ("file", "info"),
    Fact.REQUEST_APPROVED: ("seal", "good"),
    Fact.REQUEST_ACTIVATED: ("bolt", "good"),
    Fact.REQUEST_REFUSED: ("cross", "bad"),
    Fact.REQUEST_WITHDRAWN: ("undo", "quiet"),
    Fact.REQUEST_LAPSED: ("hourglass", "quiet"),
    Fact.REQUEST_REVIEWED: ("seal", "good"),
    Fact.REQUEST_UNREVIEWED: ("alert", "warn"),
    Fact.REQUEST_CLOSED: ("flag", "good"),
    Fact.REQUEST_EXTENDED: ("clock", "info"),
    Fact.REQUEST_HELD: ("phone", "warn"),
    Fact.REQUEST_RELEASED: ("bolt", "good"),
    Fact.SILENCE_ENDED: ("send", "info"),
    Fact.CALLBACK_ANSWERED: ("phone", "info"),
    Fact.APPEAL_FILED: ("file", "warn"),
    Fact.APPEAL_ANSWERED: ("send", "info"),
    Fact.APPEAL_DECIDED: ("seal", "good"),
    Fact.LIFTS_UNUSUAL: ("phone", "warn"),
    Fact.HOLD_OVERLAPS: ("overlap", "info"),
    Fact.HOLD_ENDING: ("hourglass", "warn"),
    Fact.HOLD_ASKED: ("send", "info"),
    Fact.HOLD_CONFIRMED: ("lock", "good"),
    Fact.ORDER_PLACED: ("order", "info"),
    Fact.ORDER_DELIVERED: ("inbox", "info"),
    Fact.ORDER_ACKNOWLEDGED: ("eye", "info"),
    Fact.ORDER_ACKNOWLEDGEMENT_EXPIRED: ("hourglass", "warn"),
    Fact.ORDER_EXECUTED: ("lock", "good"),
    Fact.ORDER_PARTLY_EXECUTED: ("half", "warn"),
    Fact.ORDER_REFUSED: ("cross", "bad"),
    Fact.ORDER_REROUTED: ("fork", "info"),
    Fact.ORDER_WITHDRAWN: ("undo", "quiet"),
    Fact.ORDER_LAPSED: ("hourglass", "quiet"),
    Fact.ORDER_LIFTED: ("unlock", "good"),
    Fact.ORDER_CONTRADICTED: ("alert", "warn"),
    Fact.LATE_ANSWER_LIFTED: ("unlock", "warn"),
    Fact.DISPATCH_SENT: ("send", "quiet"),
    Fact.DISPATCH_FAILED: ("send-failed", "warn"),
    Fact.DISPATCH_DEAD: ("send-failed", "bad"),
    Fact.DISPATCH_PULLED: ("inbox", "info"),
    Fact.DISPATCH_HANDED_OVER: ("fork", "warn"),
    Fact.DEADLINE_MET: ("clock-met", "quiet"),
    Fact.DEADLINE_MISSED: ("clock-missed", "bad"),
    Fact.NOTE_WRITTEN: ("file", "quiet"),
    Fact.ESCALATION_RAISED: ("ladder", "rung"),
    Fact.ESCALATION_UNREACHABLE: ("ladder", "rung"),
    Fact.ESCALATION_HASTENED: ("ladder", "warn"),
    Fact.ENDPOINT_DOWN: ("plug", "bad"),
    Fact.ENDPOINT_UP: ("plug", "good"),
    Fact.TASK_OPENED: ("task", "warn"),
    Fact.TASK_RESOLVED: ("task", "good"),
    Fact.REQUEST_ERASED: ("cross", "quiet"),
    Fact.KEY_ROTATED: ("seal", "quiet"),
    Fact.EVIDENCE_EXPORTED: ("file", "info"),
    Fact.PERSON_OPENED: ("eye", "quiet"),
    Fact.PERSON_SEARCHED: ("eye", "quiet"),
    Fact.LEGAL_HOLD_PLACED: ("lock", "info"),
    Fact.LEGAL_HOLD_RELEASED: ("unlock", "quiet"),
    Fact.AUTHORITY_REFUSED: ("cross", "bad"),
}
PLAIN = ("dot", "quiet")
# By the text that a fact carries: one that an older hub wrote may have a code that this one has no member for.
_BY_CODE: Mapping[str, tuple[str, str]] = {str(fact): look for fact, look in LOOKS.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """One step as it is shown: ``since`` its order was placed; ``repeats`` are the single facts that it stands for."""

    sequence: int
    at: datetime
    text: str
    actor: str
    icon: str
    tone: str
    rung: int | None
    gap: str | None
    since: str | None
    last: FactAnswer
    repeats: tuple[FactAnswer, ...]


def entries(told: TimelineAnswer, orders: Sequence[OrderAnswer], behind: Background, lang: str) -> list[Entry]:
    """Return the entries in order, each with the wait since the one before."""
    known = {str(order.id): order for order in orders}
    made: list[Entry] = []
    for facts in _gathered(told.facts):
        first = facts[0]
        icon, tone = _BY_CODE.get(first.code, PLAIN)
        rung = first.data.get("rung")
        made.append(
            Entry(
                sequence=first.sequence,
                at=first.at,
                text=first.text[lang] if len(facts) == 1 else _common_text(facts, known, behind, lang),
                actor=_actor(first, behind, lang),
                icon=icon,
                tone=tone,
                rung=rung if isinstance(rung, int) else None,
                gap=forms.gap(first.at - made[-1].at, lang) if made else None,
                since=_since_placed(first, known, lang) if len(facts) == 1 else None,
                last=facts[-1],
                repeats=tuple(facts) if len(facts) > 1 else (),
            )
        )
    return made


def _since_placed(fact: FactAnswer, orders: Mapping[str, OrderAnswer], lang: str) -> str | None:
    """Return how long after its order was placed something happened to it: what people ask of a delivery."""
    order = orders.get(str(fact.data.get("order_id")))
    return forms.gap(fact.at - order.placed_at, lang) if order else None


def _gathered(facts: Sequence[FactAnswer]) -> Iterator[list[FactAnswer]]:
    """Yield the facts alone, or together where many say the same of one participant within a minute."""
    groups: list[list[FactAnswer]] = []
    latest: dict[tuple[object, ...], list[FactAnswer]] = {}
    for fact in facts:
        same = tuple(fact.data.get(name) for name in ("participant_id", "stage", "rung", "kind", "refusal", "error"))
        key = (fact.code, fact.actor["tenant"], *same)
        group = latest.get(key)
        if group is None or fact.at - group[-1].at > _TOGETHER:
            group = latest[key] = []
            groups.append(group)
        group.append(fact)
    shown = [part for group in groups for part in ([group] if len(group) >= _MANY else [[fact] for fact in group])]
    yield from sorted(shown, key=lambda part: part[0].sequence)


def _common_text(facts: Sequence[FactAnswer], orders: Mapping[str, OrderAnswer], behind: Background, lang: str) -> str:
    """Tell many facts in one sentence: what differs between them is left out of it."""
    told = [_with_order(fact.data, orders) for fact in facts]
    common: dict[str, Any] = {
        name: value for name, value in told[0].items() if all(each.get(name) == value for each in told)
    }
    for name in ("participant_id", "ported_to"):
        called = behind.names.get(str(common.get(name)))
        if called:
            common["participant" if name == "participant_id" else name] = called.short
    return i18n.fact_text(facts[0].code, common, lang)


def _with_order(data: Mapping[str, Any], orders: Mapping[str, OrderAnswer]) -> dict[str, Any]:
    order = orders.get(str(data.get("order_id")))
    return {**({"action": str(order.action), "participant_id": order.participant_id} if order else {}), **data}


def _actor(fact: FactAnswer, behind: Background, lang: str) -> str:
    kind, tenant = fact.actor["kind"], fact.actor["tenant"]
    role = i18n.texts(lang).get(f"terms.actor_kind.{kind}", kind)
    if kind == ActorKind.HUB:
        return i18n.sentence_case(role)
    name = behind.names.get(tenant)
    return f"{name.short if name else tenant} · {role}"
