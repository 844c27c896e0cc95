"""Idempotency keys: the first answer under a client's key is given again for the same content, and only for it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import canonical_json, errors
from service.models import IdempotencyKey, table_of
from service.security.principals import Principal

_KEYS = table_of(IdempotencyKey)
_EARLIER = sa.select(_KEYS.c.body_sha256, _KEYS.c.answer).where(
    _KEYS.c.client_id == sa.bindparam("client"), _KEYS.c.key == sa.bindparam("named")
)
# It waits for a transaction that is writing the same key, and then finds it written.
_REMEMBERED = {
    dialect: insert(_KEYS).on_conflict_do_nothing().returning(sa.literal(1))
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
    row = (await conn.execute(_EARLIER, {"client": principal.client_id, "named": once.key})).one_or_none()
    if row is None:
        return None
    if row.body_sha256 != once.content:
        raise errors.InvalidInput.of(once.field, once.reused)
    return dict(row.answer)


async def remember(
    conn: AsyncConnection, principal: Principal, once: Once, answer: dict[str, Any], at: datetime
) -> None:
    """Keep the answer; raise ``Raced`` when another transaction has just kept one under the same key."""
    row = {
        "client_id": principal.client_id,
        "key": once.key,
        "tenant": principal.tenant,
        "body_sha256": once.content,
        "answer": answer,
        "created_at": at,
    }
    done = await conn.execute(_REMEMBERED[conn.dialect.name], row)
    if done.first() is None:
        raise Raced
