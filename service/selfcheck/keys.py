"""Looks at the key files: who owns them, who may read them, how long they are good, whether they are secrets at all."""

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from service.security import keyfile
from service.security.keyring import KeyUnfit
from service.selfcheck import published
from service.selfcheck.check import Check, failed, grave, ok, warning

# A warning in time: in the last week a start moves the next key up.
_ENDS_SOON = timedelta(days=7)


def look(folder: Path, now: datetime) -> Iterator[Check]:
    """Look at each file of the key folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    if not files:
        yield warning("keys", "none", folder=str(folder))
        return
    yield _folder(folder)
    owner = folder.stat().st_uid if os.geteuid() == 0 else os.geteuid()
    for path in files:
        yield from _file(path, owner, now)


def _folder(folder: Path) -> Check:
    mode = stat.S_IMODE(folder.stat().st_mode)
    # Who may write a folder may put another key in a key's place.
    if mode & 0o022:
        return grave("keys.folder", "writable", folder=str(folder), mode=f"{mode:04o}")
    return ok("keys.folder", folder=str(folder))


def _file(path: Path, owner: int, now: datetime) -> Iterator[Check]:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o377:
        yield grave("keys.mode", "open", path=str(path), mode=f"{mode:04o}")
        return
    yield ok("keys.mode", path=str(path))
    if status.st_uid != owner:
        yield grave("keys.owner", "foreign", path=str(path))
        return
    if path.suffix == ".jwk":
        yield from _signing_key(path, now)
    elif _is_master(path) and published.is_pattern(path.read_bytes()):
        yield grave("keys.known", "pattern", path=str(path))


def _is_master(path: Path) -> bool:
    # Other secrets may lie beside it: a token's PIN is no random bytes, and need not be.
    return path.name.startswith("vault") and path.suffix == ".key"


def _signing_key(path: Path, now: datetime) -> Iterator[Check]:
    about = f"keys.{path.name.partition('-')[0]}"
    about = about if about in {"keys.token", "keys.order"} else "keys.other"
    try:
        key = keyfile.load(path)
    except KeyUnfit as unfit:
        yield grave(about, "unfit", name=path.name, why=unfit.code)
        return
    if published.is_printed(str(key.public_jwk()["x"])):
        yield grave("keys.known", "printed", path=str(path))
    left, end = key.not_after - now, key.not_after.date().isoformat()
    if left <= timedelta(0):
        yield failed(about, "ended", name=path.name, end=end)
    elif left < _ENDS_SOON:
        yield warning(about, "ends", name=path.name, end=end)
    else:
        yield ok(about, name=path.name, end=end)
