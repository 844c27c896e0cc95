"""The committed promise: valid, as the code makes it, whole, and with examples that keep to their own schemas."""

import ast
import base64
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import rfc8785
import uniform
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from service import app as application
from service import contract, i18n
from service.contract import examples, operations, problems
from service.schemas import demands
from service.schemas import participant as sent
from service.security import keyring, signatures
from service.security.scopes import SCOPES, Scope
from service.security.signatures import Kind
from workflows import table
from workflows.terms import Action, Stage

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "openapi"
DOCUMENTS = {name: json.loads((FOLDER / name).read_text("utf-8")) for name in (contract.HUB, contract.PARTICIPANT)}
HUB, PARTICIPANT = DOCUMENTS[contract.HUB], DOCUMENTS[contract.PARTICIPANT]
PROOF = {"$ref": "#/components/parameters/Proof"}
OPEN = ("/oauth/", "/.well-known/", "/healthz", "/readyz", "/v1/signing-keys", "/v1/appeals/{reference}")


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in {**document.get("paths", {}), **document.get("webhooks", {})}.items():
        for method, operation in item.items():
            yield path, method, operation


ALL = {each["operationId"]: (path, method, each) for path, method, each in operations_of(HUB)}
WEBHOOKS = {each["operationId"]: each for _, _, each in operations_of(PARTICIPANT)}


def faults(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    found = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = document["components"][node["$ref"].split("/")[2]][node["$ref"].split("/")[3]]
    return node


def schema_of(operation: dict[str, Any], document: dict[str, Any], status: str | None = None) -> dict[str, Any]:
    holder = operation["requestBody"] if status is None else resolved(document, operation["responses"][status])
    (media,) = holder["content"].values()
    found: dict[str, Any] = media["schema"]
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_valid_openapi_31(name: str) -> None:
    assert DOCUMENTS[name]["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENTS[name]).iter_errors()] == []


def test_the_committed_documents_are_what_the_code_makes() -> None:
    assert contract.drift(FOLDER) == []


def test_drift_names_the_place(tmp_path: Path) -> None:
    assert contract.drift(tmp_path) == ["hub.v1.json: missing", "participant.v1.json: missing"]
    contract.write(tmp_path)
    assert contract.drift(tmp_path) == []
    changed = copy.deepcopy(HUB)
    changed["paths"]["/v1/requests"]["post"]["operationId"] = "other"
    del changed["paths"]["/healthz"]
    (tmp_path / contract.HUB).write_text(json.dumps(changed), "utf-8")
    assert contract.drift(tmp_path) == [
        "hub.v1.json: /paths/~1healthz",
        "hub.v1.json: /paths/~1v1~1requests/post/operationId",
    ]
    (tmp_path / contract.HUB).write_text(json.dumps(HUB), "utf-8")
    assert contract.drift(tmp_path) == ["hub.v1.json: written in another form"]
    (tmp_path / contract.HUB).write_text("{", "utf-8")
    assert contract.drift(tmp_path) == ["hub.v1.json: not JSON"]


def test_the_documents_have_no_address_no_contact_and_the_licence() -> None:
    for document in DOCUMENTS.values():
        assert document["info"]["license"] == {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        assert document["info"]["version"] == "1" and "contact" not in document["info"]
    assert HUB["servers"] == [{"url": "/", "description": "this hub"}]
    assert [tag["name"] for tag in HUB["tags"] if not tag["description"]] == []
    assert {tag for *_, each in ALL.values() for tag in each["tags"]} == {tag["name"] for tag in HUB["tags"]}


def test_every_route_of_the_doors_is_promised_and_nothing_else() -> None:
    app = FastAPI(telemetry=None)
    application.include_doors(app)
    routes = {
        (context.path, method.lower())
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute) and context.include_in_schema
        for method in context.methods or ()
    }
    assert routes == {(path, method) for path, method, _ in operations_of(HUB)}
    assert len(routes) == len(ALL) == len(operations.OPERATIONS)


def test_an_operation_is_named_as_a_verb_and_a_noun_and_says_what_it_does() -> None:
    for name, (_, _, operation) in ALL.items():
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name), name
        assert operation["summary"] and operation["description"].endswith("."), name


def test_a_door_behind_a_token_says_which_scope_opens_it() -> None:
    known = {scope.value for scope in Scope}
    for name, (path, _, operation) in ALL.items():
        if path.startswith(OPEN):
            assert operation["security"] == [] and "403" not in operation["responses"], name
        else:
            scopes = [scope for each in operation["security"] for scope in each["accessToken"]]
            assert scopes and set(scopes) <= known, name
            assert {"401", "403", "429", "503"} <= operation["responses"].keys(), name
        assert (PROOF in operation.get("parameters", [])) is bool(operation["security"]), name
    assert HUB["components"]["securitySchemes"]["accessToken"]["scheme"] == "DPoP"
    assert {"name": "DPoP", "in": "header", "required": True}.items() <= resolved(HUB, PROOF).items()
    held = {scope for granted in SCOPES.values() for scope in granted}
    opened = {scope for told in operations.OPERATIONS.values() for scope in told.scopes}
    assert held - opened == {Scope.AUDIT_READ}, "a scope that opens no door is the console's and the command line's"


def test_every_operation_says_its_problems_in_one_form() -> None:
    for name, (path, method, operation) in ALL.items():
        answers = operation["responses"]
        body = "requestBody" in operation
        assert {"413", "415"} <= answers.keys() if body else not {"413", "415"} & answers.keys(), name
        assert "400" in answers, name
        if body and path.startswith("/v1"):
            assert "422" in answers, name
        if "{" in path and method != "put":
            assert "404" in answers, name
        for status, answer in answers.items():
            if status >= "400" and name != "getReadiness":
                assert list(resolved(HUB, answer)["content"]) == [problems.MEDIA_TYPE], (name, status)
        for status in {"429", "503"} & answers.keys() - ({"503"} if name == "getReadiness" else set()):
            assert "Retry-After" in resolved(HUB, answers[status])["headers"], (name, status)
    assert "HTTPValidationError" not in json.dumps(HUB)


def test_the_key_of_a_filed_request_is_required() -> None:
    _, _, submit = ALL["submitRequest"]
    (key,) = (each for each in submit["parameters"] if each.get("name") == "Idempotency-Key")
    assert key["required"] and key["schema"]["type"] == "string"
    assert "Location" in submit["responses"]["201"]["headers"]


def test_every_conflict_that_an_action_behind_a_door_raises_is_promised() -> None:
    promised = {code for told in operations.OPERATIONS.values() for code in told.conflicts}
    raised = {
        node.args[0].value
        for file in (ROOT / "service" / "actions").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "Conflict"
        and isinstance(node.args[0], ast.Constant)
    }
    # These belong to the command line, or to the console, alone.
    by_hand = {
        "display.too_many",
        "escalation.no_rung",
        "participant.other_sector",
        "officer.inactive",
        "passkey.again",
        "passkey.off",
        "passkey.session_old",
        "passkey.taken",
        "passkey.too_many",
        "provider.none",
        "provider_link.taken",
        "sign_in_link.off",
        "erasure.asked",
        "erasure.not_asked",
        "erasure.same_person",
        "legal_hold.held",
        "legal_hold.not_held",
        "retention.approved",
        "retention.same_person",
    }
    assert raised - promised == by_hand
    # The vault says so itself, wherever something that was erased is asked for.
    assert promised - {"request.erased"} <= raised


def test_every_code_that_the_contract_names_has_its_texts() -> None:
    codes = {code for told in operations.OPERATIONS.values() for code in told.conflicts}
    codes |= {f"authority.{rule}" for told in operations.OPERATIONS.values() for rule in told.rules}
    assert {code for code in codes if not i18n.has(f"errors.{code}.detail")} == set()


def test_every_operation_and_webhook_has_its_example_in_the_folder_of_its_resource() -> None:
    files = {path.relative_to(FOLDER / "examples") for path in (FOLDER / "examples").rglob("*.json")}
    expected = {Path(operation["tags"][0], f"{name}.json") for name, (_, _, operation) in ALL.items()}
    assert files == expected | {Path("webhooks", f"{name}.json") for name in WEBHOOKS}


@pytest.mark.parametrize("name", ALL)
def test_an_example_keeps_to_the_schemas(name: str) -> None:
    _, _, operation = ALL[name]
    shown = examples.load()[name]
    assert bool(shown.requests) == ("requestBody" in operation)
    for title, body in shown.requests.items():
        assert faults(HUB, schema_of(operation, HUB), body) == [], title
    parameters = {each["name"]: each for each in operation.get("parameters", []) if each != PROOF}
    assert shown.parameters.keys() <= parameters.keys()
    assert {each for each in parameters if parameters[each]["required"]} <= shown.parameters.keys()
    for parameter, value in shown.parameters.items():
        assert faults(HUB, parameters[parameter]["schema"], value) == [], parameter
    good = {status for status in operation["responses"] if status.startswith("2")}
    assert good <= shown.responses.keys() | {"204"} and shown.responses.keys() <= operation["responses"].keys()
    for status, body in shown.responses.items():
        assert faults(HUB, schema_of(operation, HUB, status), body) == [], status


@pytest.mark.parametrize("name", WEBHOOKS)
def test_an_event_keeps_to_the_schemas(name: str) -> None:
    for title, body in examples.load()[name].requests.items():
        assert faults(PARTICIPANT, schema_of(WEBHOOKS[name], PARTICIPANT), body) == [], title


def test_there_is_an_example_of_every_type_of_event() -> None:
    shown = {body["type"] for name in WEBHOOKS for body in examples.load()[name].requests.values()}
    orders = {f"vn.hoatoc.order.{action}" for action in Action}
    assert shown == orders | {
        "vn.hoatoc.order.read_back",
        "vn.hoatoc.order.silence_ended",
        "vn.hoatoc.status.request",
        "vn.hoatoc.status.order",
        "vn.hoatoc.notice.escalation",
    }
    assert set(get_args(sent.OrderEvent.model_fields["type"].annotation)) == orders


def test_a_webhook_names_its_signed_headers_and_every_answer() -> None:
    for name, operation in WEBHOOKS.items():
        headers = {each["name"]: each for each in operation["parameters"]}
        own = {"Hoatoc-Signature"} if name in {"receiveOrder", "receiveReadBack", "receiveSilenceEnded"} else set()
        assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"} | own
        for each in headers.values():
            assert each["required"] and re.fullmatch(each["schema"]["pattern"], each["example"])
        assert set(operation["responses"]) == {"2XX", "410", "429", "503", "default"}
        assert "Retry-After" in resolved(PARTICIPANT, operation["responses"]["429"])["headers"]
        assert list(operation["requestBody"]["content"]) == ["application/cloudevents+json"]
    assert "HMAC-SHA256" in PARTICIPANT["info"]["description"]


def test_the_examples_of_orders_are_signed_by_the_example_of_a_key() -> None:
    shown = examples.load()
    keys = {key["kid"]: key for key in shown["getSigningKeys"].responses["200"]["keys"]}
    (header,) = [
        each["example"] for each in WEBHOOKS["receiveOrder"]["parameters"] if each["name"] == "Hoatoc-Signature"
    ]
    signed = [(header, shown["receiveOrder"].requests["receiveOrder"]["data"])]
    signed += [(item["signature"], item["body"]) for item in shown["listOrders"].responses["200"]["items"]]
    signed += [(each["signature"], each["body"]) for each in [shown["getOrder"].responses["200"]]]
    for text, body in signed:
        unverified = signatures.read(text, Kind.ORDER)
        public, kid = keyring.public_key({name: keys[unverified.kid][name] for name in ("kty", "crv", "x", "y")})
        assert (unverified.about, unverified.kid) == (body["order_id"], kid)
        signatures.verify(unverified, rfc8785.dumps(body), public)


def test_no_example_shows_a_token_or_a_key_that_could_be_real() -> None:
    for path in (FOLDER / "examples").rglob("*.json"):
        text = path.read_text("utf-8")
        # A detached signature opens nothing: only what says itself to be one of ours may stand here.
        for header in re.findall(r"eyJ[\w-]{8,}", text):
            said = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
            assert said["typ"].startswith("hoatoc-"), path
        assert not re.search(r"PRIVATE KEY|\"d\":", text), path
        assert set(re.findall(r"whsec_[\w+/=]+", text)) <= {"whsec_bWFkZS11cC1tYWRlLXVwLW1hZGUtdXAtbWFkZS11cC0="}, path


def test_the_stages_of_an_order_are_told() -> None:
    assert set(PARTICIPANT["components"]["schemas"]["Stage"]["enum"]) == set(Stage)


def test_every_example_shows_instants_and_amounts_in_one_form() -> None:
    shown = {
        (name, status): body
        for name, example in examples.load().items()
        for status, body in example.responses.items()
        if name not in uniform.AS_RECEIVED
    }
    sent_ = {(name, title): body for name in WEBHOOKS for title, body in examples.load()[name].requests.items()}
    assert len(shown) > 40 and sent_
    wrong = {place: list(uniform.otherwise(body)) for place, body in {**shown, **sent_}.items()}
    assert {place: found for place, found in wrong.items() if found} == {}


def test_what_has_another_form_is_named() -> None:
    """The walk itself can fail: each shape that the answers once had is named by its place."""
    good = {"at": "2026-11-23T02:30:01.739000Z", "amount": {"value": "1", "currency": "VND"}, "amount_held": None}
    assert list(uniform.otherwise(good)) == []
    bad = {"at": "2026-11-23T02:30:01+00:00", "facts": [{"amount": "150000000"}, {"amount_held": 1}]}
    assert list(uniform.otherwise(bad)) == ["/at", "/facts/0/amount", "/facts/1/amount_held"]


def test_a_start_says_what_bounds_it() -> None:
    fields = [
        schema["properties"]["starts_at"]
        for name, schema in HUB["components"]["schemas"].items()
        if name.endswith("Request") and "starts_at" in schema.get("properties", {})
    ]
    assert len(fields) == 3
    bounds = [table.written(bound) for bound in (demands.OLDEST_START, demands.NEWEST_START)]
    assert all(bound in field["description"] for field in fields for bound in bounds)
