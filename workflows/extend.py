"""An extension of a standing hold: its targets, the time it adds by default and its time limits."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.states import HOLDING
from workflows.terms import MONEY_TARGETS, Action, OrderState, Stage

TARGETS = MONEY_TARGETS
# What has an end that another signature may move.
ABOUT = frozenset({Action.FREEZE, Action.PRESERVE})

# Counted from the end that is extended; the published first renewal is 7 days (Thailand, Brazil).
DEFAULT_LENGTH = timedelta(days=7)

# Assumed, all but the receipt: the hub warns 12 h before the end, so an hour leaves room for the whole ladder.
TIME_LIMITS: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: timedelta(seconds=60),
    Stage.ACKNOWLEDGE: timedelta(minutes=30),
    Stage.EXECUTE: timedelta(hours=1),
}


def reaches(state: OrderState, *, lift_ordered: bool) -> bool:
    """Tell whether an extension goes to the participant of an order of the original in this state.

    It does where the target is held, or is still asked to be held, and nobody has been asked to let go.
    """
    return state in HOLDING and not lift_ordered
