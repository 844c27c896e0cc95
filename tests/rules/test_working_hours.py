"""Terms in working days and office hours, above all in the weeks of Tết and around a make-up Saturday."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import working_hours
from workflows.working_hours import BeyondCalendar, Calendar

VN = working_hours.VIETNAM
CALENDAR = Calendar(
    holidays=frozenset(
        {
            *(date(2026, 1, 1), date(2026, 4, 27), date(2026, 4, 30), date(2026, 5, 1), date(2026, 8, 31)),
            *(date(2026, 2, day) for day in range(16, 21)),
            *(date(2026, 9, 1), date(2026, 9, 2), date(2026, 11, 24), date(2027, 1, 1)),
            *(date(2027, 2, day) for day in range(4, 11)),
        }
    ),
    workdays=frozenset({date(2026, 8, 22)}),
    known_from=date(2026, 1, 1),
    known_to=date(2027, 12, 31),
)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=660)).map(datetime(2026, 1, 1, 7, tzinfo=UTC).__add__)


def end_of(start: datetime, days: int = 3) -> str:
    """Return the last day of the term in Vietnam, after checking that it ends at 24:00 there."""
    end = working_hours.working_days_end(start, days, CALENDAR)
    assert end.tzinfo is UTC
    local = end.astimezone(VN)
    assert (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
    return (local.date() - timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("start", "last_day"),
    [
        ("2026-02-09 10:00", "2026-02-12"),  # Monday: Tuesday, Wednesday, Thursday
        ("2026-02-10 10:00", "2026-02-13"),
        ("2026-02-11 10:00", "2026-02-23"),  # Thursday, Friday, and the Monday after Tết
        ("2026-02-13 23:59", "2026-02-25"),
        ("2026-02-14 00:00", "2026-02-25"),
        ("2026-02-15 12:00", "2026-02-25"),
        ("2026-02-16 08:00", "2026-02-25"),
        ("2026-02-17 00:00", "2026-02-25"),
        ("2026-02-20 23:59", "2026-02-25"),
        ("2026-02-22 12:00", "2026-02-25"),
        ("2026-02-23 00:00", "2026-02-26"),
        ("2027-02-02 09:00", "2027-02-12"),  # Wednesday 3, then Tết 4 to 10
        ("2027-02-03 09:00", "2027-02-15"),
        ("2027-02-04 09:00", "2027-02-15"),
        ("2027-02-10 09:00", "2027-02-15"),
        ("2027-02-11 00:00", "2027-02-16"),
        ("2026-08-19 09:00", "2026-08-22"),  # the make-up Saturday counts
        ("2026-08-20 09:00", "2026-08-24"),
        ("2026-08-22 09:00", "2026-08-26"),
        ("2026-08-28 09:00", "2026-09-07"),  # 31 August to 2 September are off
    ],
)
def test_three_working_days_skip_tet_and_count_a_make_up_saturday(start: str, last_day: str) -> None:
    assert end_of(datetime.fromisoformat(start).replace(tzinfo=VN)) == last_day


def test_the_first_day_is_the_day_in_vietnam_not_in_utc() -> None:
    assert end_of(datetime(2026, 3, 2, 16, 59, 59, tzinfo=UTC)) == "2026-03-05"
    assert end_of(datetime(2026, 3, 2, 17, 0, tzinfo=UTC)) == "2026-03-06"


def test_a_term_ends_at_midnight_in_vietnam_which_is_17_hours_utc() -> None:
    start = datetime(2026, 3, 2, 1, tzinfo=UTC)
    assert working_hours.working_days_end(start, 3, CALENDAR) == datetime(2026, 3, 5, 17, tzinfo=UTC)


def test_beyond_the_known_calendar_there_is_no_answer() -> None:
    inside = datetime(2027, 12, 28, 9, tzinfo=VN)
    assert end_of(inside) == "2027-12-31"
    with pytest.raises(BeyondCalendar) as beyond:
        working_hours.working_days_end(inside + timedelta(days=1), 3, CALENDAR)
    assert beyond.value.day == date(2028, 1, 1)
    with pytest.raises(BeyondCalendar) as before:
        working_hours.working_days_end(datetime(2025, 12, 31, 9, tzinfo=VN), 3, CALENDAR)
    assert before.value.day == date(2025, 12, 31)


@given(INSTANTS, st.integers(1, 10))
def test_a_term_holds_exactly_its_number_of_working_days_and_ends_on_one(start: datetime, days: int) -> None:
    end = working_hours.working_days_end(start, days, CALENDAR)
    first = start.astimezone(VN).date()
    last = (end - timedelta(microseconds=1)).astimezone(VN).date()
    inside = [first + timedelta(days=at) for at in range(1, (last - first).days + 1)]
    assert sum(working_hours.is_working_day(day, CALENDAR) for day in inside) == days
    assert working_hours.is_working_day(last, CALENDAR)
    assert end > start + timedelta(days=days)


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=5)))
def test_a_later_start_never_ends_earlier(start: datetime, later: timedelta) -> None:
    ends = [working_hours.working_days_end(at, 3, CALENDAR) for at in (start, start + later)]
    assert ends[0] <= ends[1]


@pytest.mark.parametrize(
    ("local", "staffed"),
    [
        ("2026-02-13 08:00", True),
        ("2026-02-13 07:59", False),
        ("2026-02-13 12:00", False),
        ("2026-02-13 13:00", True),
        ("2026-02-13 16:59", True),
        ("2026-02-13 17:00", False),
        ("2026-02-14 09:00", False),
        ("2026-02-17 09:00", False),
        ("2026-08-22 09:00", True),
        ("2026-08-29 09:00", False),
    ],
)
def test_offices_are_staffed_on_working_days_from_eight_to_five_without_the_noon_hour(
    local: str, staffed: bool
) -> None:
    instant = datetime.fromisoformat(local).replace(tzinfo=VN).astimezone(UTC)
    assert working_hours.is_office_hours(instant, CALENDAR) is staffed


def test_office_hours_beyond_the_calendar_are_unknown() -> None:
    with pytest.raises(BeyondCalendar):
        working_hours.is_office_hours(datetime(2028, 1, 3, 9, tzinfo=VN), CALENDAR)


def test_a_naive_instant_or_an_empty_term_is_refused() -> None:
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - the naive instant is the point
    with pytest.raises(ValueError, match="aware"):
        working_hours.working_days_end(naive, 3, CALENDAR)
    with pytest.raises(ValueError, match="at least one day"):
        working_hours.working_days_end(naive.replace(tzinfo=UTC), 0, CALENDAR)
    with pytest.raises(ValueError, match="time zone"):
        working_hours.is_office_hours(naive, CALENDAR)
