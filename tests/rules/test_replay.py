"""What may be sent once more: what still holds, never what is over."""

import pytest

from workflows import read_back, replay, silence
from workflows.terms import Action, DispatchKind, DispatchState, OrderState

ORDER, DEAD, ARRIVED = DispatchKind.ORDER, DispatchState.DEAD, DispatchState.DELIVERED


@pytest.mark.parametrize(
    ("kind", "state", "action", "order", "lift_ordered", "ends", "goes"),
    [
        (ORDER, DEAD, Action.FREEZE, OrderState.PLACED, False, False, True),
        (ORDER, ARRIVED, Action.FREEZE, OrderState.EXECUTED, False, False, True),
        (ORDER, ARRIVED, Action.FREEZE, OrderState.EXECUTED, True, False, False),
        (ORDER, ARRIVED, Action.FREEZE, OrderState.LAPSED, False, False, False),
        (ORDER, ARRIVED, Action.RECALL, OrderState.EXECUTED, False, False, False),
        (ORDER, ARRIVED, Action.DISCLOSE, OrderState.EXECUTED, False, False, False),
        (ORDER, DEAD, Action.LIFT, OrderState.PLACED, True, False, True),
        (ORDER, DEAD, Action.FREEZE, OrderState.LAPSED, True, True, True),
        (ORDER, ARRIVED, Action.FREEZE, OrderState.LIFTED, True, True, False),
        (ORDER, DispatchState.PENDING, Action.FREEZE, OrderState.PLACED, False, False, False),
        (ORDER, DispatchState.CANCELLED, Action.FREEZE, OrderState.PLACED, False, False, False),
        (DispatchKind.STATUS, DEAD, None, None, False, False, True),
        (DispatchKind.STATUS, ARRIVED, None, None, False, False, False),
        (DispatchKind.NOTICE, ARRIVED, Action.FREEZE, OrderState.PLACED, False, False, False),
    ],
)
def test_what_may_go_again(
    kind: DispatchKind,
    state: DispatchState,
    action: Action | None,
    order: OrderState | None,
    lift_ordered: bool,
    ends: bool,
    goes: bool,
) -> None:
    message_type = f"vn.hoatoc.order.{'lift' if ends else action}"
    told = replay.may_go_again(kind, state, action, order, message_type=message_type, lift_ordered=lift_ordered)
    assert told is goes


def test_an_old_question_is_never_asked_again_and_the_end_of_a_silence_stays_true() -> None:
    def told(message_type: str, state: DispatchState, order: OrderState) -> bool:
        return replay.may_go_again(ORDER, state, Action.DISCLOSE, order, message_type=message_type, lift_ordered=False)

    for state in (DEAD, ARRIVED):
        assert not told(read_back.MESSAGE_TYPE, state, OrderState.PLACED)
        assert told(silence.MESSAGE_TYPE, state, OrderState.EXECUTED)
    assert not told(silence.MESSAGE_TYPE, DispatchState.CANCELLED, OrderState.EXECUTED)
