"""Reads the lock: which version of which package may be installed, on which platform, with which hashes."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

# The tree that the hub runs from; an installed hub runs from its tree too (migrations stand beside the code).
ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "run.txt"

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\S+?)(?:\s*;\s*(?P<marker>.+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LockUnfit(ValueError):
    """The lock is not one: a line is no pin, or a pin has no hash; the message names the line."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked package: its normalised name, its one version, where it is needed, and its files' SHA-256."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def applies(self) -> bool:
        """Tell whether this machine needs it."""
        return not self.marker or Marker(self.marker).evaluate()


def parse(text: str) -> tuple[Pin, ...]:
    """Return the pins of a requirements file, by name.

    Raises LockUnfit for anything that is not a comment or a pin of one version with at least one SHA-256: a lock
    that pip would take more loosely is none.
    """
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        stated = line.strip()
        if not stated or stated.startswith("#"):
            continue
        hashes = tuple(sorted(_HASH.findall(stated)))
        match = _PIN.fullmatch(_HASH.sub("", stated).strip())
        if match is None or not hashes:
            raise LockUnfit(f"no pin with hashes: {stated[:60]}")
        pins.append(Pin(canonicalize_name(match["name"]), match["version"], (match["marker"] or "").strip(), hashes))
    return tuple(sorted(pins, key=lambda pin: pin.name))


@functools.cache
def pins() -> tuple[Pin, ...]:
    """Return what this build may run with. Raises LockUnfit; OSError where the lock is not beside the code."""
    return parse(LOCK.read_text("utf-8"))
