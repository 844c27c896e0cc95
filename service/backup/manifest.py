"""The manifest of a backup: what was copied, when, at which schema, with the digest of each file and of the audit."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from service import clock, files
from service.vault import MasterMissing, Masters, SealBroken

NAME = "manifest.json"
FORMAT = 2
_BOUND_TO = b"backup|manifest"


class BackupUnfit(Exception):
    """A backup cannot be taken or used; the message says why, and names files and codes only."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one backup holds.

    ``made_at`` is the database's own instant before the copy began: whatever was committed until then is in it.
    ``files`` are SHA-256 digests by name; ``heads`` is the digest of the audit's chains and their last facts.
    ``seal`` is the digest of all this, wrapped by the vault's master key ``master``: whoever can write where backups
    lie cannot write another one.
    """

    made_at: datetime
    database: str
    schema: str
    hub_version: str
    files: dict[str, str]
    entries: int
    chains: int
    heads: str
    master: str
    seal: str = ""

    def text(self) -> str:
        """Return the manifest as it is written."""
        return json.dumps({"format": FORMAT, **asdict(self), "made_at": clock.written(self.made_at)}, indent=1) + "\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest's text, by which a restoration names its backup."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def bound(self) -> bytes:
        """What each chunk of the sealed copy is bound to: all it says but the files' digests and its seal."""
        return bytes.fromhex(replace(self, files={}, seal="").digest)


def sealed(made: Manifest, masters: Masters) -> Manifest:
    """Return the manifest with its seal by the master key that it names. Raises ``MasterMissing``."""
    return replace(made, seal=masters.wrap(made.master, _content(made), _BOUND_TO).hex())


def check_seal(found: Manifest, masters: Masters) -> None:
    """Raise ``BackupUnfit`` unless this installation's own master key has sealed just this manifest."""
    try:
        opened = masters.unwrap(found.master, bytes.fromhex(found.seal), _BOUND_TO)
        is_own = hmac.compare_digest(opened, _content(found))
    except (SealBroken, ValueError):
        is_own = False
    except MasterMissing:
        raise BackupUnfit(f"the master key {found.master}, which sealed this backup, is not here") from None
    if not is_own:
        raise BackupUnfit("the backup is not one that this installation made")


def _content(made: Manifest) -> bytes:
    return hashlib.sha256(replace(made, seal="").text().encode()).digest()


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest last, whole and on disk: a folder without one is no backup."""
    files.new_file(folder / NAME, manifest.text().encode())
    files.sync_folder(folder)


def read(folder: Path) -> Manifest:
    """Read a backup's manifest and compare every file with it. Raises ``BackupUnfit``."""
    path = folder / NAME
    if not path.is_file():
        raise BackupUnfit(f"{folder} holds no finished backup: {NAME} is missing")
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if said.pop("format") != FORMAT:
            raise BackupUnfit(f"{path} is of a format that this build does not read")
        found = Manifest(**{**said, "made_at": datetime.fromisoformat(said["made_at"])})
    except (ValueError, KeyError, TypeError):
        raise BackupUnfit(f"{path} is no manifest") from None
    there = {str(file.relative_to(folder)) for file in _files(folder)} - {NAME}
    for name, digest in found.files.items():
        if name not in there:
            raise BackupUnfit(f"{name} is missing from the backup")
        if files.sha256(folder / name) != digest:
            raise BackupUnfit(f"{name} is not the file that was backed up")
    return found


def new_folder(folder: Path) -> None:
    """Make the folder of a backup, for its owner alone. Raises ``BackupUnfit`` for one that holds anything."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise BackupUnfit(f"{folder} is not empty: a backup never overwrites anything")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
