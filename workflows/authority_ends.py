"""Decides until when a rule lets a request run: the latest end, the default one, and which ends are wrong."""

from datetime import UTC, datetime, timedelta

from workflows import disclose, extend, freeze, preserve, recall, trace, working_hours
from workflows.authority_rules import AuthorityRule, WorkingDays
from workflows.terms import ONCE, Action
from workflows.working_hours import Calendar

_LENGTHS = {
    Action.FREEZE: freeze.DEFAULT_LENGTH,
    Action.EXTEND: extend.DEFAULT_LENGTH,
    Action.PRESERVE: preserve.DEFAULT_LENGTH,
    # No hold ends then: what is not done by then is not asked for any more.
    Action.RECALL: recall.OPEN_FOR,
    Action.DISCLOSE: disclose.OPEN_FOR,
    Action.TRACE: trace.OPEN_FOR,
}


class EndBeyondMaximum(Exception):
    """The end lies after ``latest``, the last instant that the legal basis allows."""

    def __init__(self, latest: datetime) -> None:
        super().__init__(f"the latest end is {latest.isoformat()}")
        self.latest = latest


class EndInPast(Exception):
    """The end has passed already, or comes no later than the start."""


def latest(rule: AuthorityRule, action: Action, start: datetime, calendar: Calendar) -> datetime | None:
    """Return the last instant (UTC) that the rule allows from ``start``, or None for what has no maximum.

    Raise ``working_hours.BeyondCalendar`` when the rule counts working days that the calendar does not know yet.
    """
    if action in {Action.LIFT, Action.TAKEDOWN, *ONCE}:
        return None
    if action is Action.PRESERVE:
        return start.astimezone(UTC) + preserve.LONGEST
    if isinstance(rule.longest, WorkingDays):
        return working_hours.working_days_end(start, rule.longest.count, calendar)
    return start.astimezone(UTC) + rule.longest


def default(action: Action, start: datetime, bound: datetime | None, takedown: timedelta | None) -> datetime | None:
    """Return the end of a request that names none, ``bound`` at the latest; raise ``EndBeyondMaximum`` if none is left.

    ``takedown`` is the length of this takedown, None for one that stays; a lift has no end.
    """
    length = takedown if action is Action.TAKEDOWN else _LENGTHS.get(action)
    if length is None:
        return None
    end = start.astimezone(UTC) + length
    if bound is None:
        return end
    if bound <= start:
        raise EndBeyondMaximum(bound)
    return min(end, bound)


def check(end: datetime, *, after: datetime, bound: datetime | None) -> None:
    """Raise ``EndInPast`` unless ``end`` comes after ``after``, ``EndBeyondMaximum`` if it comes after ``bound``."""
    if end <= after:
        raise EndInPast
    if bound is not None and end > bound:
        raise EndBeyondMaximum(bound)
