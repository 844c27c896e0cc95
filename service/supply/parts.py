"""The parts of a build by ecosystem, name and version: locked Python packages and the vendored files of the pages."""

import functools
import json
from dataclasses import dataclass
from typing import Any

from service.supply import lock

VENDORED = lock.ROOT / "service" / "console" / "static" / "vendor" / "vendor.json"


@dataclass(frozen=True, slots=True)
class Part:
    """Something that others made and this build ships."""

    ecosystem: str
    name: str
    version: str

    @property
    def purl(self) -> str:
        """Its package URL, as bills of materials and advisories name it."""
        name = self.name.replace("@", "%40")
        return f"pkg:{self.ecosystem.lower()}/{name}@{self.version}"


@functools.cache
def vendored() -> tuple[dict[str, Any], ...]:
    """Return the manifest of the vendored front-end packages."""
    return tuple(json.loads(VENDORED.read_text("utf-8")))


def shipped() -> tuple[Part, ...]:
    """Return every part of this build. Raises what ``lock.pins`` raises."""
    python = [Part("PyPI", pin.name, pin.version) for pin in lock.pins()]
    return (*python, *(Part("npm", entry["name"], entry["version"]) for entry in vendored()))
