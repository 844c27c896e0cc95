"""A lift undoes what was executed: its targets and its time limits, which are shorter than those of the freeze."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from workflows.states import UNANSWERED
from workflows.terms import Action, OrderState, Outcome, Stage, TargetKind

# A number that was blocked by mistake must come back as surely as money that was held by mistake.
TARGETS = frozenset(TargetKind)
# What stands until it is undone. Money sent back and data given are done once and for all (``terms.ONCE``).
ABOUT = frozenset({Action.FREEZE, Action.TAKEDOWN, Action.PRESERVE})

TIME_LIMITS: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: timedelta(seconds=60),  # no published number
    Stage.ACKNOWLEDGE: timedelta(minutes=2),  # assumed
    # A service target: a lift must be faster than the freeze was. The published legal maximum is 24 h (Brazil).
    Stage.EXECUTE: timedelta(minutes=5),
}


# How a call ends when nobody was reached, or whoever was reached did not take the message. Not so HTTP 409, by which a
# receiver says that it has it already, and not what is unknown here: a lift too many undoes nothing, one too few does.
_NOT_TAKEN = (
    "address.",
    "channel.",
    "connect.",
    "endpoint.",
    "hi1.refused",
    "http.4",
    "http.redirect",
    "message.",
    "name.",
    "smtp.",
    "tls",
    "url.",
)
_TAKEN_BEFORE = "http.409"


def may_have_arrived(error: str | None) -> bool:
    """Tell whether a call that brought no receipt may have brought its message; ``error`` is the attempt's code.

    A call that nobody answered in time, that broke off or that ended in a fault of the receiver may have.
    """
    return error is None or error == _TAKEN_BEFORE or not error.startswith(_NOT_TAKEN)


def was_delivered(delivered_at: datetime | None, answered_at: datetime | None) -> bool:
    """Tell whether the participant ever got an order: our dispatch arrived, or its answer proves it."""
    return delivered_at is not None or answered_at is not None


def reaches(state: OrderState, *, was_delivered: bool) -> bool:
    """Tell whether a lift goes to the participant of an order of the original in this state.

    It does where something is done, or may yet be found done: an order that nobody got is only withdrawn, and what
    lapsed unknown to its participant is over.
    """
    return state is OrderState.EXECUTED or (was_delivered and state in (*UNANSWERED, OrderState.LAPSED))


def answered_by(outcome: Outcome, action: Action) -> frozenset[Action]:
    """Return the demands about an order that an answer proves its participant to have.

    The lift of an order that has ended is another message than the order, which only "lifted" is an answer to.
    """
    return frozenset({action, Action.LIFT} if outcome is Outcome.LIFTED else {action})
