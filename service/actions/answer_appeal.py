"""The agency gives its first answer to an appellant; the clock of the decision goes on."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.actions import appealing, officers, signing, standing
from service.actions.signing import Owner
from service.engine import dossier, settling
from service.engine.hub import Hub
from service.models import Appeal, table_of
from service.schemas.appeals import AppealDetail, AppealReply
from service.security import passkeys, signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from workflows import authority
from workflows.terms import AppealState, Fact, Stage

_APPEALS = table_of(Appeal)


async def answer(
    hub: Hub, principal: Principal, appeal_id: UUID, body: AppealReply, raw: bytes, signature: str | None
) -> AppealDetail:
    """Answer an appeal once; ``raw`` are the bytes as received, ``signature`` is the answering officer's over them.

    Raises ``NotFound`` for another agency's, ``InvalidInput`` (officer), ``Forbidden`` when he does not serve or
    (``signature.<reason>``, kept as a fact) did not sign, ``Conflict`` when it was answered or decided before,
    ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.REQUESTS_WRITE)

    async def unit(conn: AsyncConnection) -> AppealDetail:
        case = await appealing.lock(conn, principal, appeal_id)
        await standing.check(conn, principal)
        person = await officers.officer(conn, case.found.tenant, body.officer_id)
        if not authority.is_serving(person.active, person.appointed_until, case.log.at):
            raise errors.Forbidden("authority.officer_inactive")
        state = appealing.advance(case, AppealState.ANSWERED)
        await signing.check(
            conn,
            signature,
            kind=Kind.REPLY,
            payload=signatures.canonical(raw),
            owner=Owner("officer", person.id, case.found.tenant),
            about=str(appeal_id),
            audience=hub.settings.address,
            now=case.log.at,
            origin=passkeys.origin_of(hub.settings.address),
        )
        key = await dossier.key(conn, hub.vault, case.found)
        answered: dict[str, Any] = {
            "state": state,
            "answered_at": case.log.at,
            "answered_by": person.id,
            "answer_sealed": hub.vault.seal(key, "appeals", appeal_id, raw.decode()),
            "answer_signature": signature,
        }
        await conn.execute(sa.update(_APPEALS).where(_APPEALS.c.id == appeal_id).values(answered))
        appealing.record(case, Fact.APPEAL_ANSWERED, principal.actor(), officer_id=person.id)
        await settling.meet(conn, case.log, principal.actor(), [appeal_id], (Stage.APPEAL_ANSWER,))
        return await appealing.finish(conn, hub, principal, case, Fact.APPEAL_ANSWERED)

    try:
        return await standing.run(hub, principal, unit)
    except SignatureRefused as unsigned:
        raise await appealing.refuse(hub, principal, unsigned, appeal_id, body.officer_id) from None
