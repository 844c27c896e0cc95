"""What a coordinator needs to call an agency back about a held request: the number, the task's time, who confirmed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Callback, Participant, Task, table_of
from service.queries import visibility
from service.schemas.callbacks import Call
from service.security.principals import Principal
from workflows.terms import CallbackOutcome, RequestState, TaskKind

_REQUESTS = table_of(ActionRequest)
_CALLBACKS = table_of(Callback)
_PARTICIPANTS = table_of(Participant)
_TASKS = table_of(Task)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call-back that is wanted: whom to call by when, who confirmed already, and whether the asking person did."""

    call: Call
    due_at: datetime | None
    confirmed_by: tuple[str, ...]
    confirmed_by_me: bool


async def wanted(conn: AsyncConnection, principal: Principal, request_id: UUID) -> Wanted | None:
    """Return the call-back that a held request waits for; None where none is, or it is not for the caller."""
    query = (
        sa.select(_PARTICIPANTS.c.id, _PARTICIPANTS.c.short_name, _PARTICIPANTS.c.duty_phone, _TASKS.c.due_at)
        .select_from(_REQUESTS)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _REQUESTS.c.tenant)
        .outerjoin(
            _TASKS,
            sa.and_(
                _TASKS.c.request_id == _REQUESTS.c.id,
                _TASKS.c.kind == TaskKind.CALLBACK,
                _TASKS.c.resolved_at.is_(None),
            ),
        )
        .where(_REQUESTS.c.id == request_id, _REQUESTS.c.state == RequestState.HELD_FOR_CALLBACK)
        .where(visibility.tasks(principal))
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    yes = sa.select(_CALLBACKS.c.person).where(
        _CALLBACKS.c.request_id == request_id, _CALLBACKS.c.outcome == CallbackOutcome.CONFIRMED
    )
    people = tuple((await conn.execute(yes.order_by(_CALLBACKS.c.answered_at))).scalars())
    call = Call(participant_id=row.id, name=row.short_name, phone=row.duty_phone)
    return Wanted(call, row.due_at, people, principal.client_id in people)
