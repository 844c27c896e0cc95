"""A lift undoes what was executed: its targets and its time limits, which are shorter than those of the freeze."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.terms import Action, Stage, TargetKind

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
