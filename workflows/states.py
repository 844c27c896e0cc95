"""The lives of an order and of a request: two tables of legal moves and one function for each."""

from collections.abc import Mapping

from workflows.terms import ONCE, Action, Event, OrderState, RequestEvent, RequestState, Stage


class IllegalMove(Exception):
    """The event is not a legal move from the state; nothing may change."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"{event} is not a move from {state}")
        self.state = state
        self.event = event


# The states in which a participant still owes something, and the stages that it owes in each of them.
UNANSWERED = (OrderState.PLACED, OrderState.DELIVERED, OrderState.ACKNOWLEDGED)
OWED: Mapping[Stage, tuple[OrderState, ...]] = {
    Stage.RECEIPT: UNANSWERED[:1],
    Stage.ACKNOWLEDGE: UNANSWERED[:2],
    Stage.EXECUTE: UNANSWERED,
}

# The target is held, or is still asked to be.
HOLDING = (*UNANSWERED, OrderState.EXECUTED)
# Ended or taken back: nobody is to carry it out any more, and what was done all the same is undone.
GONE = frozenset({OrderState.LAPSED, OrderState.WITHDRAWN})


def is_owed(stage: Stage, state: OrderState, is_to_let_go: bool) -> bool:
    """Tell whether a participant still owes what a clock of ``stage`` waits for, in the state that its order is in.

    ``is_to_let_go``: what it held has ended or was taken back, and it has not said yet that it holds nothing more.
    """
    return stage in OWED and (is_to_let_go or state in OWED[stage])


# An acknowledgement can overtake our own "delivered", so PLACED takes every answer that DELIVERED takes.
MOVES: dict[tuple[OrderState, Event], OrderState] = {
    (OrderState.PLACED, Event.DELIVER): OrderState.DELIVERED,
    (OrderState.PLACED, Event.ACKNOWLEDGE): OrderState.ACKNOWLEDGED,
    (OrderState.DELIVERED, Event.ACKNOWLEDGE): OrderState.ACKNOWLEDGED,
    **{(state, Event.EXECUTE): OrderState.EXECUTED for state in UNANSWERED},
    **{(state, Event.REFUSE): OrderState.REFUSED for state in UNANSWERED},
    **{(state, Event.REROUTE): OrderState.REROUTED for state in UNANSWERED},
    **{(state, Event.WITHDRAW): OrderState.WITHDRAWN for state in UNANSWERED},
    **{(state, Event.LAPSE): OrderState.LAPSED for state in UNANSWERED},
    # A balance that filled up: the bank holds, or sends back, more than it could at first. Data that were completed.
    (OrderState.EXECUTED, Event.EXECUTE): OrderState.EXECUTED,
    (OrderState.EXECUTED, Event.LAPSE): OrderState.LAPSED,
    (OrderState.EXECUTED, Event.LIFT): OrderState.LIFTED,
    (OrderState.LAPSED, Event.LIFT): OrderState.LIFTED,
}

REQUEST_MOVES: dict[tuple[RequestState, RequestEvent], RequestState] = {
    (RequestState.AWAITING_APPROVAL, RequestEvent.APPROVE): RequestState.ACTIVE,
    (RequestState.AWAITING_APPROVAL, RequestEvent.HOLD): RequestState.HELD_FOR_CALLBACK,
    (RequestState.AWAITING_APPROVAL, RequestEvent.REFUSE): RequestState.REFUSED,
    (RequestState.AWAITING_APPROVAL, RequestEvent.WITHDRAW): RequestState.WITHDRAWN,
    (RequestState.AWAITING_APPROVAL, RequestEvent.LAPSE): RequestState.LAPSED,
    (RequestState.HELD_FOR_CALLBACK, RequestEvent.APPROVE): RequestState.ACTIVE,
    (RequestState.HELD_FOR_CALLBACK, RequestEvent.REFUSE): RequestState.REFUSED,
    (RequestState.ACTIVE, RequestEvent.CLOSE): RequestState.CLOSED,
}

_ALWAYS_FINAL = frozenset({OrderState.REFUSED, OrderState.REROUTED, OrderState.WITHDRAWN, OrderState.LIFTED})


def advance(state: OrderState, event: Event) -> OrderState:
    """Return the state after ``event``; raise ``IllegalMove`` for each pair that ``MOVES`` does not list."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise IllegalMove(state, event) from None


def advance_request(state: RequestState, event: RequestEvent) -> RequestState:
    """Return the request's state after ``event``; raise ``IllegalMove`` for a pair that is not listed."""
    try:
        return REQUEST_MOVES[state, event]
    except KeyError:
        raise IllegalMove(state, event) from None


def asked_for(action: Action, state: OrderState, *, lift_ordered: bool) -> Action:
    """Return what a participant is asked for now about an order of ``action``: of a hold that has ended its lift."""
    return Action.LIFT if state is OrderState.LAPSED or lift_ordered else action


def is_over(state: OrderState, says: Action) -> bool:
    """Tell whether nobody is to carry out what was last sent of an order, which says ``says``.

    It was taken back, passed on, refused or has ended; of a hold that ended by itself the lift is still to be done.
    """
    return state in _ALWAYS_FINAL or (state is OrderState.LAPSED and says is not Action.LIFT)


def is_final(state: OrderState, action: Action, was_delivered: bool) -> bool:
    """Tell whether nothing more can come of an order.

    A held amount is not final while the hold stands: EXECUTED is final only for the actions that leave no hold
    behind, and LAPSED only if the participant never got the order (otherwise it must confirm the lift) or if there is
    nothing to lift.
    """
    if state in _ALWAYS_FINAL:
        return True
    if state is OrderState.EXECUTED:
        return action is not Action.FREEZE
    return state is OrderState.LAPSED and (action in ONCE or not was_delivered)
