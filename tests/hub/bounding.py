"""Bounds for tests: tight ones that a few requests pass, roomy ones for tests that are about something else."""

import json
from typing import Any

import sqlalchemy as sa
from builders import table
from registry_forms import ADMIN
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.actions import set_policy
from service.engine.hub import Hub
from service.models import Policy
from service.queries import policies
from service.schemas.policies import NewPolicy

# TOML rows for a policy of a test that files more than an agency ever would.
ROOMY = "".join(
    f'\n[[bounds]]\nsubject = "{subject}"\ncount = 1_000_000\namount = 1_000_000_000_000_000\n'
    for subject in ("officer", "agency", "pair")
)


async def set_bounds(hub: Hub, *rows: dict[str, Any]) -> None:
    """Put a version of the hub's policy in force that has these bounds."""
    said = ""
    for row in rows:
        said += "\n[[bounds]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in row.items())
    await _replace(hub, said)


async def shipped_with_room(conn: AsyncConnection, name: str) -> None:
    """Write the shipped policy, under its own version, as one that holds nothing back."""
    shipped = await policies.newest(conn, name)
    assert shipped is not None
    text = shipped.text.partition("\n[[bounds]]")[0] + ROOMY
    row = {
        "name": name,
        "version": shipped.version,
        "text": text,
        "created_by": "root",
        "created_at": await db.now(conn),
    }
    await conn.execute(sa.insert(table(Policy)).values(**row))


async def _replace(hub: Hub, bounds: str) -> None:
    async with hub.database.read(db.HUB) as conn:
        newest = await policies.newest(conn, hub.settings.policy)
    assert newest is not None
    ladders = newest.text.partition("\n[[bounds]]")[0]
    text = ladders.replace(f"version = {newest.version}", f"version = {newest.version + 1}", 1) + bounds
    await set_policy.set_policy(hub, ADMIN, hub.settings.policy, NewPolicy(text=text))
