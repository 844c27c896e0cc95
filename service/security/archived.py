"""A month of facts as one compressed file and its signed manifest: written, read and verified without any database."""

import gzip
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from service import audit, canonical_json, files
from service.security import keyring, signatures
from service.security.signatures import Kind, SignatureRefused

FORMAT = "hoatoc-archive/1"
_MEMBERS = frozenset(
    {"format", "hub", "month", "archived_at", "entries", "runs", "runs_sha256", "file", "file_sha256", "key", "seal"}
)


class ArchiveUnfit(Exception):
    """An archive cannot be made or does not hold; the message says why, and names files, months and codes only."""


@dataclass(frozen=True, slots=True)
class Run:
    """Facts of one chain that follow each other, as the archive has them: their numbers, the hashes at both ends."""

    chain: str
    first: int
    last: int
    tenant: str
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds: how many facts, in how many runs, and the digest over the runs."""

    entries: int
    runs: int
    runs_sha256: str


def file_of(folder: Path, month: str) -> Path:
    """Return where the facts of a month are in a folder of archives."""
    return folder / f"facts-{month}.jsonl.gz"


def manifest_of(folder: Path, month: str) -> Path:
    """Return where the manifest of a month is in a folder of archives."""
    return folder / f"facts-{month}.json"


async def write(path: Path, rows: AsyncIterator[Any]) -> int:
    """Write facts, which come sorted by chain and number, as canonical JSON lines to a new file; return how many."""
    entries = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        # Neither a name nor an instant in it: the same facts make the same file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            async for row in rows:
                packed.write(canonical_json.dumps(_line(row)) + b"\n")
                entries += 1
        file.flush()
        os.fsync(file.fileno())
    return entries


def runs(path: Path) -> Iterator[Run]:
    """Recompute each fact of a file and yield its runs. Raises ``ArchiveUnfit`` at the first that does not hold."""
    current: Run | None = None
    try:
        with gzip.open(path, "rb") as file:
            for at, line in enumerate(file, 1):
                said = json.loads(line)
                beside = {name: said.pop(name) for name in ("id", "deadline_id", "previous", "hash")}
                previous, digest = bytes.fromhex(beside["previous"]), bytes.fromhex(beside["hash"])
                if audit.entry_hash(previous, said) != digest:
                    raise ArchiveUnfit(f"{path.name}, line {at}: {said['chain']} {said['sequence']} was edited")
                chain, sequence, tenant = said["chain"], said["sequence"], said["tenant"]
                if current is not None and (current.chain, current.last + 1) == (chain, sequence):
                    if current.hash != previous:
                        raise ArchiveUnfit(f"{path.name}, line {at}: {chain} {sequence} does not follow")
                    current = Run(chain, current.first, sequence, tenant, current.previous, digest)
                    continue
                if current is not None:
                    yield current
                current = Run(chain, sequence, sequence, tenant, previous, digest)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as wrong:
        raise ArchiveUnfit(f"{path.name} does not read: {type(wrong).__name__}") from None
    if current is not None:
        yield current


def contents(path: Path) -> Contents:
    """Read a file to its end and recompute all of it. Raises ``ArchiveUnfit``."""
    digest, entries, count = hashlib.sha256(), 0, 0
    for run in runs(path):
        digest.update(audit.run_line(run))
        entries += run.last - run.first + 1
        count += 1
    return Contents(entries, count, digest.hexdigest())


def read(text: str) -> dict[str, Any]:
    """Return the members of a manifest whose form is right, without trusting it. Raises ``ArchiveUnfit``."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise ArchiveUnfit("the manifest is no JSON") from None
    if not isinstance(said, dict) or said.keys() != _MEMBERS or said["format"] != FORMAT:
        raise ArchiveUnfit("the manifest is not of the form that this build reads")
    return said


def content(manifest: Mapping[str, Any]) -> bytes:
    """Return what the seal is over: every member but the seal itself, in its canonical form."""
    return canonical_json.dumps({name: value for name, value in manifest.items() if name != "seal"})


def verify_seal(manifest: Mapping[str, Any], keys: Mapping[str, ec.EllipticCurvePublicKey]) -> None:
    """Return if one of the hub's ``keys``, by their ids, sealed just this manifest. Raises ``ArchiveUnfit``."""
    month = manifest["month"]
    try:
        signed = signatures.read(manifest["seal"], Kind.ARCHIVE)
        if signed.about != month:
            raise SignatureRefused("about")
        if signed.kid not in keys:
            raise ArchiveUnfit(f"{month}: the key {signed.kid}, which sealed the archive, is not among those given")
        signatures.verify(signed, content(manifest), keys[signed.kid])
    except SignatureRefused as refused:
        raise ArchiveUnfit(f"{month}: the manifest is not the one that the hub sealed ({refused.reason})") from None


def verify_file(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Return if the file beside a manifest is the one it names, and each fact in it holds. Raises ``ArchiveUnfit``."""
    path = file_of(folder, manifest["month"])
    if not path.is_file():
        raise ArchiveUnfit(f"{path.name} is not in {folder}")
    if files.sha256(path) != manifest["file_sha256"]:
        raise ArchiveUnfit(f"{path.name} is not the file that was archived")
    found = contents(path)
    if (found.entries, found.runs, found.runs_sha256) != tuple(
        manifest[name] for name in ("entries", "runs", "runs_sha256")
    ):
        raise ArchiveUnfit(f"{path.name} does not hold what its manifest says")


def own_key(manifest: Mapping[str, Any]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Return the key that a manifest brings along: with it alone a file is whole, and its origin is not shown."""
    return keys_of([manifest["key"]])


def keys_of(members: Sequence[Mapping[str, Any]]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Return public keys by their thumbprints. Raises ``ArchiveUnfit`` for what is no key."""
    try:
        return {jkt: public for public, jkt in (keyring.public_key(_public(each)) for each in members)}
    except keyring.KeyUnfit as unfit:
        raise ArchiveUnfit(f"a key does not read: {unfit.code}") from None


def _public(members: Mapping[str, Any]) -> dict[str, Any]:
    # A list of keys says of each whose it is and how long it counts, too.
    within = members.get("jwk", members)
    return {name: within[name] for name in ("kty", "crv", "x", "y") if name in within}


def _line(row: Any) -> dict[str, Any]:
    beside = {"id": row["id"], "deadline_id": row["deadline_id"]}
    return {**audit.hashed(row), **beside, "previous": row["previous"].hex(), "hash": row["hash"].hex()}
