"""What a participant's answer in a bundle says, in whichever format it was signed."""

from collections.abc import Mapping
from typing import Any

from adapters.etsi import answering, parse
from adapters.etsi.refusal import Refused
from service.security import evidence_checks as checks


def read(text: str) -> Mapping[str, Any]:
    """Return the members of an answer as an acknowledgement has them; of what is none, no members at all.

    An HI1 message (ETSI TS 103 120) also says to which order it belongs (``order_id``): its signature stands over the
    whole message, which names the order once more.
    """
    body = checks.object_of(text)
    if "Payload" not in body:
        return body
    try:
        header = body["Header"]
        parties = {
            name: header[f"{name.capitalize()}Identifier"]["UniqueIdentifier"] for name in ("sender", "receiver")
        }
        action = parse.request(body, **parties).answer
        if action is None or not isinstance(action.asked, parse.Answering):
            return {}
        given = answering.of(action.asked)
    except (Refused, KeyError, TypeError):
        return {}
    said = {"outcome": given.outcome, "order_id": given.order_id, "participant_id": parties["sender"]}
    return said | ({"disclosed": dict(given.disclosed)} if given.disclosed else {})
