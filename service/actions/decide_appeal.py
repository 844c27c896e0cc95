"""An officer who did not file the request decides an appeal, and signs; one that is upheld lifts the hold at once."""

import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import canonical_json
from service.actions import appealing, officers, signing, standing
from service.actions.appealing import Contested
from service.actions.signing import Owner
from service.engine import closing, dossier, extensions, holding, lifting, settling, statuses
from service.engine.hub import Hub
from service.models import Appeal, table_of
from service.schemas.appeals import AppealDecision, AppealDetail
from service.security import passkeys
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from workflows import appeal, authority, states
from workflows.authority_rules import Power
from workflows.bounds import Excess
from workflows.terms import AppealState, Event, Fact, Stage

_APPEALS = table_of(Appeal)

# Why a lift was sent that no officer ordered, as participants read it.
REASON = "appeal_upheld"


async def decide(hub: Hub, principal: Principal, appeal_id: UUID, body: AppealDecision, raw: bytes) -> AppealDetail:
    """Uphold or reject an appeal; ``raw`` are the bytes as received, of which the officer signed all but the signature.

    Raises ``NotFound`` for another agency's, ``InvalidInput`` (officer), ``Forbidden`` (``authority.<rule>`` or
    ``signature.<reason>``, kept as a fact), ``Conflict`` when it was decided before, ``Unauthenticated`` when suspended
    meanwhile.
    """
    principal.require(Scope.REQUESTS_APPROVE)
    payload = _payload(raw)

    async def unit(conn: AsyncConnection) -> AppealDetail:
        case = await appealing.lock(conn, principal, appeal_id)
        await standing.check(conn, principal)
        state = appealing.advance(case, body.outcome)
        await _check(conn, hub, case, body, payload)
        passed = await _judge(conn, hub, case, body) if state is AppealState.UPHELD else ()
        sealed = hub.vault.seal(await dossier.key(conn, hub.vault, case.found), "appeals", appeal_id, payload.decode())
        decided: dict[str, Any] = {
            "state": state,
            "decided_at": case.log.at,
            "decided_by": body.officer_id,
            "decision_code": str(body.reason_code),
            "decision_sealed": sealed,
            "signature": body.signature,
        }
        if case.row["state"] is AppealState.FILED:
            decided |= {"answered_at": case.log.at, "answered_by": body.officer_id}
        await conn.execute(sa.update(_APPEALS).where(_APPEALS.c.id == appeal_id).values(decided))
        appealing.record(
            case,
            Fact.APPEAL_DECIDED,
            principal.actor(),
            officer_id=body.officer_id,
            outcome=str(state),
            reason_code=str(body.reason_code),
        )
        clocks = (Stage.APPEAL_ANSWER, Stage.APPEAL_DECISION)
        await settling.meet(conn, case.log, principal.actor(), [appeal_id], clocks)
        if state is AppealState.UPHELD:
            await _lift(conn, hub, case)
        if passed:
            await holding.warn_of_lifts(conn, hub, case.log, case.found, passed)
        return await appealing.finish(conn, hub, principal, case, Fact.APPEAL_DECIDED)

    try:
        return await standing.run(hub, principal, unit)
    except (authority.AuthorityRefused, SignatureRefused) as refused:
        raise await appealing.refuse(hub, principal, refused, appeal_id, body.officer_id) from None


def _payload(raw: bytes) -> bytes:
    members = json.loads(raw)
    return canonical_json.dumps({name: value for name, value in members.items() if name != "signature"})


async def _check(conn: AsyncConnection, hub: Hub, case: Contested, body: AppealDecision, payload: bytes) -> None:
    person = await officers.officer(conn, case.found.tenant, body.officer_id)
    appeal.check_decider(
        person.id,
        filed_by=case.found.request["officer_id"],
        powers=frozenset(Power(power) for power in person.powers),
        officer_active=authority.is_serving(person.active, person.appointed_until, case.log.at),
    )
    await signing.check(
        conn,
        body.signature,
        kind=Kind.DECISION,
        payload=payload,
        owner=Owner("officer", person.id, case.found.tenant),
        about=str(case.row["id"]),
        audience=hub.settings.address,
        now=case.log.at,
        origin=passkeys.origin_of(hub.settings.address),
    )


async def _judge(conn: AsyncConnection, hub: Hub, case: Contested, body: AppealDecision) -> tuple[Excess, ...]:
    rules = (await hub.registry.known(conn)).policy
    contested = case.row["order_id"]
    return await holding.judge_lift(conn, case.log, case.found, contested, body.officer_id, rules.bounds)


async def _lift(conn: AsyncConnection, hub: Hub, case: Contested) -> None:
    """End what the appeal contests, wherever it stands by now, and take back what was to prolong it."""
    found, contested = case.found, case.row["order_id"]
    ending = [
        order
        for order in await dossier.orders_of(conn, found.id)
        if contested in (None, order["id"])
        and (order["state"], Event.LAPSE) in states.MOVES
        and not order["lift_ordered"]
    ]
    ended = {order["id"] for order in ending}
    await extensions.take_back(conn, hub, case.log, hub.actor, case.extensions, ended)
    await lifting.lapse(conn, hub, case.log, found, ending, REASON)
    news = [statuses.News(found, Fact.ORDER_LAPSED, "lapsed", order["id"], order["participant_id"]) for order in ending]
    await statuses.tell(conn, hub, case.log.at, news)
    await closing.close_if_done(conn, hub, case.log, found)
