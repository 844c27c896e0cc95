"""How long records about persons are kept and what becomes of them: dated data, and one pure decision."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.record_terms import Fate, RecordKind

_WRITTEN = re.compile(r"P(?:([1-9][0-9]{0,2})M)?(?:([1-9][0-9]{0,4})D)?")
_SHORTEST_MONTH = 28
_LONGEST_MONTHS, _LONGEST_DAYS = 600, 18_300


@dataclass(frozen=True, slots=True)
class Term:
    """A length of calendar months and days, as ISO 8601 writes it: ``P24M``, ``P90D``."""

    months: int = 0
    days: int = 0

    @classmethod
    def read(cls, text: str) -> "Term":
        """Read a term of a day to fifty years. Raises ValueError."""
        found = _WRITTEN.fullmatch(text)
        if found is None or text == "P":
            raise ValueError("months and days as ISO 8601 writes them: P24M, P90D, P1M15D")
        term = cls(int(found[1] or 0), int(found[2] or 0))
        if term.months > _LONGEST_MONTHS or term.days > _LONGEST_DAYS:
            raise ValueError("fifty years at most")
        return term

    def written(self) -> str:
        """Return the term as ``read`` takes it."""
        months, days = f"{self.months}M" if self.months else "", f"{self.days}D" if self.days else ""
        return f"P{months}{days}"

    def after(self, start: datetime) -> datetime:
        """Return when the term that began at ``start`` is over; the 31st of a shorter month is its last day."""
        year, month = divmod(start.month - 1 + self.months, 12)
        year, month = start.year + year, month + 1
        day = min(start.day, calendar.monthrange(year, month)[1])
        return start.replace(year=year, month=month, day=day) + timedelta(days=self.days)

    def before(self, now: datetime) -> datetime:
        """Return an instant after which no term can have begun that is over ``now``: a bound for a query."""
        return now - timedelta(days=_SHORTEST_MONTH * self.months + self.days)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept how long after its end, what becomes of it then, and where the number is from."""

    kind: RecordKind
    keep: Term
    fate: Fate
    source: str


# Defaults (PROMISES R7). The law names no number for these records: they are to be confirmed, and two administrators
# change them. Facts are kept for ever (they name nobody), which covers the 12 months of Decree 53/2022, article 26;
# where they lie is another matter.
RULES = {
    rule.kind: rule
    for rule in (
        Rule(RecordKind.REFUSED_REQUEST, Term(days=90), Fate.ERASE, "assumed; Law 91/2025/QH15: no longer than needed"),
        Rule(RecordKind.ENDED_MEASURE, Term(months=24), Fate.ERASE, "assumed; Law 91/2025/QH15: no longer than needed"),
        Rule(RecordKind.DELIVERY_BODY, Term(days=90), Fate.HASH_ONLY, "assumed; a digest proves what was sent"),
        # From when he left; nothing goes before the last matter that he signed.
        Rule(RecordKind.OFFICER_NAME, Term(months=24), Fate.ERASE, "assumed; Law 91/2025/QH15: no longer than needed"),
        # From the last answer; whoever comes back later begins anew.
        Rule(RecordKind.DRAFT, Term(days=7), Fate.ERASE, "assumed; Law 91/2025/QH15: no longer than needed"),
        # From the end of their month, and not before each request that they tell of was erased.
        Rule(RecordKind.FACT, Term(months=25), Fate.ARCHIVE, "assumed; a month after the longest of the others"),
    )
}


def is_over(keep: Term, ended_at: datetime, now: datetime, *, held: bool = False) -> bool:
    """Tell whether what ended at ``ended_at`` has been kept long enough ``now``; what is held never has been."""
    return not held and keep.after(ended_at) <= now
