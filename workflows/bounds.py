"""How much one officer, one agency and one pair of officers may set in motion in an hour before somebody calls back.

A bound that is passed never refuses and never drops a request: it holds it until two people have asked the agency, over
the number in the registry, whether the request is really its own (PROMISES P14).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from workflows.table import PolicyInvalid, Table
from workflows.terms import Action, BoundKind, BoundSubject

WINDOW = timedelta(hours=1)

# What is usual is learnt from the busy hours of this many days, and counts once there are enough of them.
LEARNED_OVER = timedelta(days=30)
LEARNED_AFTER = timedelta(days=7)
# The last day teaches nothing yet: an attack must not raise the very bound that it runs into.
LEARNED_UNTIL = timedelta(days=1)
LEARNED_TIMES = 3
# Assumed: below these a change is not yet an attack, however little a subject did before.
FLOOR_COUNT = 5
FLOOR_AMOUNT = 1_000_000_000
# Assumed: nobody knows what is on a whole account, so it weighs as much as a large one.
WHOLE_ACCOUNT = 1_000_000_000

# A policy that says so much says that there is no bound: nobody asks for a million targets in an hour.
MOST = 1_000_000
MOST_AMOUNT = 10**15
_ROW = frozenset({"subject", "kind", "count", "amount"})

_KINDS: Mapping[Action, BoundKind] = {
    Action.FREEZE: BoundKind.HOLDS,
    Action.EXTEND: BoundKind.HOLDS,
    Action.PRESERVE: BoundKind.HOLDS,
    Action.TAKEDOWN: BoundKind.TAKEDOWNS,
    Action.LIFT: BoundKind.LIFTS,
    # A recall moves money as a freeze stops it; reading about people harms others, and must not use up the room for it.
    Action.RECALL: BoundKind.HOLDS,
    Action.DISCLOSE: BoundKind.DISCLOSURES,
    Action.TRACE: BoundKind.DISCLOSURES,
}


class Excess(StrEnum):
    """Which bound a request would pass: whose, and whether by the number of targets or by the money in them."""

    OFFICER_COUNT = "officer_count"
    OFFICER_AMOUNT = "officer_amount"
    AGENCY_COUNT = "agency_count"
    AGENCY_AMOUNT = "agency_amount"
    PAIR_COUNT = "pair_count"
    PAIR_AMOUNT = "pair_amount"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a subject may set in motion within ``WINDOW``: targets, and whole ₫ in them; None says nothing of it.

    ``kind`` None fits each kind, which is counted by itself all the same.
    """

    subject: BoundSubject
    count: int | None = None
    amount: int | None = None
    kind: BoundKind | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How many targets the requests of an hour are about, and how much money, in whole ₫.

    A request is so much harm as it has targets: a takedown of fifty domains is fifty. A freeze has one target.
    """

    count: int
    amount: int

    @property
    def is_endless(self) -> bool:
        """Tell whether this much is no limit at all."""
        return self.count >= MOST and self.amount >= MOST_AMOUNT


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for a subject: the 99th percentile of its busy hours, and since when it has a history at all."""

    load: Load
    since: datetime


# 20 and 100 are those of PROMISES P14; the pair's count and all amounts are assumed.
DEFAULTS = (
    Bound(BoundSubject.OFFICER, 20, 10_000_000_000),
    Bound(BoundSubject.AGENCY, 100, 50_000_000_000),
    Bound(BoundSubject.PAIR, 20, 10_000_000_000),
)


def kind_of(action: Action) -> BoundKind:
    """Return what an action is counted with."""
    return _KINDS[action]


def actions_of(kind: BoundKind) -> tuple[Action, ...]:
    """Return the actions that are counted together."""
    return tuple(action for action, its in _KINDS.items() if its is kind)


def pair(one: str, other: str) -> str:
    """Name a pair of officers, the same whoever of them filed; no officer's id has a plus sign."""
    return "+".join(sorted((one, other)))


def limit(own: Iterable[Bound], subject: BoundSubject, kind: BoundKind, usual: Usual | None, at: datetime) -> Load:
    """Return what a subject may set in motion within an hour.

    ``own`` are the policy's bounds: the one that names the kind wins, then the one for every kind, then the default.
    Where a week of history or more tells what is ``usual``, three times that is the limit if it is the smaller one.
    """
    count, amount = _said(own, subject, kind)
    if usual is not None and at - usual.since >= LEARNED_AFTER:
        count = min(count, max(FLOOR_COUNT, LEARNED_TIMES * usual.load.count))
        amount = min(amount, max(FLOOR_AMOUNT, LEARNED_TIMES * usual.load.amount))
    return Load(count, amount)


def excess(limits: Mapping[BoundSubject, Load], seen: Mapping[BoundSubject, Load], asked: Load) -> tuple[Excess, ...]:
    """Return the bounds that a request would pass that asks for so much; none lets it go on its way.

    ``seen`` is what each subject concerned has had active within the ``WINDOW`` until now, this one left out. What was
    released after a call-back is no part of it: two people heard that it was meant.
    """
    passed: list[Excess] = []
    for subject, load in seen.items():
        allowed = limits[subject]
        if load.count + asked.count > allowed.count:
            passed.append(Excess(f"{subject}_count"))
        # What moves no money cannot be too much of it, whatever was before.
        if asked.amount and load.amount + asked.amount > allowed.amount:
            passed.append(Excess(f"{subject}_amount"))
    return tuple(passed)


def percentile(hours: Sequence[int]) -> int:
    """Return the 99th percentile by the nearest rank: of fewer than a hundred hours the largest; 0 of none."""
    ordered = sorted(hours)
    return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else 0


def read(rows: Sequence[Any]) -> tuple[Bound, ...]:
    """Read the section ``bounds`` of a policy; raise ``PolicyInvalid`` naming the first key at fault."""
    found: list[Bound] = []
    for at, row in enumerate(rows):
        path = f"bounds[{at}]"
        bound = _bound(path, row)
        if any((bound.subject, bound.kind) == (other.subject, other.kind) for other in found):
            raise PolicyInvalid(path, "an earlier entry already says what fits here")
        found.append(bound)
    return tuple(found)


def written(bounds: Iterable[Bound]) -> list[dict[str, Any]]:
    """Return bounds as the rows that ``read`` reads."""
    rows = ({name: getattr(bound, name) for name in ("subject", "kind", "count", "amount")} for bound in bounds)
    return [
        {name: value if isinstance(value, int) else str(value) for name, value in row.items() if value is not None}
        for row in rows
    ]


def _said(own: Iterable[Bound], subject: BoundSubject, kind: BoundKind) -> tuple[int, int]:
    fits = [bound for bound in (*DEFAULTS, *own) if bound.subject is subject and bound.kind in (None, kind)]
    # The later of two equal ones wins, and the one that names the kind over both.
    fits.sort(key=lambda bound: bound.kind is not None)
    counts = [bound.count for bound in fits if bound.count is not None]
    amounts = [bound.amount for bound in fits if bound.amount is not None]
    return counts[-1], amounts[-1]


def _bound(path: str, row: Any) -> Bound:
    table = Table(path, row, _ROW)
    count = table.whole("count", most=MOST) if table.names("count") else None
    amount = table.whole("amount", most=MOST_AMOUNT) if table.names("amount") else None
    if count is None and amount is None:
        raise PolicyInvalid(path, "a count, an amount, or both")
    return Bound(table.required(BoundSubject, "subject"), count, amount, table.choice(BoundKind, "kind"))
