"""The promise to integrators: both OpenAPI documents, made from the routes, the shapes and the committed examples."""

import json
from pathlib import Path
from typing import Any

from service.contract import examples, hub, participant

HUB, PARTICIPANT = "hub.v1.json", "participant.v1.json"


def documents(folder: Path = examples.FOLDER) -> dict[str, dict[str, Any]]:
    """Return both documents by file name; ``folder`` holds the examples. The same code gives the same bytes."""
    shown = examples.load(folder)
    return {HUB: hub.document(shown), PARTICIPANT: participant.document(shown)}


def write(folder: Path) -> list[Path]:
    """Write both documents into ``folder`` and return their paths."""
    written = []
    for name, document in documents().items():
        path = folder / name
        path.write_text(_text(document), "utf-8")
        written.append(path)
    return written


def drift(folder: Path) -> list[str]:
    """Name each place where a committed document differs from the code: ``hub.v1.json: /paths/…``; none is good."""
    found: list[str] = []
    for name, document in documents().items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name}: missing")
            continue
        try:
            committed = json.loads(path.read_text("utf-8"))
        except ValueError:
            found.append(f"{name}: not JSON")
            continue
        places = list(_differences(document, committed, ""))
        # The same members in another order, or other white space: not as this code writes it.
        if not places and path.read_text("utf-8") != _text(document):
            places = [" written in another form"]
        found += [f"{name}:{place if place.startswith(' ') else f' {place}'}" for place in places]
    return found


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _differences(made: Any, committed: Any, place: str) -> list[str]:
    if isinstance(made, dict) and isinstance(committed, dict):
        names = list(dict.fromkeys([*made, *committed]))
        found: list[str] = []
        for name in names:
            inner = f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}"
            if name in made and name in committed:
                found += _differences(made[name], committed[name], inner)
            else:
                found.append(inner)
        return found
    if isinstance(made, list) and isinstance(committed, list) and len(made) == len(committed):
        pairs = enumerate(zip(made, committed, strict=True))
        return [each for position, (one, other) in pairs for each in _differences(one, other, f"{place}/{position}")]
    return [] if type(made) is type(committed) and made == committed else [place or "/"]
