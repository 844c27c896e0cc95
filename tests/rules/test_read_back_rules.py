"""When a participant is asked what it holds, and which answer is one to the question."""

from datetime import UTC, datetime, timedelta

import pytest

from workflows import read_back
from workflows.read_back import EVERY, NotNow
from workflows.terms import Action, OrderState

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("state", OrderState)
def test_only_an_executed_freeze_is_asked_about(action: Action, state: OrderState) -> None:
    why = read_back.not_now(action, state, is_on_its_way=False, asked_at=None, now=NOW)
    stands = action is Action.FREEZE and state is OrderState.EXECUTED
    assert why is (None if stands else NotNow.NO_HOLD)


@pytest.mark.parametrize(
    ("is_on_its_way", "ago", "why"),
    [
        (False, None, None),
        (False, EVERY, None),
        (False, EVERY - timedelta(microseconds=1), NotNow.TOO_SOON),
        (True, None, NotNow.ON_ITS_WAY),
        (True, EVERY, NotNow.ON_ITS_WAY),
    ],
)
def test_one_question_at_a_time_and_never_ahead_of_a_lift(
    is_on_its_way: bool, ago: timedelta | None, why: NotNow | None
) -> None:
    asked_at = None if ago is None else NOW - ago
    found = read_back.not_now(
        Action.FREEZE, OrderState.EXECUTED, is_on_its_way=is_on_its_way, asked_at=asked_at, now=NOW
    )
    assert found is why


@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (60, True), (-10, True), (-11, False)])
def test_an_answer_from_before_the_question_is_none_to_it(seconds: int, counts: bool) -> None:
    assert read_back.answers(NOW + timedelta(seconds=seconds), NOW, timedelta(seconds=10)) is counts
