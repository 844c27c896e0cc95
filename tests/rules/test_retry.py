"""The waits between attempts: never negative, within their jitter, urgent before normal, and given up in the end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import retry
from workflows.terms import Action, Urgency

PLACED = datetime(2026, 3, 2, 9, tzinfo=UTC)
DEADLINE = PLACED + timedelta(minutes=10)
ATTEMPTS = st.integers(1, 10_000)
JITTER = st.floats(-1, 1)
AGES = st.timedeltas(timedelta(0), timedelta(hours=71, minutes=59))


def seconds(attempt: int, *, urgent: bool, age: timedelta = timedelta(0), jitter: float = 0) -> float:
    wait = retry.wait_before(
        attempt, urgent=urgent, placed_at=PLACED, now=PLACED + age, deadline_at=DEADLINE, jitter=jitter
    )
    assert wait is not None
    return wait.total_seconds()


def test_an_urgent_dispatch_goes_out_at_once_and_again_within_seconds_then_every_minute() -> None:
    assert [seconds(attempt, urgent=True) for attempt in range(1, 10)] == [0, 2, 5, 10, 20, 40, 60, 60, 60]


def test_a_normal_dispatch_slows_down_to_every_five_minutes() -> None:
    expected = [0, 5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert [seconds(attempt, urgent=False) for attempt in range(1, 11)] == expected


def test_after_its_deadline_an_urgent_dispatch_is_tried_every_ten_minutes_and_a_normal_one_as_before() -> None:
    at, before = timedelta(minutes=10), timedelta(minutes=9, seconds=59)
    assert seconds(12, urgent=True, age=before) == 60
    assert seconds(12, urgent=True, age=at) == 600
    assert seconds(12, urgent=False, age=at) == 300


def test_the_first_attempt_never_waits_even_after_the_deadline() -> None:
    assert seconds(1, urgent=True, age=timedelta(hours=1)) == 0


def test_a_dispatch_without_a_deadline_keeps_the_fast_schedule() -> None:
    later = PLACED + timedelta(hours=5)
    wait = retry.wait_before(9, urgent=True, placed_at=PLACED, now=later, deadline_at=None, jitter=0)
    assert wait == timedelta(seconds=60)


@given(ATTEMPTS, st.booleans(), AGES, JITTER)
def test_a_wait_is_never_negative_and_strays_at_most_a_fifth(
    attempt: int, urgent: bool, age: timedelta, jitter: float
) -> None:
    plain = seconds(attempt, urgent=urgent, age=age)
    strayed = seconds(attempt, urgent=urgent, age=age, jitter=jitter)
    assert strayed >= 0
    assert abs(strayed - plain) <= 0.2 * plain + 1e-6


def test_the_jitter_reaches_its_bound_on_both_sides() -> None:
    assert seconds(7, urgent=True, jitter=1) == 72
    assert seconds(7, urgent=True, jitter=-1) == 48


@given(ATTEMPTS, JITTER)
def test_before_the_deadline_urgent_never_waits_longer_than_normal(attempt: int, jitter: float) -> None:
    assert seconds(attempt, urgent=True, jitter=jitter) <= seconds(attempt, urgent=False, jitter=jitter)


@given(ATTEMPTS, st.booleans(), AGES)
def test_the_wait_never_shrinks_from_one_attempt_to_the_next(attempt: int, urgent: bool, age: timedelta) -> None:
    assert seconds(attempt, urgent=urgent, age=age) <= seconds(attempt + 1, urgent=urgent, age=age)


@given(ATTEMPTS, st.booleans(), st.timedeltas(timedelta(hours=72), timedelta(days=30)), JITTER)
def test_after_seventy_two_hours_a_dispatch_is_given_up(
    attempt: int, urgent: bool, age: timedelta, jitter: float
) -> None:
    wait = retry.wait_before(
        attempt, urgent=urgent, placed_at=PLACED, now=PLACED + age, deadline_at=DEADLINE, jitter=jitter
    )
    assert wait is None


def test_a_moment_before_seventy_two_hours_it_is_still_tried() -> None:
    assert seconds(500, urgent=True, age=timedelta(hours=72) - timedelta(microseconds=1)) == 600


@pytest.mark.parametrize(("attempt", "jitter"), [(0, 0.0), (-1, 0.0), (1, 1.01), (1, -1.01), (1, float("nan"))])
def test_an_attempt_below_one_or_a_jitter_out_of_range_is_an_error(attempt: int, jitter: float) -> None:
    with pytest.raises(ValueError, match="attempts count from 1"):
        retry.wait_before(attempt, urgent=True, placed_at=PLACED, now=PLACED, deadline_at=None, jitter=jitter)


@pytest.mark.parametrize("action", [None, *Action])
@pytest.mark.parametrize("urgency", [None, *Urgency])
def test_freeze_lift_and_recall_are_always_urgent_and_others_when_marked_hoa_toc(
    action: Action | None, urgency: Urgency | None
) -> None:
    assert retry.is_urgent(action, urgency) is (action in {"freeze", "lift", "recall"} or urgency == "hoa_toc")
