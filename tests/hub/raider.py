"""Somebody who has stolen everything: the database's raw bytes, copies from before, the master key, every key left."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from builders import MASTER
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service import models
from service.db import Database
from service.engine import resealing
from service.engine.hub import Hub
from service.vault import FileMasters, Vault, roots
from service.vault.masters import derived
from service.vault.sealing import tenant_key_bound_to

_HEAD = 17
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Loot:
    """A copy of every table at one instant: rows by table's name."""

    tables: dict[str, list[dict[str, Any]]]

    def values(self) -> Iterator[Any]:
        """Every value of every row."""
        for rows in self.tables.values():
            for row in rows:
                yield from row.values()

    def raw(self) -> bytes:
        """Every value as a plain dump would show it."""
        return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in self.values())

    def sealed(self) -> Iterator[tuple[str, Any, str, bytes]]:
        """Every sealed value, with what it is bound to: table, row, tenant."""
        for each in resealing.TABLES:
            for row in self.tables[each.table.name]:
                for column in each.columns:
                    if row[column.name]:
                        yield each.table.name, row[each.row], row["tenant"], row[column.name]


async def steal(database: Database) -> Loot:
    """Copy every table."""
    async with database.read() as conn:
        return Loot(
            {
                each.name: [dict(row._mapping) for row in (await conn.execute(sa.select(each))).all()]
                for each in models.metadata.sorted_tables
            }
        )


def files(hub: Hub) -> bytes:
    """Return the raw bytes of an embedded database: its file, its log and whatever lies beside them."""
    folder = Path(hub.settings.data_dir)
    return b"\n".join(path.read_bytes() for path in sorted(folder.glob("hoatoc.sqlite3*")))


class Raider:
    """Tries every key that is left on every value that there ever was."""

    def __init__(self, left: Loot) -> None:
        self._left = left
        masters = FileMasters.of(MASTER)
        self._secrets: list[bytes] = [MASTER]
        [root] = left.tables["root_keys"]
        self._root = masters.unwrap(root["master"], root["wrapped"], roots.bound_to("index"))
        self._secrets.append(self._root)
        tenants = {}
        for row in left.tables["tenant_keys"]:
            tenants[row["id"]] = masters.unwrap(
                row["master"], row["wrapped"], tenant_key_bound_to(row["id"], row["tenant"])
            )
        for row in left.tables["subject_keys"]:
            if row["wrapped"]:
                bound = f"subject_keys|{row['id']}|{row['tenant']}".encode()
                cipher = AESGCM(tenants[row["tenant_key_id"]])
                self._secrets.append(cipher.decrypt(row["wrapped"][:_NONCE], row["wrapped"][_NONCE:], bound))
        self._secrets += tenants.values()
        for tenant in {row["tenant"] for row in left.tables["targets"]}:
            self._secrets += [derived(MASTER, f"hoatoc|seal|{tenant}"), derived(self._root, f"hoatoc|seal|{tenant}")]

    def opened(self, stolen: Iterable[Loot]) -> str:
        """Return all that any key opens, of today's values and of those in older copies."""
        return "\n".join(
            text
            for loot in stolen
            for table, row, tenant, sealed in loot.sealed()
            for text in self._tries(table, row, tenant, sealed)
        )

    def linked(self, kinds: Sequence[str], identifiers: Sequence[str]) -> set[str]:
        """Return the identifiers whose blind index, in any scope, or whose digest stands anywhere."""
        vault = Vault(FileMasters.of(MASTER), self._root)
        there = {value for value in self._left.values() if isinstance(value, bytes | str)}
        scopes = [row["id"] for row in self._left.tables["participants"]]
        found = set()
        for identifier in identifiers:
            marks = [vault.blind_index(scope, kind, identifier) for scope, kind in itertools.product(scopes, kinds)]
            digest = hashlib.sha256(identifier.encode())
            if not there.isdisjoint((*marks, digest.digest(), digest.hexdigest())):
                found.add(identifier)
        return found

    def _tries(self, table: str, row: Any, tenant: str, sealed: bytes) -> Iterator[str]:
        # With the key that the head names, or any other; whatever was bound to, the raider knows.
        named = sealed[1:_HEAD].hex()
        named = "-".join((named[:8], named[8:12], named[12:16], named[16:20], named[20:]))
        bound = f"{table}|{row}|{tenant}|2|{named}".encode()
        for secret in self._secrets:
            try:
                cipher = AESGCM(secret)
                yield cipher.decrypt(sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :], bound).decode()
            except (InvalidTag, ValueError):
                continue
        try:
            earlier = AESGCM(derived(self._root, f"hoatoc|seal|{tenant}"))
            yield earlier.decrypt(sealed[1:13], sealed[13:], f"{table}|{row}|{tenant}|1".encode()).decode()
        except (InvalidTag, ValueError):
            return
