"""A freeze: which targets it may name, how long it holds by default and its time limits."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.terms import MONEY_TARGETS, Stage

TARGETS = MONEY_TARGETS

# The generic length of an initial hold in the field (72 h in Thailand; Vietnam's three working days are never shorter).
DEFAULT_LENGTH = timedelta(hours=72)

TIME_LIMITS: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: timedelta(seconds=60),  # no published number
    Stage.ACKNOWLEDGE: timedelta(minutes=5),  # assumed: half of the time to execute
    # Thailand's AOC 1441 freezes within 10 min a case; scammers empty an account within 3-10 min (Malaysia).
    Stage.EXECUTE: timedelta(minutes=10),
}
