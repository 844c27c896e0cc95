"""Tasks as a door shows them: open ones first due first, or those that are done."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Participant, Task, table_of
from service.queries import cursors, visibility
from service.schemas.callbacks import Call
from service.schemas.tasks import TaskAnswer, TaskPage
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows.terms import TaskKind

_TASKS = table_of(Task)
_PARTICIPANTS = table_of(Participant)
_WITH_WHOM = (
    sa.select(_TASKS, _PARTICIPANTS.c.short_name, _PARTICIPANTS.c.duty_phone)
    .select_from(_TASKS)
    .outerjoin(_PARTICIPANTS, _PARTICIPANTS.c.id == _TASKS.c.participant_id)
)
_ELSEWHERE = frozenset({"note", "call"})


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list of tasks is narrowed to; ``resolved`` None is both, ``latest`` lists what was done last first."""

    resolved: bool | None = False
    kind: TaskKind | None = None
    participant_id: str | None = None
    latest: bool = False


async def page(
    conn: AsyncConnection, vault: Vault, principal: Principal, wanted: Filter, *, after: str | None, limit: int
) -> TaskPage:
    """Return a page of what the caller may see, the earliest due first."""
    query = _WITH_WHOM.where(visibility.tasks(principal))
    sorted_by = _TASKS.c.resolved_at if wanted.latest else _TASKS.c.due_at
    if wanted.resolved is not None:
        is_open = _TASKS.c.resolved_at.is_(None)
        query = query.where(sa.not_(is_open) if wanted.resolved else is_open)
    if wanted.kind is not None:
        query = query.where(_TASKS.c.kind == wanted.kind)
    if wanted.participant_id is not None:
        query = query.where(_TASKS.c.participant_id == wanted.participant_id)
    if after is not None:
        at, last = cursors.read(after)
        beyond = (sorted_by < at, _TASKS.c.id < last) if wanted.latest else (sorted_by > at, _TASKS.c.id > last)
        query = query.where(sa.or_(beyond[0], sa.and_(sorted_by == at, beyond[1])))
    order = [column.desc() if wanted.latest else column for column in (sorted_by, _TASKS.c.id)]
    rows = (await conn.execute(query.order_by(*order).limit(limit + 1))).all()
    shown = rows[:limit]
    more = cursors.write(shown[-1]._mapping[sorted_by.name], shown[-1].id) if len(rows) > limit else None
    keys = await subjects.of(conn, *(row.note_sealed for row in shown))
    return TaskPage(items=[_show(vault, keys, row) for row in shown], next=more)


async def one(conn: AsyncConnection, vault: Vault, task_id: UUID) -> TaskAnswer:
    """Return one task that the caller was found to may see."""
    row = (await conn.execute(_WITH_WHOM.where(_TASKS.c.id == task_id))).one()
    return _show(vault, await subjects.of(conn, row.note_sealed), row)


def _show(vault: Vault, keys: Keys, row: sa.Row[Any]) -> TaskAnswer:
    values = row._mapping
    sealed = values["note_sealed"]
    note = vault.shown(keys, "tasks", row.id, row.tenant, sealed) if sealed else None
    call = None
    if row.participant_id is not None:
        call = Call(participant_id=row.participant_id, name=row.short_name, phone=row.duty_phone)
    shown = {name: values[name] for name in TaskAnswer.model_fields if name not in _ELSEWHERE}
    return TaskAnswer(**shown, note=note, call=call)
