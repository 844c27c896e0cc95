"""``hub.v1.json``: what agencies, participants and coordinators call, made from the routes themselves."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from service import app as application
from service.contract import examples, problems
from service.contract.examples import Example
from service.contract.operations import OPERATIONS
from service.contract.told import Told
from service.security import compact
from service.security.scopes import Scope

VERSION = "1"
LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}

_ABOUT = """\
The hub carries orders of Vietnamese agencies (freeze, lift, extend, takedown, preserve, recall, disclose, trace) to
banks, wallets, telecoms, ISPs, platforms and registrars, holds them to their deadlines and tells the whole story as
facts.

* **Money** is a string of digits in minor units with its currency; VND has none, so `"150000000"` is 150.000.000 ₫.
* **Instants** are RFC 3339 with an offset; the hub answers in UTC.
* **JSON** is read strictly: unknown members, members named twice, numbers beyond 2^53, control characters and more
  than 32 levels are refused. A body is at most 64 KiB, the headers 16 KiB (431), path and query 4 KiB (414). The head
  is awaited for 10 seconds (408), the body for 20. Calls are counted by system and by address (429).
* **Answers** may get new members and new codes: ignore what you do not know.
* **Errors** are problems (RFC 9457) with a stable `code`, in English and Vietnamese. After a 5xx, or without an answer,
  repeat the same call with a fresh proof; a filed request is repeated under the same `Idempotency-Key`.
* **Lists** are paged: give `next` of one page as `after` of the next one.

The webhooks that participants and agencies receive are in `participant.v1.json`.
"""

_TAGS = {
    "requests": "File a request, approve, review or withdraw it, follow it. For agencies.",
    "orders": "The pull inbox and the acknowledgements. For participants.",
    "appeals": "Contest a hold, answer, decide it. For participants, the duty desk and agencies.",
    "escalations": "The rungs that fired because a deadline was missed.",
    "tasks": "What a coordinator must do.",
    "registry": "Who takes part: systems, keys, officers, endpoints and duty rosters. For administrators.",
    "policies": "Ladders, time limits and the calendar. For administrators.",
    "tokens": "Access tokens: OAuth 2.0 client credentials with `private_key_jwt`.",
    "operation": "Health of one node.",
}

_AUTHORIZATION = """\
An access token (RFC 9068: `typ` `at+jwt`, ES256, five minutes) from `POST /oauth/token`, as `Authorization: DPoP …`.
It is bound to the key that signed the assertion (`cnf.jkt`): each call also carries a proof that you hold this key,
in the header `DPoP` (RFC 9449). As a bearer token it is refused. There is no shared secret and no self-registration:
the operator enrols your public key. The scopes named at each operation come from the roles of your client system; a
role or key withdrawn, or a participant suspended, counts at once. Where several requirements are listed, any one is
enough."""

_PROOF = """\
The proof for just this call: a JWT signed with ES256 by the key that the token is bound to. Header, exactly: `alg`
ES256, `typ` `dpop+jwt`, `jwk` your public key with `kty`, `crv`, `x`, `y`. Claims, exactly: `htm` the method; `htu`
the hub's `issuer` and the path as you send it, without query; `iat`; a fresh `jti`; `ath` base64url(SHA-256(access
token)); and on every method but GET `bsh` base64url(SHA-256(body)), over the body's bytes as you send them, or over
nothing; and on a GET with a query `qsh` base64url(SHA-256(query)), over what stands behind the `?`, letter for letter
as you send it. It is taken from 60 s before to 10 s after the hub's clock.
With a call that changes something it is good for
once, so a repeated call carries a new one; and such a call has no query. Every refusal is the same 401."""

_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "submitRequest": {
        "Location": {"description": "the path of the request", "schema": {"type": "string"}, "required": True},
        "Idempotency-Replayed": {
            "description": "`true` when this is the first result, answered again",
            "schema": {"type": "string", "const": "true"},
        },
    }
}
# The standard answers of the framework that say nothing an integrator could use.
_SAID = {"Successful Response": "Done.", "Service Unavailable": "Not ready."}


def document(shown: Mapping[str, Example]) -> dict[str, Any]:
    """Return the document, with the examples given."""
    app = FastAPI(telemetry=None)
    application.include_doors(app)
    made = app.openapi()
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    untitled(made["paths"])
    untitled(schemas)
    schemas |= {"Problem": problems.schema(), "FieldProblem": problems.field_schema()}
    for path, item in made["paths"].items():
        for method, operation in item.items():
            name = operation["operationId"]
            item[method] = _operation(operation, path, method, OPERATIONS[name], shown.get(name, Example()))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hỏa Tốc", "version": VERSION, "description": _ABOUT, "license": LICENCE},
        "servers": [{"url": "/", "description": "this hub"}],
        "tags": [{"name": name, "description": said} for name, said in _TAGS.items()],
        "paths": made["paths"],
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "parameters": {
                "Proof": {
                    "name": "DPoP",
                    "in": "header",
                    "required": True,
                    "description": _PROOF,
                    "schema": {"type": "string", "maxLength": compact.LONGEST_TOKEN},
                }
            },
            "responses": problems.components(),
            "securitySchemes": {
                "accessToken": {
                    "type": "http",
                    "scheme": "DPoP",
                    "description": _AUTHORIZATION,
                }
            },
        },
    }


def untitled(node: Any) -> None:
    """Take out, in place, the titles that only repeat a member's name."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for inner in node.values():
            untitled(inner)
    elif isinstance(node, list):
        for inner in node:
            untitled(inner)


def _operation(operation: dict[str, Any], path: str, method: str, told: Told, example: Example) -> dict[str, Any]:
    name: str = operation["operationId"]
    made: dict[str, Any] = {
        "operationId": name,
        "tags": operation["tags"][-1:],  # a route's own comes after its router's
        "summary": re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name).capitalize(),
        "description": " ".join(part for part in (operation["description"], told.advice) if part),
        "security": _security(told.scopes),
    }
    if operation.get("parameters"):
        made["parameters"] = [_parameter(each, example) for each in operation["parameters"]]
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        made["requestBody"] = {
            "required": True,
            "content": {kind: examples.media(each["schema"], example.requests) for kind, each in content.items()},
        }
    responses = {
        status: _response(answer, status, name, example)
        for status, answer in operation["responses"].items()
        if status != "422"
    }
    for status, answer in problems.of(made, path, method, told).items():
        responses.setdefault(status, answer)
        if status in example.responses:
            responses[status] = _shown(answer, {name: example.responses[status]})
    made["responses"] = dict(sorted(responses.items()))
    if told.scopes:
        made["parameters"] = [*made.get("parameters", []), {"$ref": "#/components/parameters/Proof"}]
    return made


def _security(scopes: tuple[Scope, ...]) -> list[dict[str, list[str]]]:
    return [{"accessToken": [scope.value]} for scope in scopes]


def _parameter(parameter: dict[str, Any], example: Example) -> dict[str, Any]:
    name, schema = parameter["name"], dict(parameter["schema"])
    # A parameter that may be left out is never null on the wire.
    if "anyOf" in schema:
        (schema,) = ({**each, **_without(schema, "anyOf")} for each in schema["anyOf"] if each != {"type": "null"})
    made = {"name": name, "in": parameter["in"], "required": parameter["required"]}
    if name == "Idempotency-Key":
        made["required"] = True  # the hub itself answers its absence, so that the code says what is missing
    said = parameter.get("description") or schema.pop("description", None)
    schema.pop("description", None)
    if said:
        made["description"] = said
    made["schema"] = schema
    if name in example.parameters:
        made["example"] = example.parameters[name]
    return made


def _without(schema: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in names}


def _shown(reference: Mapping[str, Any], bodies: Mapping[str, Any]) -> dict[str, Any]:
    # A reference cannot show an example: the shared response is written out.
    shared = problems.components()[reference["$ref"].rpartition("/")[2]]
    content = {problems.MEDIA_TYPE: examples.media(problems.SCHEMA, bodies)}
    return {**shared, "description": reference.get("description", shared["description"]), "content": content}


def _response(answer: dict[str, Any], status: str, name: str, example: Example) -> dict[str, Any]:
    made: dict[str, Any] = {"description": _SAID.get(answer["description"], answer["description"])}
    if name in _HEADERS and status.startswith("2"):
        made["headers"] = dict(_HEADERS[name])
    if "content" in answer:
        bodies = {name: example.responses[status]} if status in example.responses else {}
        made["content"] = {kind: examples.media(each["schema"], bodies) for kind, each in answer["content"].items()}
    return made
