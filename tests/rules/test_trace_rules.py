"""A trace: which window may be looked back on, which answer is in order, and that nobody is watched."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import trace
from workflows.terms import MONEY_TARGETS, Stage
from workflows.trace import WindowFlaw

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("since", "until", "flaw"),
    [
        (NOW - 24 * HOUR, NOW, None),
        (NOW - 72 * HOUR, NOW, None),
        (NOW - 9000 * HOUR, NOW - 8999 * HOUR, None),
        (NOW - 72 * HOUR - SECOND, NOW, WindowFlaw.TOO_LONG),
        (NOW - HOUR, NOW + SECOND, WindowFlaw.NOT_PAST),
        (NOW - HOUR, NOW - HOUR, WindowFlaw.BACKWARDS),
        (NOW, NOW - HOUR, WindowFlaw.BACKWARDS),
        (NOW, NOW + 73 * HOUR, WindowFlaw.TOO_LONG),
    ],
)
def test_a_window_is_short_and_over_when_it_is_asked_about(
    since: datetime, until: datetime, flaw: WindowFlaw | None
) -> None:
    assert trace.window_flaw(since, until, NOW) is flaw


@given(st.timedeltas(timedelta(days=-10), timedelta(days=10)), st.timedeltas(timedelta(days=-10), timedelta(days=10)))
def test_no_window_without_a_flaw_is_longer_than_three_days_or_reaches_beyond_the_filing(
    since: timedelta, until: timedelta
) -> None:
    is_fine = trace.window_flaw(NOW + since, NOW + until, NOW) is None
    assert is_fine == (since < until <= timedelta() and until - since <= timedelta(days=3))


@given(st.lists(st.integers(1, 10**15), max_size=20))
def test_an_answer_is_in_order_if_sorting_it_changes_nothing(amounts: list[int]) -> None:
    assert trace.is_largest_first(sorted(amounts, reverse=True))
    assert trace.is_largest_first(amounts) == (amounts == sorted(amounts, reverse=True))


@pytest.mark.parametrize(("at", "inside"), [(-1, False), (0, True), (3600, True), (3601, False)])
def test_both_ends_of_a_window_belong_to_it(at: int, inside: bool) -> None:
    assert trace.is_inside(NOW + at * SECOND, NOW, NOW + HOUR) is inside


def test_money_is_traced_in_minutes_and_nothing_else_is() -> None:
    assert trace.TARGETS == MONEY_TARGETS
    assert trace.TIME_LIMITS[Stage.EXECUTE] == timedelta(minutes=5)
