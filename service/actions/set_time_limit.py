"""An operator's own limit for a stage, in force for requests filed from now on."""

import sqlalchemy as sa

from service import clock, errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import OPERATOR, Hub
from service.models import Participant, TimeLimit, table_of
from service.schemas.policies import NewTimeLimit, TimeLimitAnswer
from service.security.principals import Principal
from service.security.scopes import Scope

_LIMITS = table_of(TimeLimit)
_PARTICIPANTS = table_of(Participant)


async def set_time_limit(hub: Hub, principal: Principal, body: NewTimeLimit) -> TimeLimitAnswer:
    """Set a limit; it takes the place of one for exactly the same. Raises ``InvalidInput`` on ``/participant_id``."""
    principal.require(Scope.POLICIES_WRITE)

    async def work(change: Change) -> TimeLimitAnswer:
        if body.participant_id is not None:
            query = sa.select(_PARTICIPANTS.c.id).where(_PARTICIPANTS.c.id == body.participant_id)
            if (await change.conn.execute(query)).first() is None:
                raise errors.InvalidInput.of("/participant_id", "participant.unknown")
        fits = body.model_dump(exclude={"within_seconds"})
        # IS NOT DISTINCT FROM: "any" is None, and takes the place of "any" only.
        same = (_LIMITS.c[field].is_not_distinct_from(value) for field, value in fits.items())
        await change.conn.execute(sa.delete(_LIMITS).where(*same))
        row = {
            **fits,
            "id": clock.new_id(),
            "within_seconds": body.within_seconds,
            "created_by": principal.client_id,
            "created_at": change.at,
        }
        await change.conn.execute(sa.insert(_LIMITS).values(row))
        about = {name: str(value) for name, value in fits.items() if value is not None and name != "participant_id"}
        change.note("time_limit.set", **about, about_participant=body.participant_id, within=body.within_seconds)
        return TimeLimitAnswer(**row)

    return await changes.run(hub, principal, OPERATOR, work)
