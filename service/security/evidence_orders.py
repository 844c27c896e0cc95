"""The part of the verifier that holds orders against what the officers signed, and answers against their facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adapters.iso20022 import parse
from adapters.iso20022.sign import SignatureInvalid
from adapters.iso20022.xml import MessageRefused
from service.schemas.demands import FreezeRequest, SubmitRequest
from service.schemas.evidence import EvidenceAnswer, EvidenceFact, EvidenceMessage, EvidenceOrder, EvidenceRequest
from service.security import answer_texts
from service.security import evidence_checks as checks
from service.security.evidence_checks import Findings
from service.security.signatures import Kind
from workflows import read_back, silence
from workflows.terms import CONFIDENTIAL, ONCE, Action, LegalBasis, Outcome

HUB = ("hub", "hoatoc-hub", "hoatoc-hub")

_DEMAND: TypeAdapter[Any] = TypeAdapter(SubmitRequest)
# An emergency hold is one officer's, to be reviewed; everything else that binds anybody takes two from the start.
_TWO_OFFICERS = frozenset({Action.FREEZE, Action.EXTEND, Action.PRESERVE, *ONCE})
_SAID_LATER = {
    (str(Action.FREEZE), read_back.MESSAGE_TYPE): read_back.NAME,
    **{(str(action), silence.MESSAGE_TYPE): silence.NAME for action in CONFIDENTIAL},
}
_NAMES_ITS_DISPATCH = frozenset({"order.delivered", "dispatch.sent", "dispatch.failed", "dispatch.dead"})


@dataclass(frozen=True, slots=True)
class Section:
    """One request of a bundle: as it was received, as the hub understands it (None where it does not), its facts."""

    request: EvidenceRequest
    body: Mapping[str, Any]
    demand: Any

    @classmethod
    def of(cls, request: EvidenceRequest) -> "Section":
        """Read the body; whatever is wrong with it is found later, by name."""
        try:
            return cls(request, *_read(request.body))
        except (ValueError, RecursionError):
            return cls(request, {}, None)

    @property
    def id(self) -> str:
        """The request's id."""
        return self.request.id

    @property
    def needs_two(self) -> bool:
        """Tell whether nothing may be placed on one officer's word."""
        demand = self.demand
        return demand is None or (demand.action in _TWO_OFFICERS and demand.legal_basis is not LegalBasis.EMERGENCY)

    def facts_of(self, code: str) -> list[EvidenceFact]:
        """Return the facts with this code, in order."""
        return [fact for fact in self.request.facts if fact.code == code]

    def only(self, code: str) -> EvidenceFact | None:
        """Return the one fact with this code, or None where there is none or another one as well."""
        found = self.facts_of(code)
        return found[0] if len(found) == 1 else None

    def about(self, order_id: str) -> list[tuple[EvidenceFact, Mapping[str, Any]]]:
        """Return the facts about one order, with what they say."""
        said = ((fact, checks.data(fact)) for fact in self.request.facts)
        return [(fact, data) for fact, data in said if data.get("order_id") == order_id]


def verify(findings: Findings, section: Section, original: Section) -> None:
    """Check the orders of one request; ``original`` is what it lifts or extends, itself where it does neither."""
    orders = section.request.orders
    placed = {str(checks.data(fact).get("order_id")): fact for fact in section.facts_of("order.placed")}
    findings.expect("orders.placed", section.id, orders=(sorted(order.id for order in orders), sorted(placed)))
    for order in orders:
        fact = placed.get(order.id)
        if fact is not None:
            _order(findings, section, original, order, fact)


def _order(findings: Findings, section: Section, original: Section, order: EvidenceOrder, placed: EvidenceFact) -> None:
    said = checks.data(placed)
    first = order.messages[0].body if order.messages else {}
    findings.expect(
        "order.fact",
        order.id,
        participant=(said.get("participant_id"), order.participant_id),
        action=(said.get("action"), order.action),
        amount=(said.get("amount"), checks.member(first.get("amount"), "value")),
        original=(said.get("original_order_id"), _undone(first)),
    )
    told = section.about(order.id)
    causes = [*(fact for fact, _ in told), *section.facts_of("request.silence_ended")]
    instants = {at.replace(microsecond=0): at for fact in causes if (at := checks.instant(fact.at))}
    sent = {f"{data.get('dispatch_id')} {data.get('message_type')}" for fact, data in told if _names(fact, data)}
    there = {f"{_dispatch(message.id)} {message.type}" for message in order.messages}
    sequences = [message.body.get("sequence") for message in order.messages]
    findings.expect(
        "order.messages",
        order.id,
        sent=(sorted(sent - there), []),
        placed=(bool(order.messages), True),
        sequence=(all(map(_rises, [0, *sequences], sequences)), True),
    )
    for number, message in enumerate(order.messages):
        signed = findings.signature(
            "order.signature",
            message.signature,
            kind=Kind.ORDER,
            payload=checks.encoded(message.body),
            owner=HUB,
            about=order.id,
            taken_at=checks.instant(placed.at) if number == 0 else None,
        )
        when = signed.signed_at in instants if signed else True
        _message(findings, section, original, order, message, is_first=number == 0, when=when)
    _answers(findings, section, order, told)


def _message(
    findings: Findings,
    section: Section,
    original: Section,
    order: EvidenceOrder,
    message: EvidenceMessage,
    *,
    is_first: bool,
    when: bool,
) -> None:
    """Hold what was sent against what was signed.

    An order's later messages are the lifts that the hub sends itself, questions about a hold that stands, and the end
    of a silence.
    """
    body, demand = message.body, section.demand
    if demand is None:
        findings.note("order.agrees", order.id, "request")
        return
    filed = section.only("request.submitted")
    said = checks.data(filed) if filed else {}
    officer = next((each for each in findings.bundle.officers if each.id == demand.officer_id), None)
    plain = demand.model_dump(mode="json", exclude_none=True)
    said_later = _SAID_LATER.get((order.action, message.type))
    action = order.action if is_first else said_later or str(Action.LIFT)
    pairs: dict[str, tuple[Any, Any]] = {
        "when": (when, True),
        "type": (message.type, f"vn.hoatoc.order.{action}"),
        "action": (body.get("action"), action),
        "order_id": (body.get("order_id"), order.id),
        "participant_id": (body.get("participant_id"), order.participant_id),
        "request_id": (body.get("request_id"), section.id),
        "reference": (body.get("reference"), said.get("reference")),
        "agency": (checks.member(body.get("agency"), "id"), section.request.agency),
        "officer": (body.get("officer"), {"rank": officer.rank, "number": officer.number} if officer else None),
        # An earlier build's orders do not name the second officer.
        "second_officer": (body.get("second_officer", _second(findings, section)), _second(findings, section)),
        "target": (body.get("target") in [_target(each) for each in _targets(original.demand)], True),
        "whole_account": (body.get("whole_account"), isinstance(demand, FreezeRequest) and demand.amount is None),
        "amount": (body.get("amount"), plain.get("amount")),
        "measure": (body.get("measure"), plain.get("measure")),
        # An earlier build's orders do not have the members at all.
        "payment": (body.get("payment"), plain.get("payment")),
        "asked": (body.get("asked"), plain.get("asked")),
        "window": (checks.window(body), checks.window(plain)),
        "confidential": (body.get("confidential", False), action in CONFIDENTIAL),
        "starts_at": (_starts_as_asked(body, plain, filed), True),
        "answer_url": (body.get("answer_url"), f"/v1/orders/{order.id}/acknowledgements"),
    }
    for name in ("case_number", "urgency", "legal_basis", "document", "contact"):
        pairs[name] = (body.get(name), plain.get(name))
    if is_first:
        ends_at = checks.instant(body.get("ends_at"))
        pairs["ends_at"] = (ends_at, checks.instant(said.get("ends_at")))
        pairs["ends_as_asked"] = (ends_at, checks.instant(plain.get("ends_at")) if plain.get("ends_at") else ends_at)
        pairs["action_asked"] = (action, str(demand.action))
        undoes = demand.action in {Action.LIFT, Action.EXTEND}
        pairs["original"] = (_undone(body) in (_orders_at(original, order.participant_id) if undoes else [None]), True)
    else:
        pairs["lifts"] = (body.get("lifts_order_id"), None if said_later else order.id)
    findings.expect("order.agrees", order.id, **pairs)


def _answers(
    findings: Findings, section: Section, order: EvidenceOrder, told: list[tuple[EvidenceFact, Mapping[str, Any]]]
) -> None:
    given = {(checks.commitment(section.request, each.body), each.received_at): each for each in order.answers}
    recorded: dict[Any, Mapping[str, Any]] = {}
    for fact, data in told:
        name, at = data.get("answer_commitment"), checks.instant(fact.at)
        if data.get("answer_sha256") and not name:
            # An earlier build's facts name the digest itself.
            meant = (each for each in order.answers if checks.digest(each.body) == data["answer_sha256"])
            name = next((checks.commitment(section.request, each.body) for each in meant), str(data["answer_sha256"]))
        if name:
            recorded[str(name), at] = data
    findings.expect("answers.recorded", order.id, answers=(sorted(map(str, recorded.keys() - given.keys())), []))
    for key, answer in given.items():
        _answer(findings, order, answer, recorded.get(key))
    findings.expect("answers.once", order.id, answers=(len(given), len(order.answers)))


def _answer(
    findings: Findings, order: EvidenceOrder, answer: EvidenceAnswer, recorded: Mapping[str, Any] | None
) -> None:
    owner = ("participant", order.participant_id, order.participant_id)
    is_message = answer_texts.is_business_message(answer.body)
    body = _message_of(findings, order, answer, owner) if is_message else answer_texts.read(answer.body)
    # A business message is signed inside. "Received" says that somebody has it, binds nobody, and is checked where it
    # is signed.
    if not is_message and (body.get("outcome") != Outcome.RECEIVED or answer.signature is not None):
        findings.signature(
            "answer.signature",
            answer.signature,
            kind=Kind.ANSWER,
            payload=checks.canonical(answer.body),
            owner=owner,
            about=order.id,
            taken_at=answer.received_at,
        )
    if "order_id" in body:
        whose = (body.get("participant_id"), order.participant_id)
        findings.expect("answer.order", order.id, order=(body["order_id"], order.id), participant=whose)
    for name in ("amount_held", "amount_returned"):
        if recorded is not None and recorded.get(name) is not None:
            findings.expect("answer.fact", order.id, **{name: (recorded[name], checks.member(body.get(name), "value"))})


def _message_of(
    findings: Findings, order: EvidenceOrder, answer: EvidenceAnswer, owner: tuple[str, str, str]
) -> Mapping[str, Any]:
    """Check the signature of an answer in ISO 20022 and return what it says, nothing of a broken one."""
    try:
        received = parse.read(answer.body.encode())
    except (MessageRefused, SignatureInvalid) as wrong:
        findings.note("answer.signature", f"{order.participant_id} {order.id}", str(wrong))
        return {}
    findings.message("answer.signature", received, owner, order.id, answer.received_at)
    return answer_texts.of_business_message(received)


def _read(text: str) -> tuple[Mapping[str, Any], Any]:
    body = checks.members(text)
    try:
        return body, _DEMAND.validate_python(body)
    except ValidationError:
        return body, None


def _targets(demand: Any) -> list[Any]:
    if demand is None:
        return []
    return [demand.target] if hasattr(demand, "target") else list(getattr(demand, "targets", []))


def _target(target: Any) -> dict[str, Any]:
    """Return a target as an order tells of it: canonical, and without what no participant needs."""
    plain: dict[str, Any] = target.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in plain.items() if name != "intimate"}


def _starts_as_asked(body: Mapping[str, Any], plain: Mapping[str, Any], filed: EvidenceFact | None) -> bool:
    """Tell whether the start is the one that was named, or else an instant before the request was on record."""
    starts_at, filed_at = checks.instant(body.get("starts_at")), checks.instant(filed.at) if filed else None
    if plain.get("starts_at"):
        return starts_at == checks.instant(plain["starts_at"])
    return starts_at is not None and filed_at is not None and starts_at <= filed_at


def _second(findings: Findings, section: Section) -> dict[str, str] | None:
    approvals = {each.officer_id for each in section.request.approvals if each.kind == "approval"}
    officers = [each for each in findings.bundle.officers if each.id in approvals]
    return {"rank": officers[0].rank, "number": officers[0].number} if officers else None


def _undone(body: Mapping[str, Any]) -> Any:
    return body.get("lifts_order_id") or body.get("extends_order_id")


def _orders_at(section: Section, participant_id: str) -> list[str]:
    return [order.id for order in section.request.orders if order.participant_id == participant_id]


def _names(fact: EvidenceFact, data: Mapping[str, Any]) -> bool:
    return fact.code in _NAMES_ITS_DISPATCH and data.get("kind") == "order"


def _rises(before: Any, after: Any) -> bool:
    return isinstance(before, int) and isinstance(after, int) and before < after


def _dispatch(message_id: str) -> str:
    plain = message_id.removeprefix("msg_")
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
