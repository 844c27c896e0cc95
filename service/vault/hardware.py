"""Master keys in a PKCS#11 token: they are made there and never leave it; the token wraps and unwraps tenants' keys."""

import os
import threading
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    DataInvalid,
    DataLenRange,
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    GeneralError,
    PKCS11Error,
    UserAlreadyLoggedIn,
)

from service import errors
from service.vault.masters import KEY_BYTES, NONCE_BYTES, FileMasters, MasterMissing, SealBroken, read_secret

# A drill on the real hub's token neither sees nor uses the real hub's keys (ADR 0064).
PREFIX, DRILL_PREFIX = "hoatoc-vault-", "hoatoc-drill-vault-"
_LONGEST_PIN = 256
_TAG_BITS = 128
# Tokens do not agree on how they say that the tag is wrong.
_BROKEN = (GeneralError, EncryptedDataInvalid, EncryptedDataLenRange, DataInvalid, DataLenRange)
_TEMPLATE = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ENCRYPT: True,
    Attribute.DECRYPT: True,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
}


class TokenGone(errors.Unavailable):
    """The token does not answer: nothing new is opened, what is cached serves for a quarter of an hour."""

    def __init__(self) -> None:
        super().__init__("vault.token_gone")


class TokenMasters:
    """Master keys as AES-256 keys of one token, by their labels; files of before serve until a rotation replaces them.

    ``prefix`` is what the labels of this hub's keys begin with; no other key of the token is looked at.

    Raises PermissionError for a PIN file that others may read, ``TokenGone`` where the token is not there.
    """

    def __init__(self, module: Path, token: str, pin_file: Path, files: FileMasters, prefix: str = PREFIX) -> None:
        self._files = files
        self._prefix = prefix
        self._lock = threading.Lock()
        pin = read_secret(pin_file, _LONGEST_PIN).decode().strip()
        self._token = token
        try:
            self._session = _open(pkcs11.lib(str(module)).get_token(token_label=token), pin)
        except (PKCS11Error, RuntimeError):
            raise TokenGone from None
        if not self._labels():
            self.make()

    def ids(self) -> tuple[str, ...]:
        """Return the files' ids and the keys' labels, the oldest first."""
        return (*self._files.ids(), *self._labels())

    def make(self) -> str:
        """Let the token make one more key."""
        label = f"{self._prefix}{1 + max(map(self._number, self._labels()), default=0)}"
        with self._lock:
            self._session.generate_key(KeyType.AES, 8 * KEY_BYTES, label=label, store=True, template=_TEMPLATE)
        return label

    def wrap(self, master: str, key: bytes, bound_to: bytes) -> bytes:
        """Let the token wrap a key. Raises ``MasterMissing``, ``TokenGone``."""
        if not master.startswith(self._prefix):
            return self._files.wrap(master, key, bound_to)
        nonce = os.urandom(NONCE_BYTES)
        with self._lock:
            try:
                found = self._key(master)
                sealed: bytes = found.encrypt(key, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, bound_to))
            except PKCS11Error:
                raise TokenGone from None
        return nonce + sealed

    def unwrap(self, master: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """Let the token unwrap a key. Raises ``SealBroken``, ``MasterMissing``, ``TokenGone``."""
        if not master.startswith(self._prefix):
            return self._files.unwrap(master, wrapped, bound_to)
        how = {"mechanism": Mechanism.AES_GCM, "mechanism_param": _gcm(wrapped[:NONCE_BYTES], bound_to)}
        with self._lock:
            try:
                opened: bytes = self._key(master).decrypt(wrapped[NONCE_BYTES:], **how)
            except _BROKEN:
                raise SealBroken("master") from None
            except PKCS11Error:
                raise TokenGone from None
        return opened

    def where(self, master: str) -> str:
        """Return the token's name, or a file's path."""
        return f"token {self._token}" if master.startswith(self._prefix) else self._files.where(master)

    @property
    def first_file(self) -> bytes | None:
        """The bytes of ``vault.key``, where it is still beside the token."""
        return self._files.first_file

    def _key(self, master: str) -> Any:
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: master}
        found = next(iter(self._session.get_objects(wanted)), None)
        if found is None:
            raise MasterMissing(master)
        return found

    def _labels(self) -> list[str]:
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES}
        with self._lock:
            try:
                labels = [str(found.label) for found in self._session.get_objects(wanted)]
            except PKCS11Error:
                raise TokenGone from None
        return sorted((label for label in labels if label.startswith(self._prefix)), key=self._number)

    def _number(self, label: str) -> int:
        number = label.removeprefix(self._prefix)
        return int(number) if number.isdigit() else 0


def _open(token: Any, pin: str) -> Any:
    try:
        return token.open(user_pin=pin, rw=True)
    except UserAlreadyLoggedIn:
        # Whoever logs in does it for the whole process.
        return token.open(rw=True)


def _gcm(nonce: bytes, bound_to: bytes) -> Any:
    return GCMParams(nonce, bound_to, _TAG_BITS)
