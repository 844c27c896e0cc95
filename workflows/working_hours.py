"""Working days and office hours in Vietnam, with public holidays and make-up Saturdays, inside a known calendar."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

VIETNAM = timezone(timedelta(hours=7))  # no daylight saving since 1975

_OFFICE_HOURS = ((time(8), time(12)), (time(13), time(17)))  # assumed: what most state offices post
_SATURDAY = 5


class BeyondCalendar(Exception):
    """The answer depends on a day whose holidays have not been announced; ``day`` is the first such day."""

    def __init__(self, day: date) -> None:
        super().__init__(f"the calendar does not know {day.isoformat()}")
        self.day = day


@dataclass(frozen=True, slots=True)
class Calendar:
    """Holidays and make-up working days; nothing is known before ``known_from`` or after ``known_to`` (inclusive)."""

    holidays: frozenset[date]
    workdays: frozenset[date]
    known_from: date
    known_to: date


def is_working_day(day: date, calendar: Calendar) -> bool:
    """Tell whether offices are open on ``day``; raise ``BeyondCalendar`` outside the known range."""
    if not calendar.known_from <= day <= calendar.known_to:
        raise BeyondCalendar(day)
    if day in calendar.workdays:
        return True
    return day.weekday() < _SATURDAY and day not in calendar.holidays


def working_days_end(start: datetime, days: int, calendar: Calendar) -> datetime:
    """Return the instant (UTC) at which a term of ``days`` working days that began at ``start`` is over.

    The first day is not counted (Civil Code 91/2015/QH13, article 147) and the term ends at 24:00 Vietnam time of its
    last day (article 148). Raise ``BeyondCalendar`` if a day of the term is unknown, ``ValueError`` for a term of no
    days or a start without a time zone.
    """
    if days < 1 or start.tzinfo is None:
        raise ValueError("a term has at least one day and an aware start")
    day = start.astimezone(VIETNAM).date()
    if not calendar.known_from <= day <= calendar.known_to:
        raise BeyondCalendar(day)
    left = days
    while left:
        day += timedelta(days=1)
        left -= is_working_day(day, calendar)
    return datetime.combine(day + timedelta(days=1), time(), VIETNAM).astimezone(UTC)


def is_office_hours(instant: datetime, calendar: Calendar) -> bool:
    """Tell whether an office is staffed at ``instant``; raise as ``is_working_day``, ``ValueError`` if it is naive."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone is in no office's hours")
    local = instant.astimezone(VIETNAM)
    return is_working_day(local.date(), calendar) and any(
        opens <= local.time() < closes for opens, closes in _OFFICE_HOURS
    )
