"""What a status of a task, or a delivery, says about the order behind it, as a neutral answer."""

import re
from collections.abc import Mapping

from adapters.answers import Answer
from adapters.etsi import terms
from adapters.etsi.refusal import Refused
from adapters.etsi.shapes import Delivery, Disclosure, Preservation, Takedown

Said = Takedown | Disclosure | Preservation

SHAPES: Mapping[str, type[Said]] = {
    terms.TAKEDOWN: Takedown,
    terms.DISCLOSURE: Disclosure,
    terms.PRESERVATION: Preservation,
}
# Of each task, what a participant may say; "Rejected" wants a reason, "lifted" is said of what was to be cancelled.
OUTCOMES: Mapping[str, Mapping[str, str]] = {
    terms.TAKEDOWN: {"Pending": "received", "Resolved": "executed", "Rejected": "refused", "Error": "error"},
    terms.PRESERVATION: {
        "AwaitingPreservation": "received",
        "Preserved": "executed",
        "PreservationNotAvailable": "refused",
        "Rejected": "refused",
        "Cancelled": "lifted",
        "Error": "error",
        "Invalid": "error",
    },
    # Disclosed is said by delivering: a status without the data would close an order that nobody answered.
    terms.DISCLOSURE: {
        "AwaitingDisclosure": "received",
        "DisclosureNotAvailable": "refused",
        "Rejected": "refused",
        "Error": "error",
        "Invalid": "error",
    },
}
_NOT_AVAILABLE = "target_not_found"
_LDID = re.compile(r"VN-HOATOC-([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")
_DESTINATION = re.compile(r"\S(?:.{0,62}\S)?")


def of(said: Said | Delivery) -> Answer:
    """Return the answer; the order is the one that ExternalIdentifier or LDID names, else the task itself.

    Raises ``Refused`` for a status that is no answer, or one without the reason that it needs.
    """
    if isinstance(said, Delivery):
        found = _LDID.fullmatch(said.reference.disclosure)
        if found is None:
            raise Refused(terms.Wrong.UNKNOWN_OBJECT, "object.unknown")
        return Answer(found[1].lower(), "executed", disclosed=said.data.said)
    outcome = _outcome(said)
    order_id = (said.external or said.identifier).lower()
    if outcome != "refused":
        return Answer(order_id, outcome)
    code = _refusal(said)
    if code == "not_mine":
        return Answer(order_id, "not_mine", ported_to=_ported_to(said))
    return Answer(order_id, outcome, refusal_code=code)


def _outcome(said: Said) -> str:
    status = said.status
    known = OUTCOMES[said.kind]
    if (status.owner, status.name) != (terms.ETSI, terms.STATUS[said.kind]) or status.value not in known:
        raise Refused(terms.Wrong.NOT_SPOKEN, "status.unknown", "task:Status")
    outcome = known[status.value]
    if said.desired is None:
        return outcome
    desired = said.desired
    expected = {terms.WANTED[said.kind], terms.CANCELLED}
    if (desired.owner, desired.name) != (terms.ETSI, terms.DESIRED[said.kind]) or desired.value not in expected:
        raise Refused(terms.Wrong.NOT_SPOKEN, "status.unknown", "task:DesiredStatus")
    # What was to be cancelled is resolved when it is gone: a takedown has no status of its own for that.
    is_undone = desired.value == terms.CANCELLED and said.kind == terms.TAKEDOWN and outcome == "executed"
    return "lifted" if is_undone else outcome


def _refusal(said: Said) -> str:
    if said.reason is None:
        if said.status.value == "Rejected":
            raise Refused(terms.Wrong.MALFORMED, "field.missing", "task:StatusReason")
        return _NOT_AVAILABLE
    if said.reason.number not in terms.REASONS:
        raise Refused(terms.Wrong.NOT_SPOKEN, "reason.unknown", "task:StatusReason/ErrorCode")
    return terms.REASONS[said.reason.number]


def _ported_to(said: Said) -> str | None:
    assert said.reason is not None
    if not said.reason.said.startswith(terms.PORTED_TO):
        return None
    destination = said.reason.said.removeprefix(terms.PORTED_TO)
    if _DESTINATION.fullmatch(destination) is None or len(destination) < 2:
        raise Refused(terms.Wrong.MALFORMED, "field.pattern", "task:StatusReason/ErrorDescription")
    return destination
