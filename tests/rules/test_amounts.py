"""Less was held, or sent back, than was asked: one rule for every page and for the fact."""

import itertools

import pytest

from workflows import amounts
from workflows.terms import Action, OrderState


@pytest.mark.parametrize("action", Action)
def test_of_a_recall_what_was_sent_back_counts_and_of_everything_else_what_is_held(action: Action) -> None:
    assert amounts.done(action, 5, 7) == (7 if action is Action.RECALL else 5)
    assert amounts.done(action, None, None) is None


@pytest.mark.parametrize("state", OrderState)
def test_only_an_executed_order_is_partly_done_and_only_with_less_than_was_asked(state: OrderState) -> None:
    for asked, done in itertools.product((None, 0, 1, 150_000_000), repeat=2):
        less = asked is not None and done is not None and done < asked
        assert amounts.is_partly(state, asked, done) is (less and state is OrderState.EXECUTED)
