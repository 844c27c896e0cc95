"""How long and how far ahead a maintenance may be announced."""

from datetime import UTC, datetime, timedelta

import pytest

from workflows import maintenance
from workflows.maintenance import AHEAD, LONGEST, Amiss, Wrong

NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


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
