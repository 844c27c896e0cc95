"""A recall of money in flight: which targets it may name, what answers it, how long it stays open and its limits."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.terms import RefusalCode, Stage, TargetKind

# Where money arrives by a payment that somebody can name; what was paid with a card is disputed, not recalled.
TARGETS = frozenset({TargetKind.ACCOUNT, TargetKind.WALLET})

# Refusals that speak of the payment: they answer nothing else.
OF_THE_PAYMENT = frozenset(
    {
        RefusalCode.PAYMENT_NOT_FOUND,
        RefusalCode.ALREADY_PAID_OUT,
        RefusalCode.ALREADY_RETURNED,
        RefusalCode.HOLDER_DECLINES,
    }
)

# The execution deadline and the time in which a refund is paid in the field (Brazil, 24 h), counted from the filing.
# After that the account is another one: what is still wanted is asked for anew, and signed anew.
OPEN_FOR = timedelta(hours=24)

TIME_LIMITS: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: timedelta(seconds=60),  # no published number
    # A service target: the first hop of a trace is answered in 5 min; accounts are emptied in 3-10 min (Malaysia).
    Stage.ACKNOWLEDGE: timedelta(minutes=5),
    # A service target: as a freeze (Thailand, 10 min a case). Between Vietnamese banks today: three working days.
    Stage.EXECUTE: timedelta(minutes=10),
}
