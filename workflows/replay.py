"""What may be sent once more, after it was given up or although it was delivered, and how fast."""

from enum import StrEnum

from workflows import read_back, silence, states
from workflows.terms import ONCE, Action, DispatchKind, DispatchState, OrderState

# A participant that comes back is not run over: so many a second to one endpoint, behind all that is new.
PER_SECOND = 10
# So many in one transaction: each of them locks the chain of its request.
AT_ONCE = 500


class Replayed(StrEnum):
    """Which dispatches are meant: those that were given up, or those that arrived at somebody who lost them since."""

    DEAD = "dead"
    DELIVERED = "delivered"


def may_go_again(
    kind: DispatchKind,
    state: DispatchState,
    action: Action | None,
    order: OrderState | None,
    *,
    message_type: str,
    lift_ordered: bool,
) -> bool:
    """Tell whether a dispatch says what still holds: an old freeze never revives after its lift (PROMISES P4).

    ``action`` and ``order`` are those of the order that it is about. What was done once and for all (money sent back,
    data given) is not asked for again.
    """
    if message_type == read_back.MESSAGE_TYPE:
        # An old question is nobody's: who wants to know asks anew.
        return False
    if state not in (DispatchState.DEAD, DispatchState.DELIVERED):
        return False
    if kind is not DispatchKind.ORDER or action is None or order is None:
        return state is DispatchState.DEAD
    if message_type == silence.MESSAGE_TYPE:
        # It stays true, whatever became of the order since.
        return True
    # The lift that the hub itself sends of an order.
    if action is not Action.LIFT and message_type.endswith(".lift"):
        return order is not OrderState.LIFTED
    if lift_ordered and action is not Action.LIFT:
        return False
    return order in states.UNANSWERED or (order is OrderState.EXECUTED and action not in ONCE)
