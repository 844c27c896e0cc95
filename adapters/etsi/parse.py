"""Reads what a participant sends: one HI1 request, or a refusal that says which member is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from pydantic import ValidationError

from adapters.etsi import answering, terms
from adapters.etsi.messages import NO_TRANSACTION
from adapters.etsi.refusal import Refused
from adapters.etsi.shapes import Config, Deliver, Delivery, Get, Header, List, Shape

MOST_ACTIONS = 20
# What XML calls namespaces may stand in JSON as members that begin with "@": only these, and only with these values.
NAMESPACES: Mapping[str, str] = {
    "@xmlns": "http://uri.etsi.org/03120/common/2019/10/Core",
    "@xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "@xmlns:common": "http://uri.etsi.org/03120/common/2016/02/Common",
    "@xmlns:task": "http://uri.etsi.org/03120/common/2020/09/Task",
    "@xmlns:delivery": "http://uri.etsi.org/03120/common/2019/10/Delivery",
}
_READS: Mapping[str, type[Shape]] = {"GET": Get, "LIST": List, "GETCSPCONFIG": Config}
_VERBS = frozenset({"UPDATE", "DELIVER", "CREATE", *_READS})
# What members of messages look like, with three digits at most; anything else is somebody's text, with personal data
# or worse in it.
_NAME = re.compile(r"(?!(?:[^0-9]*[0-9]){4})@?[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_S = TypeVar("_S", bound=Shape)

Answering = answering.Said | Delivery
Asked = Get | List | Config | Answering


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a request, under its number."""

    number: int
    verb: str
    asked: Asked


@dataclass(frozen=True, slots=True)
class Request:
    """A request: which transaction it is, and what it asks; an answer to an order is always alone."""

    transaction: str
    actions: tuple[Action, ...]

    @property
    def answer(self) -> Action | None:
        """The one action that answers an order, or None for a request that only reads."""
        first = self.actions[0]
        return first if first.verb in {"UPDATE", "DELIVER"} else None


def request(document: Any, *, sender: str, receiver: str) -> Request:
    """Return what a JSON value asks for, from the participant ``sender`` to the hub ``receiver``.

    Raises ``Refused`` with the ErrorCode, the reason and the JSON pointer of the wrong member.
    """
    members = _members(document, "")
    unknown = [name for name in members if name not in {"Header", "Payload", *NAMESPACES}]
    if unknown:
        raise Refused(terms.Wrong.MALFORMED, "field.unknown", _step(unknown[0]))
    for name, value in NAMESPACES.items():
        if name in members and members[name] != value:
            raise Refused(terms.Wrong.VERSION, "namespace.unknown", f"/{name}")
    header = read(Header, members.get("Header"), "/Header")
    _check_header(header, sender, receiver)
    payload = _only(_members(members.get("Payload"), "/Payload"), "RequestPayload", "/Payload")
    listed = _only(_members(payload, "/Payload/RequestPayload"), "ActionRequests", "/Payload/RequestPayload")
    place = "/Payload/RequestPayload/ActionRequests"
    asked = _only(_members(listed, place), "ActionRequest", place)
    if not isinstance(asked, list) or not asked:
        raise Refused(terms.Wrong.MALFORMED, "field.wrong_type", f"{place}/ActionRequest")
    if len(asked) > MOST_ACTIONS:
        raise Refused(terms.Wrong.MIXED, "action.too_many", f"{place}/ActionRequest")
    actions = tuple(_action(each, f"{place}/ActionRequest/{number}") for number, each in enumerate(asked))
    if len({action.number for action in actions}) != len(actions):
        raise Refused(terms.Wrong.MALFORMED, "action.number_twice", f"{place}/ActionRequest")
    if len(actions) > 1 and any(action.verb not in _READS for action in actions):
        # One signature stands over the whole message and names one order.
        raise Refused(terms.Wrong.MIXED, "action.mixed", f"{place}/ActionRequest")
    return Request(header.transaction.lower(), actions)


def transaction(document: Any) -> str:
    """Return the transaction that even a bad message names, for the answer to it; of none, the nil UUID."""
    try:
        return str(UUID(document["Header"]["TransactionIdentifier"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return NO_TRANSACTION


def read(shape: type[_S], value: Any, place: str) -> _S:
    """Return a value in its shape; raises ``Refused`` naming the first member that is wrong."""
    try:
        return shape.model_validate(value)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        where = "".join(map(_step, first["loc"]))
        raise Refused(terms.Wrong.MALFORMED, _code(str(first["type"])), f"{place}{where}") from None


def _check_header(header: Header, sender: str, receiver: str) -> None:
    version = header.version
    if version.etsi not in terms.VERSIONS:
        raise Refused(terms.Wrong.VERSION, "version.unknown", "/Header/Version/ETSIVersion")
    if (version.owner, version.profile) != (terms.PROFILE_OWNER, terms.PROFILE_VERSION):
        raise Refused(terms.Wrong.VERSION, "profile.unknown", "/Header/Version")
    if (header.sender.country, header.sender.name) != (terms.COUNTRY, sender):
        raise Refused(terms.Wrong.SENDER, "sender.not_the_caller", "/Header/SenderIdentifier")
    if (header.receiver.country, header.receiver.name) != (terms.COUNTRY, receiver):
        raise Refused(terms.Wrong.RECEIVER, "receiver.not_this_hub", "/Header/ReceiverIdentifier")


def _action(value: Any, place: str) -> Action:
    members = _members(value, place)
    number = members.get("ActionIdentifier")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**31:
        raise Refused(terms.Wrong.MALFORMED, "field.out_of_range", f"{place}/ActionIdentifier")
    verbs = [name for name in members if name != "ActionIdentifier"]
    if len(verbs) != 1 or verbs[0] not in _VERBS:
        raise Refused(terms.Wrong.NOT_SPOKEN, "action.unknown", place)
    verb, inner = verbs[0], f"{place}/{verbs[0]}"
    if verb in _READS:
        found = read(_READS[verb], members[verb], inner)
        assert isinstance(found, Get | List | Config)
        return Action(number, verb, found)
    if verb == "DELIVER":
        made = _members(_members(members[verb], inner).get("HI1Object"), f"{inner}/HI1Object")
        _of_type(made, {terms.DELIVERY}, f"{inner}/HI1Object")
        delivered = read(Deliver, members[verb], inner)
        if delivered.identifier.lower() != delivered.made.identifier.lower():
            raise Refused(terms.Wrong.MALFORMED, "object.other_identifier", f"{inner}/Identifier")
        return Action(number, verb, delivered.made)
    if verb == "CREATE":
        raise Refused(terms.Wrong.NOT_SPOKEN, "action.create", inner)
    value = _only(_members(members[verb], inner), "HI1Object", inner)
    task = _members(value, f"{inner}/HI1Object")
    kind = _of_type(task, set(answering.SHAPES), f"{inner}/HI1Object")
    return Action(number, verb, read(answering.SHAPES[kind], task, f"{inner}/HI1Object"))


def _of_type(members: Mapping[str, Any], known: set[str], place: str) -> str:
    kind = members.get("@xsi:type")
    if not isinstance(kind, str) or kind not in known:
        raise Refused(terms.Wrong.NOT_SPOKEN, "object.type", f"{place}/@xsi:type")
    return kind


def _members(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refused(terms.Wrong.MALFORMED, "field.missing" if value is None else "field.wrong_type", place)
    return value


def _only(members: Mapping[str, Any], name: str, place: str) -> Any:
    unknown = [each for each in members if each != name]
    if unknown:
        raise Refused(terms.Wrong.MALFORMED, "field.unknown", place + _step(unknown[0]))
    if name not in members:
        raise Refused(terms.Wrong.MALFORMED, "field.missing", f"{place}/{name}")
    return members[name]


def _step(name: object) -> str:
    """Return one step of a JSON pointer; a name that no message has becomes ``*``: it may be a person's number."""
    return f"/{name}" if isinstance(name, int) or _NAME.fullmatch(str(name)) else "/*"


def _code(kind: str) -> str:
    if kind == "extra_forbidden":
        return "field.unknown"
    if kind == "missing":
        return "field.missing"
    if kind.endswith("_type"):
        return "field.wrong_type"
    return "field.pattern" if kind == "string_pattern_mismatch" else "field.out_of_range"
