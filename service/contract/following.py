"""What is told of the messages that follow an order and demand nothing: the read-back, and the end of a silence."""

from collections.abc import Mapping

from service.contract.told import Told
from service.security.scopes import Scope
from workflows import authority

# The rules are asked about both officers: whoever filed may have lost since what the request needs.
_OF_FILING = ("end_missing", "emergency_in_a_row")
SECOND_OFFICER = ("same_officer", *(rule for rule in authority.RULE_NAMES if rule not in _OF_FILING))

FOLLOWING: Mapping[str, Told] = {
    "readBackOrder": Told(
        scopes=(Scope.HOLDS_ASK,),
        conflicts=("read_back.no_hold", "read_back.on_its_way", "read_back.unreachable"),
        advice=(
            "For the agency whose hold it is and for coordinators, at most every 15 minutes a hold (429"
            " `read_back.too_soon`). The answer comes as every answer about a held amount: `hold.confirmed` on the"
            " timeline, `order.executed` with a larger amount, or a task for a coordinator where less is held. The"
            " question has no clock: nobody is escalated who does not answer it."
        ),
    ),
    "endSilence": Told(
        scopes=(Scope.REQUESTS_APPROVE,),
        rules=SECOND_OFFICER,
        conflicts=("silence.no_silence", "silence.nothing_sent", "request.erased"),
        advice=(
            "For the agency that asked, of its own disclosure or trace, active or closed, and once: asked again, it is"
            " answered as the first time (`repeated`) and sends nothing. Two officers sign the same: one as whoever may"
            " file such a request today, the other as whoever may approve it. Nothing brings the silence back: who was"
            " told stays told. `left_out` names who gets no message."
        ),
    ),
}
