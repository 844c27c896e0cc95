"""The heads of audit chains: laid down where there are none, and locked, with the instant after the last wait."""

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, db
from service.models import AuditHead, table_of

GENESIS = bytes(32)
_HEADS = table_of(AuditHead)


async def lock(
    conn: AsyncConnection, names: Sequence[str], *, wait: bool
) -> tuple[dict[str, tuple[int, bytes]], datetime | None]:
    """Lock heads; return those that are locked, and the instant after the last wait: None where there is none."""
    if not names:
        return {}, None
    rows = (await conn.execute(_locking(conn.dialect.name, wait=wait), {"chains": names})).all()
    return {row.chain: (row.sequence, row.hash) for row in rows}, max((row.at for row in rows), default=None)


@functools.cache
def _locking(dialect: str, *, wait: bool) -> sa.Select[Any]:
    query = sa.select(_HEADS).where(among.named(dialect, _HEADS.c.chain, "chains")).order_by(_HEADS.c.chain)
    # Apart from what locks: beside it an instant would be read before the row is waited for.
    held = query.with_for_update(skip_locked=not wait).cte("held").prefix_with("MATERIALIZED", dialect="postgresql")
    return sa.select(held.c.chain, held.c.sequence, held.c.hash, sa.func.hub_now(type_=db.INSTANT).label("at"))


async def begin(conn: AsyncConnection, owners: Mapping[str, str]) -> None:
    """Lay down the heads of chains that have none yet; ``owners`` says whose each is."""
    # A request's chain begins with its own rows; a tenant's or node's first fact may be written by two at once, so its
    # head is laid down before any is locked: the row lock queues them, and no two wait for each other.
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    rows = [
        {"chain": chain, "tenant": tenant, "sequence": 0, "hash": GENESIS} for chain, tenant in sorted(owners.items())
    ]
    if rows:
        await conn.execute(insert(_HEADS).on_conflict_do_nothing(), rows)
