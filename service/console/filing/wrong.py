"""What is wrong with the answers: found by the shapes, the rules and the directory that judge the filing itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors, i18n
from service.actions import demands, officers
from service.actions.demands import Weighed
from service.console.filing import body as bodies
from service.console.filing import steps
from service.console.filing.steps import Step
from service.errors import FieldError
from service.queries.registry import Known
from service.schemas.demands import SubmitRequest
from service.security.principals import Principal
from service.web import problems, validation
from workflows import authority, routing
from workflows.terms import MONEY_TARGETS, Action, TargetKind

_SHAPE: TypeAdapter[Any] = TypeAdapter(SubmitRequest)
# Where the page has one field, the body has an object or a name of its own.
_FIELDS = {
    "amount.value": "amount",
    "amount.currency": "amount",
    "document": "document.number",
    "contact": "contact.name",
    "payment": "payment.reference",
    "window": "window.since",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One answer that cannot stay: the field's name, its question, and what to do about it in words."""

    field: str
    step: Step
    text: str


def shape(answers: bodies.Answers, body: Mapping[str, Any], action: Action, lang: str) -> list[Wrong]:
    """Return what the contract's shapes find wrong with a body."""
    found = _chosen(answers, action)
    try:
        _SHAPE.validate_python(body)
    except ValidationError as error:
        wrong = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        found += validation.translate(wrong, body).fields
    return _told(found, answers, action, lang)


async def weighed(
    conn: AsyncConnection,
    known: Known,
    principal: Principal,
    answers: bodies.Answers,
    body: Mapping[str, Any],
    lang: str,
) -> tuple[Weighed | None, list[Wrong]]:
    """Ask the rules about a body whose shape is right, as its filing will: what they grant, or what is wrong with it.

    Nothing is written of it: no request exists yet, and nobody has signed.
    """
    action = Action(body["action"])
    shaped = _SHAPE.validate_python(body)
    try:
        who = await officers.who(conn, principal.tenant, shaped.officer_id)
        granted = await demands.weigh(conn, known, principal.tenant, shaped, who)
    except errors.InvalidInput as invalid:
        return None, _told(list(invalid.fields), answers, action, lang)
    except authority.AuthorityRefused as refused:
        return None, [_ruled(refused, action, lang)]
    return granted, []


def unrouted(known: Known, answers: bodies.Answers, body: Mapping[str, Any], lang: str, day: Any) -> list[Wrong]:
    """Return the targets for which the directory knows nobody; of those whose shape is wrong nothing is said."""
    action = Action(body["action"])
    found = []
    for place, target in enumerate(targets(body)):
        try:
            routing.route(_routed(target), known.directory, day, body.get("measure"), action)
        except routing.UnknownInstitution as unknown:
            field = {"institution": "at", "platform": "at"}.get(unknown.field, "value")
            pointer = f"/targets/{place}/{field}"
            found.append(FieldError(pointer, "institution.unknown", {"value": unknown.value}))
        except (KeyError, ValueError):
            continue
    return _told(found, answers, action, lang)


def targets(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the targets of a body, of whichever kind of request."""
    return [body["target"]] if "target" in body else list(body.get("targets", ()))


def of_error(error: errors.HubError, answers: bodies.Answers, action: Action, lang: str) -> list[Wrong]:
    """Return what the filing itself found wrong with fields."""
    return _told(list(error.fields), answers, action, lang)


def recipients(known: Known, body: Mapping[str, Any], day: Any) -> tuple[str, ...]:
    """Return whom a body would reach by the directory of today; what cannot be routed is left out."""
    found: dict[str, None] = {}
    for target in targets(body):
        try:
            route = routing.route(_routed(target), known.directory, day, body.get("measure"), Action(body["action"]))
        except (routing.UnknownInstitution, KeyError, ValueError):
            continue
        found.update(dict.fromkeys(each.participant_id for each in route.participants))
    return tuple(sorted(found))


def _routed(target: Mapping[str, Any]) -> routing.RoutingTarget:
    kind = TargetKind(target["kind"])
    return routing.RoutingTarget(kind, target["value"], target.get("institution"), target.get("platform"))


def _chosen(answers: bodies.Answers, action: Action) -> list[FieldError]:
    """Return the choices that nobody made, of which the body says nothing."""
    asked = steps.order(action)
    missing = []
    if Step.AMOUNT in asked and action is Action.FREEZE and answers.get("extent") not in {"amount", "whole"}:
        missing.append("/extent")
    if Step.END in asked and action not in steps.FOLLOW_UPS and answers.get("until") not in {"default", "named"}:
        missing.append("/until")
    if action is Action.EXTEND and not answers.get("reason"):
        missing.append("/reason")
    return [FieldError(pointer, "field.missing") for pointer in missing]


def _ruled(refused: authority.AuthorityRefused, action: Action, lang: str) -> Wrong:
    text = i18n.text(f"errors.authority.{refused.rule}.detail", lang, **dict[str, Any](refused.params))
    step = steps.step_of_rule(refused.rule, action)
    field = "ends_at" if step is Step.END and action in steps.FOLLOW_UPS else _FIRST_FIELD.get(step, "legal_basis")
    return Wrong(field, step, text)


_FIRST_FIELD = {
    Step.TARGETS: "targets.0.kind",
    Step.URGENCY: "urgency",
    Step.AMOUNT: "amount",
    Step.END: "until",
}


def _told(found: Iterable[FieldError], answers: bodies.Answers, action: Action, lang: str) -> list[Wrong]:
    told: dict[str, Wrong] = {}
    for each in found:
        field = _field(each.field, answers)
        told.setdefault(field, Wrong(field, steps.step_of(field, action), _text(field, each, answers, lang)))
    order = steps.order(action)
    return sorted(told.values(), key=lambda wrong: order.index(wrong.step))


def _field(pointer: str, answers: bodies.Answers) -> str:
    """Return the page's field for a pointer into the body: targets that say nothing are not counted there."""
    path = pointer.removeprefix("/").split("/")
    if path == [""]:
        # Of a whole body one thing alone can be wrong: a freeze of both an amount and everything, or of neither.
        return "extent"
    named = bodies.places(answers) or [0]
    if path[0] == "target":
        path = ["targets", str(named[0]), *path[1:]]
    elif path[0] == "targets" and len(path) > 1:
        path[1] = str(named[int(path[1])])
    if path[0] == "targets" and len(path) == 2:
        path.append("value")
    if path == ["targets"]:
        path = ["targets", str(named[0]), "value"]
    if path[0] == "targets" and path[2] in {"institution", "platform"}:
        path[2] = "at"
    if path[0] == "asked":
        path = ["asked"]
    field = ".".join(path)
    return _FIELDS.get(field, field)


def _text(field: str, error: FieldError, answers: bodies.Answers, lang: str) -> str:
    """Say what is wrong: what a field must hold in the page's own words, what only the rules know in theirs."""
    if not error.code.startswith("field.") and error.code not in {"target.e164"}:
        return _numbered(field, problems.field_message(error, lang), answers, lang)
    name = field
    if field.startswith("targets."):
        name = f"targets_{field.rpartition('.')[2]}"
        kind = bodies.kind_of(answers, int(field.split(".")[1]))
        if name == "targets_value" and kind is not None:
            name = f"value_{kind}"
        if name == "targets_at" and kind is not None:
            name = "at_institution" if kind in MONEY_TARGETS else "at_platform"
    key = f"console.filing.wrong.{name.replace('.', '_')}"
    text = i18n.text(key, lang) if i18n.has(key) else problems.field_message(error, lang)
    return _numbered(field, text, answers, lang)


def _numbered(field: str, text: str, answers: bodies.Answers, lang: str) -> str:
    places = bodies.places(answers)
    if not field.startswith("targets.") or len(places) < 2:
        return text
    number = int(field.split(".")[1])
    shown = places.index(number) + 1 if number in places else 1
    return i18n.text("console.filing.wrong.numbered", lang, number=shown, text=text)
