"""A maintenance window is over before its time, or does not take place: the endpoint takes its turn again."""

import sqlalchemy as sa

from service import errors
from service.actions import announce_maintenance, changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.queries import maintenance as windows
from service.schemas.maintenance import MaintenanceAnswer, MaintenanceEnd
from service.security.principals import Principal


async def end(hub: Hub, principal: Principal, participant_id: str, body: MaintenanceEnd) -> MaintenanceAnswer:
    """End a window now. Raises ``NotFound``, and ``Conflict`` for one that is over."""
    announce_maintenance.allow(principal, participant_id)

    async def work(change: Change) -> MaintenanceAnswer:
        table = windows.TABLE
        theirs = (table.c.id == body.window_id, table.c.tenant == participant_id)
        row = (await change.conn.execute(sa.select(table).where(*theirs))).one_or_none()
        if row is None:
            raise errors.NotFound
        if row.ended_at is not None or row.ends_at <= change.at:
            raise errors.Conflict("maintenance.over")
        await change.conn.execute(sa.update(table).where(*theirs).values(ended_at=change.at))
        change.note("maintenance.ended", window_id=str(row.id))
        found = {name: getattr(row, name) for name in MaintenanceAnswer.model_fields}
        return MaintenanceAnswer(**found | {"ended_at": change.at})

    return await changes.run(hub, principal, participant_id, work)
