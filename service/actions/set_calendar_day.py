"""A day becomes a holiday, a make-up working day or an ordinary one; terms already computed keep their instants."""

from datetime import date

from sqlalchemy.dialects import postgresql, sqlite

from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import OPERATOR, Hub
from service.models import CalendarDay, table_of
from service.schemas.policies import CalendarDayAnswer, NewCalendarDay
from service.security.principals import Principal
from service.security.scopes import Scope

_DAYS = table_of(CalendarDay)


async def set_calendar_day(hub: Hub, principal: Principal, day: date, body: NewCalendarDay) -> CalendarDayAnswer:
    """Set what a day is. An ordinary day is kept too, so that the shipped calendar does not make it a holiday again."""
    principal.require(Scope.POLICIES_WRITE)

    async def work(change: Change) -> CalendarDayAnswer:
        insert = sqlite.insert if change.conn.dialect.name == "sqlite" else postgresql.insert
        row = insert(_DAYS).values(day=day, kind=str(body.kind))
        await change.conn.execute(row.on_conflict_do_update(index_elements=["day"], set_={"kind": str(body.kind)}))
        change.note("calendar_day.set", day=day.isoformat(), kind=str(body.kind))
        return CalendarDayAnswer(day=day, kind=body.kind)

    return await changes.run(hub, principal, OPERATOR, work)
