"""Master keys: they wrap the keys of tenants and open no field themselves; files that their owner alone may read."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service import errors

KEY_BYTES = 32
NONCE_BYTES = 12
FIRST = "vault.key"


class SealBroken(Exception):
    """The sealed bytes were changed, moved to another row or tenant, or sealed under another key."""


class MasterMissing(errors.Unavailable):
    """This node does not have the master key that something was wrapped with; it is in the folder of another one."""

    def __init__(self, master: str) -> None:
        super().__init__("vault.master_missing", master=master)


class Masters(Protocol):
    """The master keys that this node can use, each by its id: a file's thumbprint, or a label in a token."""

    def ids(self) -> tuple[str, ...]:
        """Return the ids of what is there now, the oldest first: the newest is what a new database begins with."""
        ...

    def make(self) -> str:
        """Make one more master key and return its id; nothing uses it before a rotation does."""
        ...

    def wrap(self, master: str, key: bytes, bound_to: bytes) -> bytes:
        """Wrap ``key`` (AES-256-GCM, random nonce, ``bound_to`` as associated data). Raises ``MasterMissing``."""
        ...

    def unwrap(self, master: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """Return what was wrapped for exactly this row; raise ``SealBroken`` otherwise, or ``MasterMissing``."""
        ...

    def where(self, master: str) -> str:
        """Tell where a key lies, for the inventory."""
        ...

    @property
    def first_file(self) -> bytes | None:
        """The bytes of ``vault.key``, from which earlier databases derived everything; None where it is not here."""
        ...


class FileMasters:
    """Master keys as files of mode 0400: ``vault.key``, and one ``vault-<number>-<id>.key`` a rotation."""

    def __init__(self, keys: Mapping[str, tuple[Path, bytes]], folder: Path | None = None) -> None:
        self._keys = dict(keys)
        self._folder = folder

    @classmethod
    def of(cls, *keys: bytes) -> "FileMasters":
        """Return master keys that lie in no folder."""
        return cls({identify(key): (Path(FIRST), key) for key in keys})

    @classmethod
    def at(cls, folder: Path, *, begin: bool = True) -> "FileMasters":
        """Load the keys of a folder; with ``begin``, the first one is made where there is none.

        Raises PermissionError for a file that anybody but its owner may read.
        """
        if begin and not _files(folder):
            _write(folder / FIRST, os.urandom(KEY_BYTES))
        return cls(_read(folder), folder)

    def ids(self) -> tuple[str, ...]:
        """Return the ids, the oldest key's first."""
        return tuple(self._keys)

    def make(self) -> str:
        """Write one more file; it is on disk when this returns."""
        if self._folder is None:
            raise FileNotFoundError("these master keys lie in no folder")
        made = os.urandom(KEY_BYTES)
        number = 1 + max(map(_number, _files(self._folder)), default=0)
        _write(self._folder / f"vault-{number}-{identify(made)}.key", made)
        self._keys = _read(self._folder)
        return identify(made)

    def wrap(self, master: str, key: bytes, bound_to: bytes) -> bytes:
        """Wrap a key. Raises ``MasterMissing``."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(master).encrypt(nonce, key, bound_to)

    def unwrap(self, master: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """Return a wrapped key. Raises ``SealBroken``, ``MasterMissing``."""
        try:
            return self._cipher(master).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound_to)
        except InvalidTag:
            raise SealBroken("master") from None

    def where(self, master: str) -> str:
        """Return the file's path."""
        return str(self._keys[master][0])

    @property
    def first_file(self) -> bytes | None:
        """The first key's own bytes, where it is still here."""
        return next((key for path, key in self._keys.values() if path.name == FIRST), None)

    def _cipher(self, master: str) -> AESGCM:
        if master not in self._keys and self._folder is not None:
            # Another node has rotated, and the file has been brought here meanwhile: nobody restarts for it.
            self._keys = _read(self._folder)
        if master not in self._keys:
            raise MasterMissing(master)
        return AESGCM(derived(self._keys[master][1], "hoatoc|master|wrap"))


def derived(secret: bytes, info: str) -> bytes:
    """Derive a 32-byte key for one purpose (HKDF-SHA-256)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(secret)


def identify(key: bytes) -> str:
    """Return a master key's id: a digest of a value derived from it, from which nobody learns anything about it."""
    if len(key) != KEY_BYTES:
        raise ValueError("a master key of the vault is 32 bytes long")
    return hashlib.sha256(derived(key, "hoatoc|master|id")).hexdigest()[:16]


def read_secret(path: Path, most: int) -> bytes:
    """Return the bytes of a file that its owner alone may read. Raises PermissionError where others may."""
    with path.open("rb") as file:
        # The opened file is asked, not the path: nobody can swap it in between.
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise PermissionError(f"{path} may be read by others: its mode must be 0400")
        return file.read(most + 1)


def _files(folder: Path) -> list[Path]:
    first = folder / FIRST
    return [*([first] if first.exists() else []), *sorted(folder.glob("vault-*-*.key"), key=_number)]


def _number(path: Path) -> int:
    number = path.name.split("-")[1] if path.name != FIRST else "1"
    return int(number) if number.isdigit() else 0


def _read(folder: Path) -> dict[str, tuple[Path, bytes]]:
    keys = [(path, read_secret(path, KEY_BYTES)) for path in _files(folder)]
    return {identify(key): (path, key) for path, key in keys}


def _write(path: Path, key: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    # Put in place whole: of two nodes that start at once on one folder, the first one's key is the key.
    with contextlib.suppress(FileExistsError):
        os.link(made, path)
    made.unlink()
