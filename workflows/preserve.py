"""An order to keep evidence: its targets, how long the evidence is kept and its time limits."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.terms import Stage, TargetKind

# Whoever serves a target keeps records about it: a bank its transactions, a telecom its calls, a platform its posts.
TARGETS = frozenset(TargetKind)

DEFAULT_LENGTH = timedelta(days=90)  # Singapore 90 days, the European Union 60
LONGEST = timedelta(days=180)  # assumed: the default once more

# Assumed, all but the receipt: the published rule is "immediately".
TIME_LIMITS: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: timedelta(seconds=60),
    Stage.ACKNOWLEDGE: timedelta(minutes=30),
    Stage.EXECUTE: timedelta(hours=1),
}
