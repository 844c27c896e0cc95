"""The lives of an order and of a request, every state and event asserted against a table written out by hand."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import states
from workflows.terms import Action, Event, OrderState, RequestEvent, RequestState

# from: deliver, acknowledge, execute, refuse, reroute, withdraw, lapse, lift ("-" = illegal)
ORDER_TABLE = """
placed        delivered  acknowledged  executed  refused  rerouted  withdrawn  lapsed  -
delivered     -          acknowledged  executed  refused  rerouted  withdrawn  lapsed  -
acknowledged  -          -             executed  refused  rerouted  withdrawn  lapsed  -
executed      -          -             executed  -        -         -          lapsed  lifted
refused       -          -             -         -        -         -          -       -
rerouted      -          -             -         -        -         -          -       -
withdrawn     -          -             -         -        -         -          -       -
lapsed        -          -             -         -        -         -          -       lifted
lifted        -          -             -         -        -         -          -       -
"""
ORDER_EVENTS = ("deliver", "acknowledge", "execute", "refuse", "reroute", "withdraw", "lapse", "lift")

# from: approve, hold, refuse, withdraw, lapse, close
REQUEST_TABLE = """
awaiting_approval  active  held_for_callback  refused  withdrawn  lapsed  -
held_for_callback  active  -                  refused  -          -       -
active             -       -                  -        -          -       closed
closed             -       -                  -        -          -       -
refused            -       -                  -        -          -       -
withdrawn          -       -                  -        -          -       -
lapsed             -       -                  -        -          -       -
"""
REQUEST_EVENTS = ("approve", "hold", "refuse", "withdraw", "lapse", "close")


def cells(table: str, events: tuple[str, ...]) -> list[tuple[str, str, str]]:
    rows = [line.split() for line in table.strip().splitlines()]
    return [(row[0], event, after) for row in rows for event, after in zip(events, row[1:], strict=True)]


ORDER_CELLS = cells(ORDER_TABLE, ORDER_EVENTS)
REQUEST_CELLS = cells(REQUEST_TABLE, REQUEST_EVENTS)


def test_the_tables_of_this_file_name_every_state_and_every_event() -> None:
    assert {(row[0], row[1]) for row in ORDER_CELLS} == set(product(OrderState, Event))
    assert {(row[0], row[1]) for row in REQUEST_CELLS} == set(product(RequestState, RequestEvent))


@pytest.mark.parametrize(("before", "event", "after"), ORDER_CELLS)
def test_an_order_moves_as_the_table_says_and_in_no_other_way(before: str, event: str, after: str) -> None:
    if after == "-":
        with pytest.raises(states.IllegalMove) as refused:
            states.advance(OrderState(before), Event(event))
        assert (refused.value.state, refused.value.event) == (before, event)
    else:
        assert states.advance(OrderState(before), Event(event)) is OrderState(after)


@pytest.mark.parametrize(("before", "event", "after"), REQUEST_CELLS)
def test_a_request_moves_as_the_table_says_and_in_no_other_way(before: str, event: str, after: str) -> None:
    if after == "-":
        with pytest.raises(states.IllegalMove):
            states.advance_request(RequestState(before), RequestEvent(event))
    else:
        assert states.advance_request(RequestState(before), RequestEvent(event)) is RequestState(after)


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_a_refused_order_is_never_executed_later(events: list[Event]) -> None:
    for event in events:
        with pytest.raises(states.IllegalMove):
            states.advance(OrderState.REFUSED, event)


@given(st.lists(st.sampled_from(Event), max_size=20), st.sampled_from(Action), st.booleans())
def test_nothing_moves_once_an_order_is_final_except_what_ends_or_fills_a_hold(
    events: list[Event], action: Action, was_delivered: bool
) -> None:
    state = OrderState.PLACED
    for event in events:
        final = states.is_final(state, action, was_delivered)
        try:
            after = states.advance(state, event)
        except states.IllegalMove:
            continue
        assert not final or state in {OrderState.EXECUTED, OrderState.LAPSED}
        state = after


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("lift_ordered", [True, False])
@pytest.mark.parametrize("state", OrderState)
def test_of_a_hold_that_has_ended_its_lift_is_asked_for(state: OrderState, lift_ordered: bool, action: Action) -> None:
    asked = states.asked_for(action, state, lift_ordered=lift_ordered)
    assert asked == ("lift" if lift_ordered or state == "lapsed" else action)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("was_delivered", [True, False])
@pytest.mark.parametrize("state", OrderState)
def test_an_order_is_final_when_nothing_more_can_come_of_it(
    state: OrderState, action: Action, was_delivered: bool
) -> None:
    always = {"refused", "rerouted", "withdrawn", "lifted"}
    done = state == "executed" and action != "freeze"
    never_began = state == "lapsed" and (not was_delivered or action in {"recall", "disclose", "trace"})
    assert states.is_final(state, action, was_delivered) == (state in always or done or never_began)
