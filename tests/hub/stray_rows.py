"""One row of every table for several tenants, made up from the columns' types and written past every constraint."""

import itertools
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from builders import superuser_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service import models

AT = datetime(2026, 11, 29, 8, tzinfo=UTC)
_COUNTER = itertools.count(1)
# What a CHECK of the table asks for beside its types.
_OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "requests": {"action": "takedown", "document_sha256": "0" * 64},
    "orders": {"action": "takedown"},
    "subject_keys": {"wrapped": b"wrapped", "tenant_key_id": UUID(int=1)},
    # Of those in force a tenant has one.
    "tenant_keys": {"retired_at": AT},
}
# Who reaches what: mine, another's, another's but addressed to me, another's about whom I supervise.
ME, OTHER, SUPERVISED, STRANGER = "me", "other", "watched-bank", "strange-bank"
KINDS: Mapping[str, tuple[str, str]] = {
    "own": (ME, STRANGER),
    "foreign": (OTHER, STRANGER),
    "addressed": (OTHER, ME),
    "supervised": (OTHER, SUPERVISED),
}


def tables() -> list[sa.Table]:
    """Return every table of the models."""
    return [models.metadata.tables[name] for name in sorted(models.metadata.tables)]


def row(table: sa.Table, tenant: str, participant_id: str) -> dict[str, Any]:
    """Make up a row of a table."""
    made: dict[str, Any] = {}
    for column in table.columns:
        if column.name == "tenant":
            made["tenant"] = tenant
        elif column.name == "participant_id":
            made["participant_id"] = participant_id
        elif not column.nullable:
            made[column.name] = _value(column)
    if table.name == "participants":
        made["id"] = tenant
    return {**made, **_OTHERWISE.get(table.name, {})}


async def scatter(url: str) -> dict[str, dict[str, Any]]:
    """Write rows of all kinds into every table and return, by table and kind, the value of a key that finds them."""
    engine = create_async_engine(superuser_url(url))
    keys: dict[str, dict[str, Any]] = {}
    async with engine.begin() as conn:
        # No foreign keys, no triggers: the rows hang on nothing, and what is asked here is who reaches them.
        await conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in tables():
            keys[table.name] = await _fill(conn, table)
        watched = sa.update(models.metadata.tables["participants"]).where(sa.text(f"id = '{SUPERVISED}'"))
        await conn.execute(watched.values(supervisor_id=ME))
    await engine.dispose()
    return keys


async def _fill(conn: AsyncConnection, table: sa.Table) -> dict[str, Any]:
    kinds = dict(KINDS)
    if table.name == "participants":
        kinds = {"own": (ME, ""), "foreign": (OTHER, ""), "watched": (SUPERVISED, "")}
    found = {}
    for kind, (tenant, participant_id) in kinds.items():
        values = row(table, tenant, participant_id)
        key = next(iter(table.primary_key.columns))
        found[kind] = (await conn.execute(sa.insert(table).values(values).returning(key))).scalar_one()
    return found


def _value(column: sa.Column[Any]) -> Any:
    number, kind = next(_COUNTER), column.type
    if isinstance(kind, sa.types.TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, sa.Enum):
        return next(iter(kind.enum_class)) if kind.enum_class else kind.enums[0]
    wanted = kind.python_type if not isinstance(kind, sa.JSON) else dict
    made: dict[type, Any] = {
        str: f"s{number}",
        bytes: number.to_bytes(8, "big"),
        int: number,
        bool: False,
        dict: {},
        UUID: uuid4(),
        datetime: AT,
        date: date(2000 + number % 900, 1, 1 + number % 28),
    }
    return made[wanted]
