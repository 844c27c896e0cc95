"""Somebody called the agency back about a held request: a denial refuses it, a second person's yes releases it."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import second_officer, signing, standing
from service.audit import Log
from service.engine import activating, dossier, holding, settling, statuses, tasks, writer
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import ActionRequest, Callback, table_of
from service.queries import visibility
from service.schemas.callbacks import CallbackAnswer, CallbackAnswered
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import SignatureRefused
from workflows import authority, states
from workflows.terms import Action, ActorKind, CallbackOutcome, Fact, RequestEvent, RequestState, Stage, TaskKind

_REQUESTS = table_of(ActionRequest)
_CALLBACKS = table_of(Callback)

# A coordinator and a second person (issue 3): each has called, and each has heard a yes.
NEEDED = 2


async def answer(hub: Hub, principal: Principal, request_id: UUID, body: CallbackAnswer) -> CallbackAnswered:
    """Record what one person heard; the second confirmation makes the request active as an approval does.

    Raises ``NotFound``; ``Conflict`` when the request is not held, its end has come, its agency is suspended, or this
    person confirmed before; ``Forbidden`` when a system confirms, and (``authority.<rule>`` or ``signature.<reason>``,
    kept as a fact) when an officer, a rule or a key that it went by is not in force any more; ``Unauthenticated`` when
    the caller was suspended meanwhile. A denial is always taken, also a system's and from one who confirmed before.
    """
    principal.require(Scope.TASKS_RESOLVE)
    # Whoever has a system's key could be one of the two, and sit at the console as the other.
    if body.outcome is CallbackOutcome.CONFIRMED and principal.kind is not ActorKind.PERSON:
        raise errors.Forbidden("callback.person_needed")

    async def unit(conn: AsyncConnection) -> CallbackAnswered:
        found = await _held(conn, principal, request_id)
        if body.outcome is CallbackOutcome.DENIED:
            log = await writer.lock(conn, [found.chain])
            await standing.check(conn, principal)
            found = await _held(conn, principal, request_id)
            await _write(conn, hub, log, principal, found, body)
            await holding.refuse(conn, hub, log, principal.actor(), found, "callback_denied")
            await log.flush()
            return CallbackAnswered(
                request_id=found.id,
                outcome=body.outcome,
                state=RequestState.REFUSED,
                confirmations=len(await _confirmed(conn, found.id)),
                confirmations_needed=NEEDED,
            )
        plan = await _plan(conn, hub, found)
        # The agency's chain too: a suspension that is just written comes first or last, never in between.
        log = await writer.lock(conn, plan.chains | {holding.chain(found.tenant)})
        await standing.check(conn, principal)
        found = await _held(conn, principal, request_id)
        before = await _confirmed(conn, found.id)
        if principal.client_id in before:
            raise errors.Conflict("callback.same_person")
        within = await _check(conn, hub, found, log.at)
        await _write(conn, hub, log, principal, found, body)
        state = found.request["state"]
        if len(before) + 1 >= NEEDED:
            state = await _release(conn, hub, log, principal, found, plan, within)
        await log.flush()
        return CallbackAnswered(
            request_id=found.id,
            outcome=body.outcome,
            state=state,
            confirmations=len(before) + 1,
            confirmations_needed=NEEDED,
        )

    try:
        return await standing.run(hub, principal, unit)
    except (authority.AuthorityRefused, SignatureRefused) as refused:
        async with hub.database.read(principal.reach) as conn:
            tenant = (await dossier.load(conn, [request_id]))[request_id].tenant
        chain = audit.request_chain(request_id)
        raise await signing.refuse(hub, principal, refused, chain, tenant=tenant, request_id=request_id) from None


async def _held(conn: AsyncConnection, principal: Principal, request_id: UUID) -> Dossier:
    found = (await dossier.load(conn, [request_id])).get(request_id)
    if found is None or not visibility.sees_all(principal):
        raise errors.NotFound
    if found.request["state"] is not RequestState.HELD_FOR_CALLBACK:
        raise errors.Conflict("request.not_held", state=str(found.request["state"]))
    return found


async def _plan(conn: AsyncConnection, hub: Hub, found: Dossier) -> activating.Plan:
    try:
        return await activating.prepare(conn, hub, await hub.registry.known(conn), found)
    except activating.Unroutable:
        # The directory has changed since the request was filed: it can only be denied, and filed anew.
        raise errors.Conflict("request.nobody_to_order") from None


async def _check(conn: AsyncConnection, hub: Hub, found: Dossier, now: datetime) -> timedelta | None:
    """Check whatever an approval checks; return the time for the review of what one officer ordered alone."""
    if found.agency["status"] != "active":
        raise errors.Conflict("participant.not_active")
    ends_at = found.request["ends_at"]
    if ends_at is not None and ends_at <= now:
        raise errors.Conflict("request.end_has_come")
    raw = hub.vault.unseal(found.keys, "requests", found.id, found.tenant, found.request["body_sealed"]).encode()
    rule = await second_officer.check_again(conn, found, raw, now)
    is_alone = found.request["action"] is Action.FREEZE and found.request["approvals_needed"] == 1
    if not is_alone or rule.review_within is None:
        return None
    return min(found.within(Stage.REVIEW, rule.review_within), rule.review_within)


async def _confirmed(conn: AsyncConnection, request_id: UUID) -> set[str]:
    query = sa.select(_CALLBACKS.c.person).where(
        _CALLBACKS.c.request_id == request_id, _CALLBACKS.c.outcome == CallbackOutcome.CONFIRMED
    )
    return set((await conn.execute(query)).scalars())


async def _write(
    conn: AsyncConnection, hub: Hub, log: Log, principal: Principal, found: Dossier, body: CallbackAnswer
) -> None:
    # Whoever confirmed may learn better and deny: the facts keep both.
    earlier = (_CALLBACKS.c.request_id == found.id, _CALLBACKS.c.person == principal.client_id)
    await conn.execute(sa.delete(_CALLBACKS).where(*earlier))
    callback_id = clock.new_id()
    note = None
    if body.note:
        note = hub.vault.seal(await dossier.key(conn, hub.vault, found), "callbacks", callback_id, body.note)
    row = {
        "id": callback_id,
        "tenant": found.tenant,
        "request_id": found.id,
        "person": principal.client_id,
        "outcome": body.outcome,
        "called_number": found.agency["duty_phone"],
        "note_sealed": note,
        "answered_at": log.at,
    }
    await db.insert_rows(conn, _CALLBACKS, [row])
    log.record(
        found.chain,
        Fact.CALLBACK_ANSWERED,
        principal.actor(),
        found.tenant,
        request_id=found.id,
        outcome=str(body.outcome),
        has_number=found.agency["duty_phone"] is not None,
    )


async def _release(
    conn: AsyncConnection,
    hub: Hub,
    log: Log,
    principal: Principal,
    found: Dossier,
    plan: activating.Plan,
    within: timedelta | None,
) -> RequestState:
    state = states.advance_request(found.request["state"], RequestEvent.APPROVE)
    # What one officer ordered alone is reviewed in its time from now on: until now it held nothing.
    values = {"state": state, "activated_at": log.at, "review_by": log.at + within if within else None}
    await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(**values))
    await settling.cancel(conn, log.at, [found.id])
    await tasks.resolve(conn, log, principal.actor(), found.id, TaskKind.CALLBACK, found.chain)
    log.record(found.chain, Fact.REQUEST_RELEASED, principal.actor(), found.tenant, request_id=found.id)
    active = replace(found, request={**found.request, **values})
    try:
        await activating.activate(conn, hub, log, principal.actor(), active, plan)
    except activating.HoldIsOver:
        raise errors.Conflict("request.end_has_come") from None
    if within is not None:
        await activating.start_review(conn, log, active, within)
    await statuses.tell(conn, hub, log.at, [statuses.News(active, Fact.REQUEST_RELEASED, str(state))])
    return state
