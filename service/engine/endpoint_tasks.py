"""The task about an endpoint to which nothing goes: one at a time, however it came to that, until it is reached."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import tasks
from service.models import Task, table_of
from workflows import deadlines
from workflows.terms import Actor, TaskKind

_TASKS = table_of(Task)


async def ask(
    conn: AsyncConnection, log: Log, actor: Actor, tenant: str, endpoint_id: UUID, channel: str, error: str | None
) -> None:
    """Open the task of a member's endpoint, unless one waits; ``error`` is why. ``log`` holds the member's chain."""
    if await _open(conn, tenant, endpoint_id):
        return
    task = tasks.NewTask(
        tenant=tenant,
        kind=TaskKind.ENDPOINT_DOWN,
        chain=audit.tenant_chain(tenant),
        participant_id=tenant,
        within=deadlines.DELIVERY_TASK_WITHIN,
        data={"endpoint_id": str(endpoint_id), "channel": channel, "error": error},
    )
    await tasks.open_tasks(conn, log, actor, log.at, [task])


async def settle(
    conn: AsyncConnection, log: Log, actor: Actor, tenant: str, endpoint_id: UUID, error: str | None = None
) -> None:
    """Resolve what waits about a member's endpoint: all of it, or what was asked because of this ``error`` alone."""
    rows = await _open(conn, tenant, endpoint_id)
    its = [row for row in rows if error is None or row.data.get("error") == error]
    await tasks.settle(conn, log, actor, audit.tenant_chain(tenant), its)


async def _open(conn: AsyncConnection, tenant: str, endpoint_id: UUID) -> list[sa.Row[Any]]:
    still_open = sa.select(_TASKS).where(
        _TASKS.c.resolved_at.is_(None), _TASKS.c.kind == TaskKind.ENDPOINT_DOWN, _TASKS.c.participant_id == tenant
    )
    rows = (await conn.execute(still_open)).all()
    return [row for row in rows if row.data.get("endpoint_id") == str(endpoint_id)]
