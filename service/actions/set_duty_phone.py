"""The number of a participant's duty desk, over which the hub calls back: registered out of band, by administrators."""

import sqlalchemy as sa

from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Participant, table_of
from service.schemas.callbacks import DutyPhone, NewDutyPhone
from service.security.principals import Principal
from service.security.scopes import Scope

_PARTICIPANTS = table_of(Participant)


async def set_duty_phone(hub: Hub, principal: Principal, participant_id: str, body: NewDutyPhone) -> DutyPhone:
    """Set the number, or take it away; the hub's administrators alone may: who sets it answers the call-back.

    The fact does not repeat the number: each call-back keeps the one that it called. Raises ``NotFound``.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> DutyPhone:
        row = await changes.participant(change)
        if row.duty_phone != body.phone:
            its = sa.update(_PARTICIPANTS).where(_PARTICIPANTS.c.id == participant_id)
            await change.conn.execute(its.values(duty_phone=body.phone))
            change.note("duty_phone.set" if body.phone else "duty_phone.removed")
        return DutyPhone(participant_id=participant_id, phone=body.phone)

    return await changes.run(hub, principal, participant_id, work)
