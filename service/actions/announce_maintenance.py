"""A participant announces when it does not serve an endpoint: the next channel is tried at once as well."""

from datetime import datetime

import sqlalchemy as sa

from service import clock, errors
from service.actions import changes, endpoints
from service.actions.changes import Change
from service.engine.hub import Hub
from service.queries import maintenance as windows
from service.schemas.maintenance import MaintenanceAnswer, NewMaintenance
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import maintenance
from workflows.terms import Purpose


def allow(principal: Principal, participant_id: str) -> None:
    """Let the hub's coordinators and administrators pass, and a participant's own system for itself.

    Raises ``ScopeMissing``, and ``NotFound`` for another participant: foreign is as good as unknown.
    """
    if not principal.scopes.isdisjoint({Scope.TASKS_RESOLVE, Scope.REGISTRY_WRITE}):
        return
    principal.require(Scope.ORDERS_ANSWER)
    if principal.tenant != participant_id:
        raise errors.NotFound


async def announce(hub: Hub, principal: Principal, participant_id: str, body: NewMaintenance) -> MaintenanceAnswer:
    """Announce a window. Nothing that is under way changes its deadline, and nothing is held back.

    Raises ``NotFound``, ``InvalidInput`` naming the field, and ``Conflict`` for one that overlaps another of the same
    endpoint, or of which there are too many.
    """
    allow(principal, participant_id)

    async def work(change: Change) -> MaintenanceAnswer:
        owner = await changes.participant(change)
        starts_at = body.starts_at or change.at
        wrong = maintenance.check(starts_at, body.ends_at, change.at)
        if wrong is not None:
            raise errors.InvalidInput.of(
                f"/{wrong.field}",
                f"maintenance.{wrong.why}",
                hours=maintenance.LONGEST // maintenance.HOUR,
                days=maintenance.AHEAD.days,
            )
        starts_at = max(starts_at, change.at)
        await _check_endpoint(change, body)
        await _check_others(change, body, starts_at)
        answer = MaintenanceAnswer(
            id=clock.new_id(),
            endpoint_id=body.endpoint_id,
            starts_at=starts_at,
            ends_at=body.ends_at,
            reason=body.reason,
            announced_at=change.at,
            ended_at=None,
        )
        await change.conn.execute(sa.insert(windows.TABLE).values(tenant=owner.id, **dict(answer)))
        change.note(
            "maintenance.announced",
            window_id=str(answer.id),
            endpoint_id=str(body.endpoint_id) if body.endpoint_id else None,
            starts_at=starts_at,
            ends_at=body.ends_at,
            reason=str(body.reason),
        )
        return answer

    return await changes.run(hub, principal, participant_id, work)


async def _check_endpoint(change: Change, body: NewMaintenance) -> None:
    if body.endpoint_id is None:
        return
    table = endpoints.TABLE
    theirs = (table.c.id == body.endpoint_id, table.c.tenant == change.tenant)
    query = sa.select(table.c.id).where(*theirs, table.c.active, table.c.purpose == Purpose.ORDERS)
    if (await change.conn.execute(query)).one_or_none() is None:
        raise errors.InvalidInput.of("/endpoint_id", "maintenance.endpoint")


async def _check_others(change: Change, body: NewMaintenance, starts_at: datetime) -> None:
    table = windows.TABLE
    coming = (table.c.tenant == change.tenant, table.c.ended_at.is_(None), table.c.ends_at > change.at)
    query = sa.select(table.c.endpoint_id, table.c.starts_at, table.c.ends_at).where(*coming)
    others = (await change.conn.execute(query)).all()
    for other in others:
        same = None in (other.endpoint_id, body.endpoint_id) or other.endpoint_id == body.endpoint_id
        if same and other.starts_at < body.ends_at and starts_at < other.ends_at:
            raise errors.Conflict("maintenance.overlaps")
    if len(others) >= maintenance.MOST:
        raise errors.Conflict("maintenance.too_many")
