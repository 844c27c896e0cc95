"""What silence can be ended, and who is told of it by a message."""

import pytest

from workflows import silence
from workflows.silence import LeftOut, NoEnd
from workflows.terms import Action, Channel

ASKING = {Action.DISCLOSE, Action.TRACE}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("is_known", [False, True])
def test_only_a_disclosure_or_a_trace_that_somebody_has_asks_for_silence(action: Action, is_known: bool) -> None:
    why = None if is_known else NoEnd.NOTHING_SENT
    assert silence.no_end(action, is_known=is_known) is (why if action in ASKING else NoEnd.NO_SILENCE)


@pytest.mark.parametrize("channel", [*Channel, None])
def test_whoever_has_nothing_or_cannot_be_told_is_named(channel: Channel | None) -> None:
    assert silence.left_out(has_it=False, channel=channel) is LeftOut.NOT_REACHED
    wanted = {None: LeftOut.UNREACHABLE, Channel.ETSI: LeftOut.NO_MESSAGE}
    assert silence.left_out(has_it=True, channel=channel) is wanted.get(channel)
