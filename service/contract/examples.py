"""The examples of the contract: one file an operation, the only ones that the documents and the docs show."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "openapi" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """What one file holds: request bodies by name, parameters by name, response bodies by status."""

    requests: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    responses: Mapping[str, Any] = field(default_factory=dict)


def load(folder: Path = FOLDER) -> dict[str, Example]:
    """Read ``<folder>/<resource>/<operationId>.json``; an installation without the folder shows no examples.

    ``request`` is the body that the responses answer (null: there is none), ``more_requests`` are others by name.
    """
    found: dict[str, Example] = {}
    for path in sorted(folder.glob("*/*.json")):
        written = json.loads(path.read_text("utf-8"))
        first = {} if written["request"] is None else {path.stem: written["request"]}
        found[path.stem] = Example(
            requests={**first, **written.get("more_requests", {})},
            parameters=written["parameters"],
            responses=written["responses"],
        )
    return found


def media(schema: Mapping[str, Any], bodies: Mapping[str, Any]) -> dict[str, Any]:
    """Return a media type object that shows these bodies."""
    if not bodies:
        return {"schema": schema}
    return {"schema": schema, "examples": {name: {"value": body} for name, body in bodies.items()}}
