"""How long and how far ahead a maintenance may be announced, and when a participant rests as a whole."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from workflows import maintenance
from workflows.maintenance import AHEAD, LONGEST, Amiss, Wrong

NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("starts", "ends", "wrong"),
    [
        (timedelta(), HOUR, None),
        (timedelta(), LONGEST, None),
        (AHEAD, AHEAD + HOUR, None),
        (-SECOND, HOUR, Wrong("starts_at", Amiss.PAST)),
        (AHEAD + SECOND, AHEAD + HOUR, Wrong("starts_at", Amiss.TOO_FAR)),
        (HOUR, HOUR, Wrong("ends_at", Amiss.NO_TIME)),
        (HOUR, timedelta(), Wrong("ends_at", Amiss.NO_TIME)),
        (timedelta(), LONGEST + SECOND, Wrong("ends_at", Amiss.TOO_LONG)),
    ],
)
def test_a_window_lies_ahead_not_far_and_is_not_long(starts: timedelta, ends: timedelta, wrong: Wrong | None) -> None:
    assert maintenance.check(NOW + starts, NOW + ends, NOW) == wrong


def test_the_current_minute_has_not_passed() -> None:
    # A form of day and time knows no seconds: whoever writes the minute that it is means now.
    for seconds in (1, 59):
        assert maintenance.check(NOW, NOW + HOUR, NOW + seconds * SECOND) is None
    assert maintenance.check(NOW, NOW + HOUR, NOW + 60 * SECOND) == Wrong("starts_at", Amiss.PAST)


@pytest.mark.parametrize(
    ("ends", "until"),
    [
        ({}, None),
        ({ONE: 2 * HOUR}, None),
        ({ONE: 2 * HOUR, OTHER: HOUR}, HOUR),
        ({None: 3 * HOUR}, 3 * HOUR),
        ({None: HOUR, ONE: 2 * HOUR}, HOUR),
        ({None: HOUR, ONE: 2 * HOUR, OTHER: 3 * HOUR}, 2 * HOUR),
    ],
)
def test_a_participant_rests_while_none_of_its_endpoints_is_served(
    ends: dict[UUID | None, timedelta], until: timedelta | None
) -> None:
    found = maintenance.rests_until({ONE, OTHER}, {of: NOW + end for of, end in ends.items()})
    assert found == (until and NOW + until)


def test_a_participant_without_an_endpoint_rests_by_what_it_announced_for_all() -> None:
    assert maintenance.rests_until((), {None: NOW + HOUR, ONE: NOW}) == NOW + HOUR
    assert maintenance.rests_until((), {ONE: NOW + HOUR}) is None
