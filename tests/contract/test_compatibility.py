"""Version 1 only grows: nothing that was released is taken away, and each rule that says so is seen red."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compatibility import RULES, Break, breaks

FOLDER = Path(__file__).parents[2] / "openapi"
Json = dict[str, Any]


@pytest.mark.parametrize("name", ["hub.v1.json", "participant.v1.json"])
def test_nothing_that_was_released_is_broken(name: str) -> None:
    released, current = (json.loads((place / name).read_text("utf-8")) for place in (FOLDER / "released", FOLDER))
    assert breaks(released, current) == []


TEXT: Json = {"type": "string"}
HEADER: Json = {"name": "X-Signature", "in": "header", "required": True, "schema": TEXT}
# A made-up promise: one call that files a thing and reads it back, and one webhook.
SMALL: Json = {
    "paths": {
        "/things": {
            "get": {"operationId": "listThings", "responses": {"200": {"description": "all"}}},
            "post": {
                "operationId": "fileThing",
                "security": [{"token": ["things:write"]}],
                "parameters": [{"name": "after", "in": "query", "required": False, "schema": TEXT}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
                "responses": {
                    "201": {
                        "headers": {"Location": {"required": True, "schema": TEXT}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
                    },
                    "409": {"description": "twice"},
                },
            },
        },
        "/other": {"get": {"operationId": "getOther", "responses": {}}},
    },
    "webhooks": {
        "told": {
            "post": {
                "operationId": "receiveThing",
                "parameters": [HEADER],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Event"}}}},
                "responses": {},
            }
        }
    },
    "components": {
        "schemas": {
            "New": {
                "type": "object",
                "required": ["kind"],
                "properties": {
                    "kind": {"type": "string", "enum": ["a", "b"]},
                    "note": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
                    "many": {"type": "array", "items": {"$ref": "#/components/schemas/New"}, "maxItems": 9},
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id", "state"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "state": {"type": "string", "enum": ["open"]},
                    "size": {"type": "integer", "maximum": 100},
                },
            },
            "Event": {"type": "object", "required": ["id"], "properties": {"id": TEXT}},
        }
    },
}
POST = ("paths", "/things", "post")
NEW, THING = ("components", "schemas", "New"), ("components", "schemas", "Thing")
Change = Callable[[Json], None]


def at(document: Json, *steps: Any) -> Any:
    for step in steps:
        document = document[step]
    return document


def put(value: Any, *steps: Any) -> Change:
    return lambda document: at(document, *steps[:-1]).__setitem__(steps[-1], value)


def drop(*steps: Any) -> Change:
    return lambda document: at(document, *steps[:-1]).__delitem__(steps[-1])


def more(value: Any, *steps: Any) -> Change:
    return lambda document: at(document, *steps).append(value)


CALL, JSON = "POST /things", "application/json"
FORBIDDEN: list[tuple[Change, Break]] = [
    (drop("paths", "/other"), Break("path.removed", "/other")),
    (drop("webhooks", "told"), Break("path.removed", "told")),
    (drop("paths", "/things", "get"), Break("operation.removed", "GET /things")),
    (put("makeThing", *POST, "operationId"), Break("operation.renamed", CALL)),
    (put([{"token": ["things:all"]}], *POST, "security"), Break("operation.scope", CALL)),
    (more({**HEADER, "name": "X-New"}, *POST, "parameters"), Break("parameter.added", f"{CALL} x-new")),
    (put(True, *POST, "parameters", 0, "required"), Break("parameter.required", f"{CALL} after")),
    (put([], *POST, "parameters"), Break("parameter.removed", f"{CALL} after")),
    (
        put([], "webhooks", "told", "post", "parameters"),
        Break("parameter.removed", "POST told x-signature"),
    ),
    (put({**TEXT, "maxLength": 3}, *POST, "parameters", 0, "schema"), Break("sent.bound", f"{CALL} after")),
    (put(True, *POST, "requestBody", "required"), Break("body.required", CALL)),
    (put({"text/plain": {}}, *POST, "requestBody", "content"), Break("media.removed", f"{CALL} {JSON}")),
    (put({}, *POST, "responses", "201", "content"), Break("media.removed", f"{CALL} 201 {JSON}")),
    (drop(*POST, "responses", "409"), Break("response.removed", f"{CALL} 409")),
    (drop(*POST, "responses", "201", "headers"), Break("header.removed", f"{CALL} 201 Location")),
    (
        put(False, *POST, "responses", "201", "headers", "Location", "required"),
        Break("header.removed", f"{CALL} 201 Location"),
    ),
    (more("note", *NEW, "required"), Break("sent.required", "New.note")),
    (drop(*NEW, "properties", "note"), Break("sent.removed", "New.note")),
    (put(["a"], *NEW, "properties", "kind", "enum"), Break("sent.narrowed", "New.kind")),
    (put({"type": "string", "const": "a"}, *NEW, "properties", "kind"), Break("sent.narrowed", "New.kind")),
    (put({"type": "integer", "enum": ["a", "b"]}, *NEW, "properties", "kind"), Break("sent.narrowed", "New.kind")),
    (put({"type": "string", "maxLength": 9}, *NEW, "properties", "note"), Break("sent.narrowed", "New.note")),
    (put(8, *NEW, "properties", "note", "anyOf", 0, "maxLength"), Break("sent.bound", "New.note")),
    (put(1, *NEW, "properties", "note", "anyOf", 0, "minLength"), Break("sent.bound", "New.note")),
    (put("^x$", *NEW, "properties", "note", "anyOf", 0, "pattern"), Break("sent.bound", "New.note")),
    (put(8, *NEW, "properties", "many", "maxItems"), Break("sent.bound", "New.many")),
    (put(TEXT, *NEW, "properties", "many", "items"), Break("sent.narrowed", "New")),
    (drop(*THING, "properties", "size"), Break("read.removed", "Thing.size")),
    (put(["id"], *THING, "required"), Break("read.optional", "Thing.state")),
    (put({"type": "integer"}, *THING, "properties", "id"), Break("read.type", "Thing.id")),
    (put(TEXT, *THING, "properties", "id"), Break("read.type", "Thing.id")),
    (put({"anyOf": [TEXT, {"type": "null"}]}, *THING, "properties", "state"), Break("read.null", "Thing.state")),
    (
        put({"anyOf": [TEXT, {"type": "object"}]}, *THING, "properties", "state"),
        Break("read.shape", "Thing.state"),
    ),
    (put(101, *THING, "properties", "size", "maximum"), Break("read.bound", "Thing.size")),
    (drop("components", "schemas", "Event", "properties", "id"), Break("read.removed", "Event.id")),
]


@pytest.mark.parametrize(("change", "expected"), FORBIDDEN, ids=[f"{one.rule} {one.place}" for _, one in FORBIDDEN])
def test_what_breaks_an_integrator_is_named_with_its_place(change: Change, expected: Break) -> None:
    changed = copy.deepcopy(SMALL)
    change(changed)
    assert expected in breaks(SMALL, changed)


def test_each_rule_is_seen_red() -> None:
    assert {one.rule for _, one in FORBIDDEN} == set(RULES)
    with pytest.raises(AssertionError):
        Break("path.moved", "/things")


ALLOWED: dict[str, Change] = {
    "nothing": lambda document: None,
    "a path": put({"get": {"operationId": "getNew", "responses": {}}}, "paths", "/new"),
    "an operation": put({"operationId": "removeThings", "responses": {}}, "paths", "/things", "delete"),
    "another scope that also opens": more({"token": ["things:all"]}, *POST, "security"),
    "a parameter that may be left out": more({**HEADER, "name": "X-New", "required": False}, *POST, "parameters"),
    "a status": put({"description": "slow down"}, *POST, "responses", "429"),
    "a member that may be sent": put(TEXT, *NEW, "properties", "more"),
    "a member that need not be sent any more": put([], *NEW, "required"),
    "a value that is taken": more("c", *NEW, "properties", "kind", "enum"),
    "a larger bound of what is sent": put(10, *NEW, "properties", "note", "anyOf", 0, "maxLength"),
    "no bound of what is sent": drop(*NEW, "properties", "many", "maxItems"),
    "a shape that is taken": more({"type": "object"}, *NEW, "properties", "note", "anyOf"),
    "a member of an answer": put(TEXT, *THING, "properties", "more"),
    "a member that is certain now": more("size", *THING, "required"),
    "a code of an answer": more("closed", *THING, "properties", "state", "enum"),
    "a smaller bound of what is read": put(50, *THING, "properties", "size", "maximum"),
    "a header of a webhook": more({**HEADER, "name": "X-New"}, "webhooks", "told", "post", "parameters"),
    "a certain member of an event": more("more", "components", "schemas", "Event", "required"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_an_addition_breaks_nobody(name: str) -> None:
    changed = copy.deepcopy(SMALL)
    ALLOWED[name](changed)
    assert breaks(SMALL, changed) == []
