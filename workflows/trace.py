"""A trace of money: which movements of one account may be asked for, how many are answered, and its time limits."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from workflows.terms import MONEY_TARGETS, Stage

TARGETS = MONEY_TARGETS

# Assumed: swindled money is gone within minutes, and three days hold a weekend. A longer look into an account is no
# pursuit of money but an inspection, which takes another instrument (Law 91/2025/QH15: no more than the purpose needs).
LONGEST_WINDOW = timedelta(hours=72)

# Assumed: an account through which more goes in three days is a business; its largest movements say where to go on.
# In ISO 20022 two hundred lines of the longest numbers still fit into the 64 KiB that the front door takes.
MOST_MOVEMENTS = 200

# Assumed. What comes later answers a question about money that is somewhere else by then: it is asked for anew.
OPEN_FOR = timedelta(days=3)

TIME_LIMITS: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: timedelta(seconds=60),  # no published number
    Stage.ACKNOWLEDGE: timedelta(minutes=2),  # assumed
    # A service target: accounts are emptied in 3-10 min (Malaysia), and each hop of the money is a trace of its own.
    Stage.EXECUTE: timedelta(minutes=5),
}


class WindowFlaw(StrEnum):
    """What is wrong with a window, in the order in which it is looked at."""

    BACKWARDS = "backwards"
    TOO_LONG = "too_long"
    NOT_PAST = "not_past"


def window_flaw(since: datetime, until: datetime, now: datetime) -> WindowFlaw | None:
    """Return what is wrong with the window of a trace that is filed at ``now``; all three are aware, None means fine.

    It ends no later than the filing: a window that is still open would watch an account instead of looking back.
    """
    if until <= since:
        return WindowFlaw.BACKWARDS
    if until - since > LONGEST_WINDOW:
        return WindowFlaw.TOO_LONG
    return WindowFlaw.NOT_PAST if until > now else None


def is_largest_first(amounts: Sequence[int]) -> bool:
    """Tell whether amounts fall, or stay, from one to the next."""
    return all(one >= other for one, other in itertools.pairwise(amounts))


def is_inside(at: datetime, since: datetime, until: datetime) -> bool:
    """Tell whether an instant lies in a window, both ends included."""
    return since <= at <= until
