"""Seals personal fields under their subject's own key, bound to table, row and tenant, and makes blind indexes."""

import hashlib
import hmac
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service import clock, errors
from service.schemas.common import ERASED
from service.vault.masters import KEY_BYTES, NONCE_BYTES, FileMasters, Masters, SealBroken, derived

VERSION = 2
# What an earlier build sealed, under a key derived per tenant: it is opened, and never made any more.
DERIVED = 1
_ID = 16
_HEAD = 1 + _ID + NONCE_BYTES
# PROMISES 8.6: without the key service nothing opens a quarter of an hour later.
CACHED_FOR = 15 * 60.0
_CACHED_MOST = 4096


class Erased(errors.Conflict):
    """The subject's key was destroyed: what it sealed can be opened by nobody, ever."""

    def __init__(self) -> None:
        super().__init__("request.erased")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A subject's key as the database has it: wrapped by its tenant's, which is wrapped by a master key.

    ``wrapped`` is None once it was destroyed. It is data, not a key: only the vault opens it.
    """

    id: UUID
    tenant: str
    wrapped: bytes | None
    tenant_key_id: UUID | None
    tenant_wrapped: bytes | None
    master: str | None


Keys = Mapping[UUID, KeyRow]


class Vault:
    """Seals and opens; it keeps the keys of tenants in memory for a quarter of an hour, those of subjects never."""

    def __init__(
        self, masters: Masters, root: bytes, *, made_at: datetime | None = None, former: Sequence[bytes] = ()
    ) -> None:
        """``made_at`` is when the database got this root; ``former`` are those that it replaced."""
        if len(root) != KEY_BYTES:
            raise ValueError("the vault's root is 32 bytes long")
        self.masters = masters
        self._root = root
        self.rooted_at = made_at
        self._former = tuple(former)
        self._is_replaced = False
        self._derived = lru_cache(maxsize=4096)(lambda tenant: AESGCM(self._derive("seal", tenant)))
        self._index_key = lru_cache(maxsize=4096)(lambda scope: derived(root, _index_of(scope)))
        self._tenants: dict[tuple[UUID, bytes], tuple[float, AESGCM]] = {}
        self._current: dict[str, KeyRow] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, master: bytes) -> "Vault":
        """Return a vault over one master key that also is the root, as that of an earlier build."""
        return cls(FileMasters.of(master), master)

    def seal(self, key: KeyRow, table: str, row: UUID | str, text: str) -> bytes:
        """Seal ``text`` for one row of the subject's tenant; the same text never gives the same bytes twice.

        Raises ``Erased`` where the subject's key is destroyed.
        """
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._open(key)).encrypt(nonce, text.encode(), _bound_to(table, row, key.tenant, key.id))
        return bytes([VERSION]) + key.id.bytes + nonce + sealed

    def unseal(self, keys: Keys, table: str, row: UUID | str, tenant: str, sealed: bytes) -> str:
        """Return the text that was sealed for exactly this row; ``keys`` holds the key that is named in its head.

        Raises ``SealBroken`` when it is not what was sealed here, ``Erased`` when the key was destroyed.
        """
        if sealed[:1] == bytes([DERIVED]):
            return self._unseal_derived(table, row, tenant, sealed)
        key_id = key_of(sealed)
        key = keys.get(key_id) if key_id else None
        if key is None:
            raise SealBroken(table)
        nonce, body = sealed[1 + _ID : _HEAD], sealed[_HEAD:]
        try:
            return AESGCM(self._open(key)).decrypt(nonce, body, _bound_to(table, row, tenant, key.id)).decode()
        except InvalidTag:
            raise SealBroken(table) from None

    def shown(self, keys: Keys, table: str, row: UUID | str, tenant: str, sealed: bytes) -> str:
        """Return the text as a person or a program is shown it: ``ERASED`` for what nobody can open any more."""
        try:
            return self.unseal(keys, table, row, tenant, sealed)
        except Erased:
            return ERASED

    @staticmethod
    def is_erased(key: KeyRow | None) -> bool:
        """Tell whether a subject's key is destroyed."""
        return key is not None and key.wrapped is None

    def salt(self, key: KeyRow) -> bytes:
        """Return the salt of the commitments about a subject: facts commit to texts that nobody can guess after it."""
        return derived(self._open(key), "hoatoc|commitment")

    def commitment(self, key: KeyRow, digest: str) -> str:
        """Return what a fact says of a text with this SHA-256, in hexadecimal: HMAC-SHA256 under the subject's salt.

        With the text and the salt anybody sees that it is the text; without the key nobody can try out texts.
        """
        return hmac.new(self.salt(key), digest.encode(), hashlib.sha256).hexdigest()

    def blind_index(self, scope: str, kind: str, value: str) -> bytes:
        """Return HMAC-SHA256 of a normalised identifier, keyed per ``scope`` (an agency, or an addressed participant).

        Equal identifiers meet only inside one scope, so an index column alone links nothing across agencies.
        """
        if self._is_replaced:
            raise errors.Unavailable("vault.root_replaced")
        return _index(self._index_key(scope), kind, value)

    def blind_indexes(self, scope: str, kind: str, value: str) -> frozenset[bytes]:
        """Return what this identifier's blind index is and what it was under earlier roots: facts keep the old ones."""
        earlier = (derived(root, _index_of(scope)) for root in self._former)
        return frozenset(_index(key, kind, value) for key in (self._index_key(scope), *earlier))

    def close_indexes(self) -> None:
        """Make no blind index from now on: another root is in force, and nobody would find what this one gives."""
        self._is_replaced = True

    def current(self, tenant: str) -> KeyRow | None:
        """Return the key that a tenant had a moment ago; whoever wraps with it makes sure that it still is."""
        return self._current.get(tenant)

    def remember(self, tenant_key: KeyRow) -> None:
        """Keep what the database says is a tenant's key; ``forget`` once it says otherwise."""
        self._current[tenant_key.tenant] = tenant_key

    def forget(self, tenant: str) -> None:
        """Ask the database again which key a tenant has."""
        self._current.pop(tenant, None)

    def new_tenant_key(self, master: str, key_id: UUID, tenant: str) -> bytes:
        """Make a tenant's key and return it wrapped by a master key."""
        return self.masters.wrap(master, os.urandom(KEY_BYTES), tenant_key_bound_to(key_id, tenant))

    def rewrap_tenant_key(self, wrapped: bytes, key_id: UUID, tenant: str, *, old: str, new: str) -> bytes:
        """Return a tenant's key wrapped by another master key."""
        bound_to = tenant_key_bound_to(key_id, tenant)
        return self.masters.wrap(new, self.masters.unwrap(old, wrapped, bound_to), bound_to)

    def new_subject_key(self, tenant_key: KeyRow, key_id: UUID) -> bytes:
        """Make a subject's key and return it wrapped by its tenant's."""
        return self._wrap(tenant_key, key_id, os.urandom(KEY_BYTES))

    def rewrap_subject_key(self, key: KeyRow, tenant_key: KeyRow) -> bytes:
        """Return a subject's key wrapped by another key of the same tenant."""
        return self._wrap(tenant_key, key.id, self._open(key))

    def _wrap(self, tenant_key: KeyRow, key_id: UUID, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        bound_to = _subject_key_bound_to(key_id, tenant_key.tenant)
        return nonce + self._tenant_cipher(tenant_key).encrypt(nonce, key, bound_to)

    def _open(self, key: KeyRow) -> bytes:
        if key.wrapped is None:
            raise Erased
        nonce, body = key.wrapped[:NONCE_BYTES], key.wrapped[NONCE_BYTES:]
        try:
            return self._tenant_cipher(key).decrypt(nonce, body, _subject_key_bound_to(key.id, key.tenant))
        except InvalidTag:
            raise SealBroken("subject_keys") from None

    def _tenant_cipher(self, key: KeyRow) -> AESGCM:
        if key.tenant_key_id is None or key.tenant_wrapped is None or key.master is None:
            raise SealBroken("tenant_keys")
        at, name = clock.monotonic(), (key.tenant_key_id, key.tenant_wrapped)
        with self._lock:
            kept = self._tenants.get(name)
            if kept is not None and kept[0] > at:
                return kept[1]
        bound_to = tenant_key_bound_to(key.tenant_key_id, key.tenant)
        cipher = AESGCM(self.masters.unwrap(key.master, key.tenant_wrapped, bound_to))
        with self._lock:
            live = {each: kept for each, kept in self._tenants.items() if kept[0] > at}
            self._tenants = {**(live if len(live) < _CACHED_MOST else {}), name: (at + CACHED_FOR, cipher)}
        return cipher

    def _unseal_derived(self, table: str, row: UUID | str, tenant: str, sealed: bytes) -> str:
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._derived(tenant).decrypt(nonce, body, f"{table}|{row}|{tenant}|{DERIVED}".encode()).decode()
        except InvalidTag:
            raise SealBroken(table) from None

    def _derive(self, label: str, name: str) -> bytes:
        return derived(self._root, f"hoatoc|{label}|{name}")


def _index_of(scope: str) -> str:
    return f"hoatoc|index|{scope}"


def _index(key: bytes, kind: str, value: str) -> bytes:
    return hmac.new(key, f"{kind}\x00{value}".encode(), hashlib.sha256).digest()


def key_of(sealed: bytes | None) -> UUID | None:
    """Return the id of the subject's key in a sealed value's head; None for what has none."""
    if not sealed or sealed[0] != VERSION or len(sealed) < _HEAD:
        return None
    return UUID(bytes=bytes(sealed[1 : 1 + _ID]))


def stub(key_id: UUID) -> bytes:
    """Return what stands in the place of a value that was erased: the head, which names the destroyed key."""
    return bytes([VERSION]) + key_id.bytes + bytes(NONCE_BYTES)


def tenant_key_bound_to(key_id: UUID, tenant: str) -> bytes:
    """Return what the wrapping of a tenant's key is bound to."""
    return f"tenant_keys|{key_id}|{tenant}".encode()


def _subject_key_bound_to(key_id: UUID, tenant: str) -> bytes:
    return f"subject_keys|{key_id}|{tenant}".encode()


def _bound_to(table: str, row: UUID | str, tenant: str, key_id: UUID) -> bytes:
    return f"{table}|{row}|{tenant}|{VERSION}|{key_id}".encode()
