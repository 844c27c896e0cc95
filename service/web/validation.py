"""What Pydantic found wrong, as our own codes and JSON pointers, without any value that was sent."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import FieldError, HubError, InvalidInput, MalformedInput
from service.web import pointer

MOST_FIELDS = 100  # a body of 64 KiB can have thousands of wrong members; an answer does not

_CODES = {
    "missing": "field.missing",
    "union_tag_not_found": "field.missing",
    "extra_forbidden": "field.unknown",
    "string_too_long": "field.too_long",
    "string_too_short": "field.too_short",
    "bytes_too_long": "field.too_long",
    "bytes_too_short": "field.too_short",
    "url_too_long": "field.too_long",
    "too_long": "field.too_many",
    "too_short": "field.too_few",
    "string_pattern_mismatch": "field.pattern",
    "string_not_ascii": "field.pattern",
    "enum": "field.not_in_list",
    "literal_error": "field.not_in_list",
    "union_tag_invalid": "field.not_in_list",
    "greater_than": "field.out_of_range",
    "greater_than_equal": "field.out_of_range",
    "less_than": "field.out_of_range",
    "less_than_equal": "field.out_of_range",
    "int_parsing_size": "field.out_of_range",
    "finite_number": "field.out_of_range",
    "int_from_float": "field.wrong_type",
    "int_parsing": "field.wrong_type",
    "bool_parsing": "field.wrong_type",
    "float_parsing": "field.wrong_type",
    "none_required": "field.wrong_type",
    "uuid_parsing": "field.uuid",
    "uuid_version": "field.uuid",
    "datetime_parsing": "field.instant",
    "datetime_object_invalid": "field.instant",
    "datetime_from_date_parsing": "field.instant",
    "timezone_naive": "field.instant",
    "timezone_aware": "field.instant",
    "timezone_offset": "field.instant",
    "date_parsing": "field.date",
    "date_from_datetime_parsing": "field.date",
    "date_from_datetime_inexact": "field.date",
}
# Only what our own shapes say; other members of ctx (tag, error, …) repeat what was sent.
_LIMITS = {
    "max_length": "max",
    "min_length": "min",
    "ge": "min",
    "gt": "above",
    "le": "max",
    "lt": "below",
    "expected": "expected",
    "expected_tags": "expected",
}
_TAGS = {"union_tag_invalid", "union_tag_not_found"}
_QUOTED = re.compile(r"'([^']*)'")


def translate(found: Sequence[Mapping[str, Any]], body: Any) -> HubError:
    """Return the error of one entry a wrong field: InvalidInput, or MalformedInput where only headers are wrong.

    ``found`` is what ``RequestValidationError.errors()`` gives. ``body`` is the parsed body: Pydantic's places name the
    members of unions too, which are no part of the body and so of no pointer.
    """
    fields: dict[tuple[str, str], FieldError] = {}
    for entry in found:
        error = _field_error(entry, body)
        fields.setdefault((error.field, error.code), error)
    wrong = tuple(fields.values())[:MOST_FIELDS]
    if found and all(entry["loc"][:1] == ("header",) for entry in found):
        return MalformedInput("header.invalid", fields=wrong)
    return InvalidInput("input.invalid", fields=wrong)


def _field_error(entry: Mapping[str, Any], body: Any) -> FieldError:
    kind: str = entry["type"]
    context: Mapping[str, Any] = entry.get("ctx") or {}
    return FieldError(_place(kind, entry["loc"], context, body), _code(kind), _params(kind, context))


def _code(kind: str) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if kind.endswith("_type"):
        return "field.wrong_type"
    # A PydanticCustomError of a schema carries our own code, which has a dot; Pydantic's have none.
    return kind if "." in kind else "field.value"


def _params(kind: str, context: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in _CODES:
        return dict(context) if "." in kind else {}
    params = {_LIMITS[name]: value for name, value in context.items() if name in _LIMITS}
    if isinstance(params.get("expected"), str):
        params["expected"] = ", ".join(_QUOTED.findall(params["expected"]))
    return params


def _place(kind: str, place: Sequence[str | int], context: Mapping[str, Any], body: Any) -> str:
    source, *steps = place
    if source == "header":
        return "-".join(word.capitalize() for word in str(steps[0]).split("-"))
    if source != "body":
        name = str(steps[0]) if steps else str(source)
        return name if pointer.build([name]) == f"/{name}" else pointer.HIDDEN
    path: list[str | int] = []
    node = body
    for position, step in enumerate(steps):
        members = dict(enumerate(node)) if isinstance(node, list) else node
        if isinstance(members, dict) and step in members:
            node = members[step]
        elif not (kind == "missing" and position == len(steps) - 1):
            continue  # the tag or type of a union's member
        path.append(step)
    if kind in _TAGS:
        path.append(str(context["discriminator"]).strip("'"))
    elif "." in kind and "field" in context:
        path.append(str(context["field"]))  # a check of a whole shape that knows which of its members is wrong
    return pointer.build(path)
