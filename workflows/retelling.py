"""Which state an order or a request was in after a fact: for whoever tells the past from the record alone."""

from collections.abc import Mapping
from types import MappingProxyType

from workflows.terms import Fact, OrderState, RequestState

ORDERS: Mapping[str, OrderState] = MappingProxyType(
    {
        Fact.ORDER_PLACED: OrderState.PLACED,
        Fact.ORDER_DELIVERED: OrderState.DELIVERED,
        Fact.ORDER_ACKNOWLEDGED: OrderState.ACKNOWLEDGED,
        Fact.ORDER_EXECUTED: OrderState.EXECUTED,
        Fact.ORDER_PARTLY_EXECUTED: OrderState.EXECUTED,
        Fact.ORDER_REFUSED: OrderState.REFUSED,
        Fact.ORDER_REROUTED: OrderState.REROUTED,
        Fact.ORDER_WITHDRAWN: OrderState.WITHDRAWN,
        Fact.ORDER_LAPSED: OrderState.LAPSED,
        Fact.ORDER_LIFTED: OrderState.LIFTED,
    }
)
REQUESTS: Mapping[str, RequestState] = MappingProxyType(
    {
        Fact.REQUEST_SUBMITTED: RequestState.AWAITING_APPROVAL,
        Fact.REQUEST_HELD: RequestState.HELD_FOR_CALLBACK,
        Fact.REQUEST_ACTIVATED: RequestState.ACTIVE,
        Fact.REQUEST_REFUSED: RequestState.REFUSED,
        Fact.REQUEST_WITHDRAWN: RequestState.WITHDRAWN,
        Fact.REQUEST_LAPSED: RequestState.LAPSED,
        Fact.REQUEST_CLOSED: RequestState.CLOSED,
    }
)


def order_after(before: OrderState | None, code: str, *, is_lift: bool) -> OrderState:
    """Return the state of an order after a fact with a code of ``ORDERS``; ``before`` is None ahead of the first.

    "Lifted" is told of the hold, and of the order that lifts it (``is_lift``), which it says was executed.
    """
    if before is OrderState.WITHDRAWN:
        return before
    if is_lift and code == Fact.ORDER_LIFTED and before is not OrderState.LAPSED:
        return OrderState.EXECUTED
    return ORDERS[code]
