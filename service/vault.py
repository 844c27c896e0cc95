"""The vault: seals personal fields (AES-256-GCM, bound to table, row and tenant) and makes their blind indexes."""

import contextlib
import hashlib
import hmac
import os
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = 1
_NONCE = 12
_KEY = 32


class SealBroken(Exception):
    """The sealed bytes were changed, moved to another row or tenant, or sealed under another key."""


class Vault:
    """Seals and opens fields under keys derived per tenant from one master key."""

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY:
            raise ValueError("the vault's master key is 32 bytes long")
        self._master = master
        self._cipher = lru_cache(maxsize=4096)(lambda tenant: AESGCM(self._derive("seal", tenant)))
        self._index_key = lru_cache(maxsize=4096)(lambda scope: self._derive("index", scope))

    @classmethod
    def at(cls, path: Path) -> "Vault":
        """Load the master key from a file that only its owner may read, making it at first start."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = path.with_name(f".{path.name}.{os.getpid()}")
            handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(_KEY))
                os.fsync(file.fileno())
            # Put in place whole: of two nodes that start at once on one folder, the first one's key is the key.
            with contextlib.suppress(FileExistsError):
                os.link(made, path)
            made.unlink()
        if path.stat().st_mode & 0o077:
            raise PermissionError(f"{path} may be read by others: its mode must be 0400")
        return cls(path.read_bytes())

    def seal(self, table: str, row: UUID | str, tenant: str, text: str) -> bytes:
        """Seal ``text`` for one row of one tenant; the same text never gives the same bytes twice."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(tenant).encrypt(nonce, text.encode(), _bound_to(table, row, tenant))
        return bytes([VERSION]) + nonce + sealed

    def unseal(self, table: str, row: UUID | str, tenant: str, sealed: bytes) -> str:
        """Return the text that was sealed for exactly this row; raise ``SealBroken`` otherwise."""
        if not sealed or sealed[0] != VERSION:
            raise SealBroken(table)
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._cipher(tenant).decrypt(nonce, body, _bound_to(table, row, tenant)).decode()
        except InvalidTag:
            raise SealBroken(table) from None

    def blind_index(self, scope: str, kind: str, value: str) -> bytes:
        """Return HMAC-SHA256 of a normalised identifier, keyed per ``scope`` (an agency, or an addressed participant).

        Equal identifiers meet only inside one scope, so an index column alone links nothing across agencies.
        """
        return hmac.new(self._index_key(scope), f"{kind}\x00{value}".encode(), hashlib.sha256).digest()

    def derive(self, purpose: str) -> bytes:
        """Derive a 32-byte key for another purpose of this node's (the console's CSRF tokens)."""
        return self._derive("purpose", purpose)

    def _derive(self, label: str, name: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=_KEY, salt=None, info=f"hoatoc|{label}|{name}".encode()).derive(
            self._master
        )


def _bound_to(table: str, row: UUID | str, tenant: str) -> bytes:
    return f"{table}|{row}|{tenant}|{VERSION}".encode()
