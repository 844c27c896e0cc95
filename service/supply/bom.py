"""Writes the bill of materials of a build, CycloneDX 1.6 in JSON: the same tree gives the same bytes."""

import hashlib
import json
import re
import tomllib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service import __version__
from service.supply import advisories, installed, lock, parts
from service.supply.advisories import WrittenOff
from service.supply.lock import Pin

# Comes from the system, not from us: Debian's name, what of it is needed, and what for.
SYSTEM = (
    ("python3", "3.11 or later", "runs the hub"),
    ("postgresql", "15 or later", "the database of a hub in production"),
    ("openssl", "3.0 or later", "TLS of the Python that runs the hub; the package cryptography brings its own"),
)
_ROOT_REF = f"hoatoc@{__version__}"
_NAMESPACE = uuid.UUID("3b0d5d5c-7a0e-5d52-9d0e-2b9c9d7f8a11")


class NotAsLocked(RuntimeError):
    """The environment that builds is not the locked one, so its packages tell neither licences nor who needs whom."""


def document(epoch: int, commit: str, wheels: Mapping[str, str] | None = None, tree: str = "") -> dict[str, Any]:
    """Return the bill of materials.

    In: the instant that it states (seconds since 1970: SOURCE_DATE_EPOCH), the commit, and, where they were collected,
    the SHA-256 of the wheels by file name and of the packed tree; without wheels a package carries each hash that the
    lock allows. Who needs whom is true for the Python and the platform that build. Raises NotAsLocked.
    """
    pins = lock.pins()
    if differences := installed.differing(pins):
        raise NotAsLocked("; ".join(differences))
    files = wheels or {}
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z"),
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": _ROOT_REF,
                "name": "hoatoc",
                "version": __version__,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                **({"hashes": [{"alg": "SHA-256", "content": tree}]} if tree else {}),
                "properties": [{"name": "hoatoc:commit", "value": commit}],
            },
        },
        "components": [
            *(_python(pin, files) for pin in pins),
            *(_vendored(entry) for entry in parts.vendored()),
            *(_system(*entry) for entry in SYSTEM),
        ],
        "dependencies": list(_dependencies(pins)),
        "vulnerabilities": [_analysis(each) for each in advisories.exceptions()],
    }
    digest = hashlib.sha256(dumps(body)).hexdigest()
    return {**body, "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}"}


def dumps(bom: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a bill of materials."""
    return json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _python(pin: Pin, wheels: Mapping[str, str]) -> dict[str, Any]:
    mine = [digest for name, digest in wheels.items() if _is_of(name, pin)]
    if foreign := set(mine) - set(pin.hashes):
        raise NotAsLocked(f"{pin.name}: {', '.join(foreign)} is not a hash of the lock")
    return {
        "type": "library",
        "bom-ref": _ref("PyPI", pin.name, pin.version),
        "name": pin.name,
        "version": pin.version,
        "purl": _ref("PyPI", pin.name, pin.version),
        "scope": "required" if pin.applies else "optional",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in mine or pin.hashes],
        "properties": [
            {"name": "hoatoc:hashes", "value": "of the shipped wheel" if mine else "of each file that the lock allows"},
            *([{"name": "hoatoc:marker", "value": pin.marker}] if pin.marker else []),
        ],
        **_licence(pin),
    }


def licence_of(pin: Pin) -> str | None:
    """Return the licence that an installed package tells of itself, in its own words; None where it tells none."""
    told = [each["license"]["name"] if "license" in each else each["expression"] for each in _licences(pin)]
    return ", ".join(told) or None


def _licence(pin: Pin) -> dict[str, Any]:
    found = _licences(pin)
    return {"licenses": found} if found else {}


def _licences(pin: Pin) -> list[dict[str, Any]]:
    found = installed.of(pin.name)
    if found is None:
        return []
    if "License-Expression" in found.metadata:
        return [{"expression": found.metadata["License-Expression"]}]
    trove = [
        value.rpartition(" :: ")[2]
        for value in found.metadata.get_all("Classifier") or ()
        if value.startswith("License :: ")
    ]
    return [{"license": {"name": name}} for name in sorted(trove)]


def _vendored(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _ref("npm", entry["name"], entry["version"]),
        "name": entry["name"],
        "version": entry["version"],
        "purl": _ref("npm", entry["name"], entry["version"]),
        "scope": "required",
        "licenses": [{"license": {"id": entry["licence"]}}],
        "components": [
            {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
            for name, digest in sorted(entry["files"].items())
        ],
    }


def _system(name: str, needed: str, why: str) -> dict[str, Any]:
    return {
        "type": "platform",
        "bom-ref": f"pkg:deb/debian/{name}",
        "name": name,
        "purl": f"pkg:deb/debian/{name}",
        "scope": "excluded",
        "description": f"not shipped, {needed}: {why}",
    }


def _dependencies(pins: Sequence[Pin]) -> Iterator[dict[str, Any]]:
    """Walk from what the project declares to what that declares, with the extras that were asked for."""
    by_name = {pin.name: pin for pin in pins}
    stated = tomllib.loads((lock.ROOT / "pyproject.toml").read_text("utf-8"))
    todo = [Requirement(line) for line in (*stated["project"]["dependencies"], *stated["build-system"]["requires"])]
    edges: dict[str, set[str]] = {pin.name: set() for pin in pins if pin.applies}
    direct = {str(canonicalize_name(wanted.name)) for wanted in todo}
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found = installed.of(name)
        for text in (found.requires or []) if found is not None else []:
            needed = Requirement(text)
            target = canonicalize_name(needed.name)
            if target in by_name and _is_needed(needed, extras):
                edges[name].add(target)
                todo.append(needed)
    npm = [_ref("npm", entry["name"], entry["version"]) for entry in parts.vendored()]
    of_root = [_ref("PyPI", name, by_name[name].version) for name in sorted(direct)]
    yield {"ref": _ROOT_REF, "dependsOn": sorted([*of_root, *npm])}
    for needing, targets in sorted(edges.items()):
        refs = [_ref("PyPI", target, by_name[target].version) for target in sorted(targets)]
        yield {"ref": _ref("PyPI", needing, by_name[needing].version), "dependsOn": refs}


def _is_needed(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def _analysis(written_off: WrittenOff) -> dict[str, Any]:
    version = {pin.name: pin.version for pin in lock.pins()}[written_off.package]
    since = f"{written_off.since.isoformat()}T00:00:00Z"
    return {
        "id": written_off.id,
        "analysis": {
            "state": written_off.state,
            "justification": written_off.justification,
            "response": ["will_not_fix"],
            "detail": f"{written_off.reason} To be judged again by {written_off.review_by.isoformat()}.",
            "firstIssued": since,
            "lastUpdated": since,
        },
        "affects": [{"ref": _ref("PyPI", written_off.package, version)}],
    }


def _ref(ecosystem: str, name: str, version: str) -> str:
    return parts.Part(ecosystem, name, version).purl


def _is_of(wheel: str, pin: Pin) -> bool:
    name, version = wheel.split("-")[:2]
    return canonicalize_name(name) == pin.name and re.sub(r"\.whl$", "", version) == pin.version
