"""The agency gives its first answer to an appellant; the clock of the decision goes on."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.actions import appealing, demands
from service.engine import settling
from service.engine.hub import Hub
from service.models import Appeal, table_of
from service.schemas.appeals import AppealDetail, AppealReply
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import authority
from workflows.terms import AppealState, Fact, Stage

_APPEALS = table_of(Appeal)


async def answer(hub: Hub, principal: Principal, appeal_id: UUID, body: AppealReply) -> AppealDetail:
    """Answer an appeal once, in the name of an officer of the agency.

    Raises ``NotFound`` for another agency's, ``InvalidInput`` (officer), ``Forbidden`` when he does not serve,
    ``Conflict`` when it was answered or decided before.
    """
    principal.require(Scope.REQUESTS_WRITE)

    async def unit(conn: AsyncConnection) -> AppealDetail:
        case = await appealing.lock(conn, principal, appeal_id)
        person = await demands.officer(conn, case.found.tenant, body.officer_id)
        if not authority.is_serving(person.active, person.appointed_until, case.log.at):
            raise errors.Forbidden("authority.officer_inactive")
        state = appealing.advance(case, AppealState.ANSWERED)
        sealed = hub.vault.seal("appeals", appeal_id, case.found.tenant, body.text)
        answered = {"state": state, "answered_at": case.log.at, "answered_by": person.id, "answer_sealed": sealed}
        await conn.execute(sa.update(_APPEALS).where(_APPEALS.c.id == appeal_id).values(answered))
        await settling.meet(conn, case.log, principal.actor(), [appeal_id], Stage.APPEAL_ANSWER)
        appealing.record(case, Fact.APPEAL_ANSWERED, principal.actor(), officer_id=person.id)
        return await appealing.finish(conn, hub, principal, case, Fact.APPEAL_ANSWERED)

    return await hub.writer.run(unit)
