"""A sealed stream: chunks under AES-256-GCM, each bound to its place, the last one marked, all bound to the manifest.

The file is ``hoatoc-sealed-1`` and a line feed, then chunks of 1 MiB and a tag of 16 bytes; the last may be shorter. A
chunk's nonce is its number (11 bytes, big-endian, from 0) and one byte that is 1 in the last chunk: what is missing,
moved, added or changed does not open (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015).
A key seals one file only.
"""

import io
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.backup.manifest import BackupUnfit

CHUNK = 1 << 20
_MAGIC = b"hoatoc-sealed-1\n"
_TAG = 16


def new_key() -> bytes:
    """Return a random key for one file."""
    return AESGCM.generate_key(256)


class Sealing(io.RawIOBase):
    """A file that seals what is written to it; ``close`` writes the last chunk and brings it to disk; mode 0600."""

    def __init__(self, path: Path, key: bytes, bound: bytes) -> None:
        super().__init__()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "wb")
        self._cipher, self._bound = AESGCM(key), bound
        self._waiting, self._number = bytearray(), 0
        self._file.write(_MAGIC)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Take ``data``; whole chunks are sealed and written as they fill."""
        self._waiting += data
        # A full chunk waits for one more byte: it may be the last one, which is marked.
        while len(self._waiting) > CHUNK:
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Seal what is left as the last chunk."""
        if not self.closed:
            try:
                self._seal(bytes(self._waiting), last=True)
                self._file.flush()
                os.fsync(self._file.fileno())
            finally:
                self._file.close()
                super().close()

    def _seal(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), piece, self._bound))
        self._number += 1


class Opening(io.RawIOBase):
    """A file that opens what ``Sealing`` wrote, piece by piece; each read raises ``BackupUnfit`` where it is not that.

    Nothing of it may be relied on before it was read to its end: only the last chunk shows that none is missing.
    """

    def __init__(self, path: Path, key: bytes, bound: bytes) -> None:
        super().__init__()
        self._name = path.name
        self._file = path.open("rb")
        self._cipher, self._bound = AESGCM(key), bound
        self._opened, self._number = b"", 0
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self._file.close()
            raise BackupUnfit(f"{self._name} is no sealed copy")
        self._next = self._file.read(CHUNK + _TAG)
        self._ended = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes that were proved, or none at the end."""
        while not self._opened and not self._ended:
            self._open()
        size = len(self._opened) if size < 0 else size
        piece, self._opened = self._opened[:size], self._opened[size:]
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _open(self) -> None:
        sealed, self._next = self._next, self._file.read(CHUNK + _TAG)
        self._ended = not self._next
        try:
            self._opened = self._cipher.decrypt(_nonce(self._number, self._ended), sealed, self._bound)
        except (InvalidTag, ValueError):
            raise BackupUnfit(f"{self._name} is not the copy that was sealed with this manifest") from None
        self._number += 1


def prove(path: Path, key: bytes, bound: bytes) -> None:
    """Read a sealed file to its end. Raises ``BackupUnfit`` where anything was changed, moved, added or left out."""
    with Opening(path, key, bound) as opening:
        while opening.read(CHUNK):
            pass


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
