"""Idempotency keys: the first answer under a client's key is given again for the same content, and only for it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import canonical_json, db, errors
from service.audit import Log
from service.inserting import Rows
from service.models import IdempotencyKey, table_of
from service.security.principals import Principal

KEYS = table_of(IdempotencyKey)
# What is kept under a key, and whose it is, for a query that asks for more beside it.
KEPT = (KEYS.c.body_sha256, KEYS.c.answer)
IS_ITS = sa.and_(KEYS.c.client_id == sa.bindparam("client"), KEYS.c.key == sa.bindparam("its_key"))
_EARLIER = sa.select(*KEPT).where(IS_ITS)
# The constraint, as PostgreSQL and SQLite name it.
_TAKEN = ("pk_idempotency_keys", "idempotency_keys.client_id")
# It waits for a transaction that is writing the same key, and then finds it written.
_REMEMBERED = {
    dialect: insert(KEYS).on_conflict_do_nothing().returning(sa.literal(1))
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


class Raced(Exception):
    """Another transaction committed the same key while this one ran: everything is undone, and may be asked again."""


@dataclass(frozen=True, slots=True)
class Once:
    """What is done at most once under a key; ``content`` is the digest of what was said.

    ``field`` is where the key stood, ``reused`` the code of the error for another content under it.
    """

    key: str
    content: str
    field: str = "Idempotency-Key"
    reused: str = "idempotency_key.reused"


def fingerprint(raw: bytes) -> str:
    """Return SHA-256 of the content's RFC 8785 form: a key belongs to what was said, however it was spaced."""
    return hashlib.sha256(canonical_json.dumps(json.loads(raw))).hexdigest()


async def earlier(conn: AsyncConnection, principal: Principal, once: Once) -> dict[str, Any] | None:
    """Return the first answer under this key. Raises ``InvalidInput`` when the key was used with other content."""
    row = (await conn.execute(_EARLIER, {"client": principal.client_id, "its_key": once.key})).one_or_none()
    return None if row is None else answered(row._asdict(), once)


def answered(kept: Mapping[str, Any], once: Once) -> dict[str, Any]:
    """Return the answer that is kept under a key. Raises ``InvalidInput`` when it is about other content."""
    if kept["body_sha256"] != once.content:
        raise errors.InvalidInput.of(once.field, once.reused)
    return dict(kept["answer"])


async def remember(
    conn: AsyncConnection, principal: Principal, once: Once, answer: dict[str, Any], at: datetime
) -> None:
    """Keep the answer; raise ``Raced`` when another transaction has just kept one under the same key."""
    done = await conn.execute(_REMEMBERED[conn.dialect.name], _row(principal, once, answer, at))
    if done.first() is None:
        raise Raced


async def remember_with(log: Log, principal: Principal, once: Once, answer: dict[str, Any], at: datetime) -> None:
    """Keep the answer in the very statement that writes the facts of this transaction. Raises as ``remember``."""
    with db.refused_as(Raced, *_TAKEN):
        await log.flush(Rows(KEYS, [_row(principal, once, answer, at)]))


def _row(principal: Principal, once: Once, answer: dict[str, Any], at: datetime) -> dict[str, Any]:
    return {
        "client_id": principal.client_id,
        "key": once.key,
        "tenant": principal.tenant,
        "body_sha256": once.content,
        "answer": answer,
        "created_at": at,
    }
