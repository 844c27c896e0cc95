"""The end of a silence: who of those that were told to keep one is told by a message that it is over."""

from enum import StrEnum

from workflows.terms import CONFIDENTIAL, Action, Channel

# No request ever asks for it: it is a word about what was sent, so it is no ``Action``.
NAME = "silence_ended"
MESSAGE_TYPE = f"vn.hoatoc.order.{NAME}"
# What both officers sign, member by member.
SIGNED = ("officer_id", "reason", "second_officer_id")


class SilenceReason(StrEnum):
    """Why the agency ends it; the hub asks for one and never finds one itself.

    Assumed: which of them ends the secrecy of an investigation, and by which paper, is a lawyer's word.
    """

    PROCEEDINGS_ENDED = "proceedings_ended"
    SECRECY_NOT_NEEDED = "secrecy_not_needed"
    ORDERED = "ordered"


class NoEnd(StrEnum):
    """Why there is nothing to end."""

    NO_SILENCE = "no_silence"
    NOTHING_SENT = "nothing_sent"


class LeftOut(StrEnum):
    """Why no message says it to a participant: the agency says it on paper, where it has to be said at all."""

    NOT_REACHED = "not_reached"
    UNREACHABLE = "unreachable"
    NO_MESSAGE = "no_message"


def no_end(action: Action, *, is_known: bool) -> NoEnd | None:
    """Return why nothing can be ended, None where something can.

    Only a disclosure and a trace ask for silence; ``is_known`` says whether any participant has it, for who has
    nothing keeps nothing to himself.
    """
    if action not in CONFIDENTIAL:
        return NoEnd.NO_SILENCE
    return None if is_known else NoEnd.NOTHING_SENT


def speaks(channel: Channel) -> bool:
    """Tell whether a channel has a message for it: ETSI TS 103 120 has none."""
    return channel is not Channel.ETSI


def left_out(*, has_it: bool, channel: Channel | None) -> LeftOut | None:
    """Return why a participant is not told, None where it is; ``channel`` is None where it has no endpoint in force."""
    if not has_it:
        return LeftOut.NOT_REACHED
    if channel is None:
        return LeftOut.UNREACHABLE
    return None if speaks(channel) else LeftOut.NO_MESSAGE
