"""The problem answers in the contract: one schema, one shared response a status, and where each applies."""

from collections.abc import Mapping
from typing import Any

from service.contract.told import Told

MEDIA_TYPE = "application/problem+json"
SCHEMA = {"$ref": "#/components/schemas/Problem"}

_RETRY_AFTER = {
    "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}, "required": True}
}
_CHALLENGE = {"WWW-Authenticate": {"description": "RFC 9449", "schema": {"type": "string"}, "required": True}}

# status → (name, what it means, headers)
_ANSWERS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "400": ("Malformed", "The body or a header is not what JSON or the protocol asks for; nothing was written.", {}),
    "401": (
        "Unauthenticated",
        "No token, or one that is not accepted, or not with this proof. The answer never says why.",
        _CHALLENGE,
    ),
    "403": ("Forbidden", "`scope.missing`: the token lacks the scope.", {}),
    "404": ("NotFound", "Unknown, or another's: the two answers are the same, byte for byte.", {}),
    "409": ("Conflict", "The state of the thing does not allow it.", {}),
    "413": ("TooLarge", "The body is over 64 KiB (a form: 8 KiB).", {}),
    "415": ("WrongType", "Not the content type of this operation, or a compressed body.", {}),
    "422": ("Invalid", "A field is wrong: `errors` names each by JSON pointer and code; nothing was written.", {}),
    "429": ("TooMany", "You, or your address, send too fast; come back after `Retry-After`.", _RETRY_AFTER),
    "503": ("Unavailable", "The hub cannot do it now; come back after `Retry-After`.", _RETRY_AFTER),
}


def components() -> dict[str, Any]:
    """Return the shared responses by name."""
    return {
        name: {"description": said, "headers": headers, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        if headers
        else {"description": said, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        for name, said, headers in _ANSWERS.values()
    }


def of(operation: Mapping[str, Any], path: str, method: str, told: Told) -> dict[str, Any]:
    """Return the problem responses that apply to an operation, by status."""
    body, parameters = "requestBody" in operation, operation.get("parameters", [])
    guarded = bool(told.scopes)
    applies = {
        "400": True,
        "401": guarded or path == "/oauth/token",
        "403": guarded,
        # What is put is made, but nothing is made of a participant that is not there.
        "404": (method != "put" or "{participant_id}" in path) and any(each["in"] == "path" for each in parameters),
        "409": bool(told.conflicts),
        "413": body,
        "415": body,
        "422": guarded and (body or bool(parameters)),
        "429": True,
        "503": guarded or path.startswith(("/oauth/token", "/v1/")),
    }
    answers: dict[str, Any] = {}
    for status in (status for status, due in applies.items() if due):
        name, said, _ = _ANSWERS[status]
        answers[status] = {"$ref": f"#/components/responses/{name}"}
        more = _more(status, told)
        if more:
            answers[status]["description"] = f"{said} {more}"
    return answers


def schema() -> dict[str, Any]:
    """Return the schema of a problem (RFC 9457), in both languages."""
    text = {"type": "string"}
    names = ("type", "title", "title_vi", "status", "detail", "detail_vi", "code", "errors")
    return {
        "type": "object",
        "description": "A problem (RFC 9457). Decide by `code`; show the texts. Input is never repeated.",
        "required": list(names),
        "properties": {
            "type": {**text, "pattern": r"^urn:hoatoc:problem:[a-z0-9_.]+$"},
            "title": text,
            "title_vi": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text,
            "detail_vi": text,
            "code": {**text, "pattern": r"^[a-z0-9_.]+$", "description": "stable; new ones may come"},
            "errors": {
                "type": "array",
                "description": "one entry a wrong field",
                "items": {"$ref": "#/components/schemas/FieldProblem"},
            },
            "instance": {**text, "format": "uri", "description": "of a 500: the incident, for your report"},
        },
    }


def field_schema() -> dict[str, Any]:
    """Return the schema of one wrong field."""
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "One wrong field.",
        "required": ["field", "code", "message", "message_vi"],
        "properties": {
            "field": {**text, "description": "JSON pointer into the body, or the name of a header or parameter"},
            "code": {**text, "pattern": r"^[a-z0-9_.]+$"},
            "message": text,
            "message_vi": text,
        },
    }


def _more(status: str, told: Told) -> str:
    if status == "409":
        return "Codes: " + ", ".join(f"`{code}`" for code in told.conflicts) + "."
    if status == "403" and told.rules:
        rules = ", ".join(f"`authority.{rule}`" for rule in told.rules)
        return f"Or an authority rule refuses, and is named: {rules}; nothing was written but the fact."
    return ""
