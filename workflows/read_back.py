"""A read-back: whether a participant may be asked now what it holds, of a hold that it has executed."""

from datetime import datetime, timedelta
from enum import StrEnum

from workflows.terms import Action, OrderState

# A question about a freeze and no demand: no request ever asks for it, so it is no ``Action``.
NAME = "read_back"
MESSAGE_TYPE = f"vn.hoatoc.order.{NAME}"
# Assumed: long enough for a person at a bank to look and answer, short beside the hours in which a balance fills up.
EVERY = timedelta(minutes=15)


class NotNow(StrEnum):
    """Why a participant is not asked."""

    NO_HOLD = "no_hold"
    ON_ITS_WAY = "on_its_way"
    TOO_SOON = "too_soon"


def not_now(
    action: Action, state: OrderState, *, is_on_its_way: bool, asked_at: datetime | None, now: datetime
) -> NotNow | None:
    """Return why nobody is asked, or None where somebody is.

    Only a freeze that was executed and still stands has anything to read back. Nothing about the hold may be under way
    to its participant (``is_on_its_way``): a question that overtook a lift would be the newer word on the hold. The
    last question (``asked_at``) is at least ``EVERY`` ago, answered or not.
    """
    if action is not Action.FREEZE or state is not OrderState.EXECUTED:
        return NotNow.NO_HOLD
    if is_on_its_way:
        return NotNow.ON_ITS_WAY
    return NotNow.TOO_SOON if asked_at is not None and now < asked_at + EVERY else None


def answers(signed_at: datetime, asked_at: datetime, clock_error: timedelta) -> bool:
    """Tell whether an answer was made after the question: one that was under way when it was asked is none to it."""
    return signed_at >= asked_at - clock_error
