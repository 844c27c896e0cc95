"""Suggests who holds a target, and how sure that is: by a name beside it, by its first digits, by its address."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from workflows import routing
from workflows.routing import Directory, RoutingTarget
from workflows.terms import MONEY_TARGETS, Measure, TargetKind

_WORD = re.compile(r"[^\W_]+")
# "Ngân hàng Thương mại cổ phần Ngoại thương Việt Nam" has ten words.
_LONGEST_NAME = 12
# Shorter ones are also ordinary words and units ("mb"): they count in capitals, or right beside a number.
_SHORT = 4
_BESIDE = 3  # characters between a short name in small letters and a number


class Confidence(StrEnum):
    """How sure a suggestion is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Why(StrEnum):
    """What a suggestion rests on."""

    BESIDE = "beside"  # a name in the same line
    ALONE = "alone"  # the only name in the text
    AMONG = "among"  # the nearest of several names
    ISSUER = "issuer"  # the first digits of a card
    PREFIX = "prefix"  # the first digits of a telephone number, which may have been ported
    HOST = "host"  # the platform of an address
    EVERYBODY = "everybody"  # all who can block it


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The participants that are suggested, how sure that is, and why."""

    participants: tuple[str, ...]
    confidence: Confidence
    why: Why


@dataclass(frozen=True, slots=True)
class Mention:
    """A bank or wallet that a text names, and where."""

    participant_id: str
    start: int
    end: int
    is_short: bool = False


_BY_ROUTE = {
    "bin": (Confidence.HIGH, Why.ISSUER),
    "e164_prefix": (Confidence.MEDIUM, Why.PREFIX),
    "host": (Confidence.HIGH, Why.HOST),
    "tld": (Confidence.HIGH, Why.HOST),
    "sector": (Confidence.HIGH, Why.EVERYBODY),
}


def mentions(text: str, directory: Directory, today: date) -> Iterator[Mention]:
    """Yield the banks and wallets that a text names, in its order; of two that overlap the longer one."""
    words = list(_WORD.finditer(text))
    place = 0
    while place < len(words):
        for length in range(min(_LONGEST_NAME, len(words) - place), 0, -1):
            start, end = words[place].start(), words[place + length - 1].end()
            named = _bank(text[start:end], directory, today)
            if named:
                written = text[start:end]
                yield Mention(named, start, end, len(written) <= _SHORT and not written.isupper())
                place += length - 1
                break
        place += 1


def _bank(written: str, directory: Directory, today: date) -> str | None:
    folded = routing.fold(written)
    if folded.isdigit() or ("name", folded) not in directory.by_alias:
        return None
    try:
        route = routing.route(RoutingTarget(TargetKind.ACCOUNT, "", institution=written), directory, today)
    except routing.UnknownInstitution:
        return None
    return route.participants[0].participant_id


def adjoins(found: tuple[Mention, ...], start: int, end: int) -> bool:
    """Tell whether a bank's or wallet's name stands right before or behind what is from ``start`` to ``end``."""
    return any(0 <= start - each.end <= _BESIDE or 0 <= each.start - end <= _BESIDE for each in found)


def named(
    found: tuple[Mention, ...], start: int, end: int, line: tuple[int, int], numbers: int = 1
) -> Suggestion | None:
    """Return whom the text names for what stands from ``start`` to ``end``, in a line between two places.

    Where that line names more banks than it has ``numbers``, one of them may be the victim's own: then only the name
    that stands right beside the number is sure.
    """

    def distance(mention: Mention) -> int:
        # A name after a number is that number's; one before it may still be the number's before.
        return mention.start - end if mention.start >= end else start - mention.end + 1

    counted = [each for each in found if not each.is_short or 0 <= distance(each) <= _BESIDE]
    if not counted:
        return None
    beside = [each for each in counted if line[0] <= each.start and each.end <= line[1]]
    nearest = min(beside or counted, key=distance)
    is_crowded = len({each.participant_id for each in beside}) > numbers
    if beside and (not is_crowded or adjoins((nearest,), start, end)):
        return Suggestion((nearest.participant_id,), Confidence.HIGH, Why.BESIDE)
    if len({each.participant_id for each in counted}) == 1:
        return Suggestion((nearest.participant_id,), Confidence.MEDIUM, Why.ALONE)
    return Suggestion((nearest.participant_id,), Confidence.LOW, Why.AMONG)


def by_route(
    target: RoutingTarget, directory: Directory, today: date, measure: Measure | None = None
) -> Suggestion | None:
    """Return whom the directory itself names for a target, or None where somebody must say it."""
    if target.kind in MONEY_TARGETS - {TargetKind.CARD}:
        return None
    try:
        route = routing.route(target, directory, today, measure)
    except routing.UnknownInstitution:
        return None
    ways = [recipient.why for recipient in route.participants]
    # Where a platform is known, it is the sure one of those who can act.
    way = next((each for each in ("host", "tld") if each in ways), ways[0])
    if target.kind in MONEY_TARGETS:
        way = "bin"
    confidence, why = _BY_ROUTE[way]
    first = sorted(route.participants, key=lambda recipient: recipient.why != way)
    return Suggestion(tuple(recipient.participant_id for recipient in first), confidence, why)
