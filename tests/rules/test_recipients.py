"""Whom a lift or an extension goes to: every state of an order, known to its participant or not, lifting or not."""

from datetime import UTC, datetime

import pytest

from workflows import extend, lift
from workflows.terms import OrderState

AT = datetime(2026, 12, 1, tzinfo=UTC)
HELD = {OrderState.PLACED, OrderState.DELIVERED, OrderState.ACKNOWLEDGED, OrderState.EXECUTED}


@pytest.mark.parametrize("state", OrderState)
def test_a_lift_goes_where_something_may_be_held(state: OrderState) -> None:
    assert lift.reaches(state, was_delivered=True) is (state in HELD | {OrderState.LAPSED})
    assert lift.reaches(state, was_delivered=False) is (state is OrderState.EXECUTED)


@pytest.mark.parametrize("state", OrderState)
def test_an_extension_goes_where_nobody_was_asked_to_let_go(state: OrderState) -> None:
    assert extend.reaches(state, lift_ordered=False) is (state in HELD)
    assert extend.reaches(state, lift_ordered=True) is False


def test_a_participant_has_an_order_that_arrived_or_that_it_answered() -> None:
    assert lift.was_delivered(AT, None) and lift.was_delivered(None, AT)
    assert not lift.was_delivered(None, None)
