"""Compares what is installed with the lock, and each installed file with the digest that its package recorded."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution

from service.supply.lock import Pin


def differing(pins: Sequence[Pin]) -> list[str]:
    """Return what differs from the lock, as ``name: found, locked version``; empty when installed is what is locked."""
    found = []
    for pin in pins:
        if not pin.applies:
            continue
        version = _version(pin.name)
        if version != pin.version:
            found.append(f"{pin.name}: {version or 'missing'}, locked {pin.version}")
    return found


def altered(pins: Sequence[Pin]) -> list[str]:
    """Return the installed files that are not, byte for byte, what their package recorded at its installation.

    Someone who changes a file and its record is not seen here: only an installation anew from the lock shows that.
    """
    return sorted(name for pin in pins if pin.applies for name in _altered(pin.name))


def _altered(name: str) -> Iterator[str]:
    try:
        files = distribution(name).files
    except PackageNotFoundError:
        return
    for file in files or ():
        # Compiled files and the record itself have no digest.
        if file.hash is not None and not _as_recorded(file):
            yield str(file)


def _as_recorded(file: PackagePath) -> bool:
    assert file.hash is not None
    try:
        content = file.read_binary()
    except OSError:
        return False
    digest = hashlib.new(file.hash.mode, content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value


def _version(name: str) -> str | None:
    found = of(name)
    return found.version if found is not None else None


def of(name: str) -> Distribution | None:
    """Return an installed package's metadata, or None."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
