"""Escalations as a door shows them, newest first."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Escalation, Participant, table_of
from service.queries import cursors, visibility
from service.schemas.escalations import EscalationAnswer, EscalationPage
from service.security.principals import Principal

_ESCALATIONS = table_of(Escalation)
_PARTICIPANTS = table_of(Participant)


async def page(
    conn: AsyncConnection,
    principal: Principal,
    *,
    after: str | None,
    limit: int,
    request_id: UUID | None = None,
    participant_id: str | None = None,
    unreachable: bool | None = None,
    since: datetime | None = None,
) -> EscalationPage:
    """Return a page of what the caller may see."""
    supervised = sa.select(_PARTICIPANTS.c.id).where(_PARTICIPANTS.c.supervisor_id == principal.tenant)
    query = sa.select(_ESCALATIONS).where(visibility.escalations(principal, supervised))
    if request_id is not None:
        query = query.where(_ESCALATIONS.c.request_id == request_id)
    if participant_id is not None:
        query = query.where(_ESCALATIONS.c.participant_id == participant_id)
    if unreachable is not None:
        query = query.where(_ESCALATIONS.c.reached_somebody.is_(not unreachable))
    if since is not None:
        query = query.where(_ESCALATIONS.c.raised_at >= since)
    if after is not None:
        at, last = cursors.read(after)
        query = query.where(
            sa.or_(_ESCALATIONS.c.raised_at < at, sa.and_(_ESCALATIONS.c.raised_at == at, _ESCALATIONS.c.id < last))
        )
    query = query.order_by(_ESCALATIONS.c.raised_at.desc(), _ESCALATIONS.c.id.desc()).limit(limit + 1)
    rows = (await conn.execute(query)).all()
    shown = rows[:limit]
    return EscalationPage(
        items=[EscalationAnswer.model_validate(row, from_attributes=True) for row in shown],
        next=cursors.write(shown[-1].raised_at, shown[-1].id) if len(rows) > limit else None,
    )
