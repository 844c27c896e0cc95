"""Which state an order or a request was in after a fact: for whoever tells the past from the record alone."""

from collections.abc import Mapping
from types import MappingProxyType

from workflows import states
from workflows.terms import Event, Fact, OrderState, RequestState

_EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        Fact.ORDER_DELIVERED: Event.DELIVER,
        Fact.DISPATCH_PULLED: Event.DELIVER,
        Fact.ORDER_ACKNOWLEDGED: Event.ACKNOWLEDGE,
        Fact.ORDER_EXECUTED: Event.EXECUTE,
        Fact.ORDER_PARTLY_EXECUTED: Event.EXECUTE,
        Fact.ORDER_REFUSED: Event.REFUSE,
        Fact.ORDER_REROUTED: Event.REROUTE,
        Fact.ORDER_WITHDRAWN: Event.WITHDRAW,
        Fact.ORDER_LAPSED: Event.LAPSE,
        Fact.ORDER_LIFTED: Event.LIFT,
    }
)
_LEADS_TO = {event: state for (_, event), state in states.MOVES.items()}
# The facts that may change an order.
ORDERS = frozenset({Fact.ORDER_PLACED, *_EVENTS})
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

    A fact that is no move of ``states.MOVES`` from there changed nothing: a delivery that an answer has overtaken, or
    "received" of the lift at the end of a hold. "Lifted" is told of the hold, and of the order that lifts it
    (``is_lift``), which it says was executed; of one that lapsed, that the hold is gone.
    """
    if code == Fact.ORDER_PLACED:
        return OrderState.PLACED
    event = _EVENTS[code]
    if is_lift and event is Event.LIFT and before is not OrderState.LAPSED:
        event = Event.EXECUTE
    # Where what came before is archived, the fact alone tells.
    return _LEADS_TO[event] if before is None else states.MOVES.get((before, event), before)
