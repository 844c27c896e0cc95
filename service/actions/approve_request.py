"""A second officer approves a request, or reviews an emergency hold that one officer ordered alone."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import second_officer, signing, standing
from service.audit import Log
from service.engine import activating, dossier, holding, settling, statuses, writer
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, table_of
from service.queries import visibility
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from workflows import authority, states
from workflows.terms import Fact, RequestEvent, RequestState, Stage

_REQUESTS = table_of(ActionRequest)
_APPROVALS = table_of(Approval)


async def approve(hub: Hub, principal: Principal, request_id: UUID, officer_id: str, signature: str | None) -> None:
    """Make an awaiting request active by a second officer's yes; its orders are placed in the same transaction.

    Where that would pass a bound of the officer, the agency or the pair, it is held for a call-back instead.
    Raises ``NotFound`` for another agency's, ``Conflict`` when it awaits nobody, ``Forbidden`` (``authority.<rule>``)
    when the officer is the one who filed it or may not approve it, or when the first one may not order it any more, and
    (``signature.<reason>``) unless he signed the very request that the first one signed; ``Unauthenticated`` when the
    caller was suspended meanwhile.
    """

    async def unit(conn: AsyncConnection) -> None:
        plan = await _plan(conn, hub, principal, request_id)
        log = await writer.lock(conn, plan.chains | {holding.chain(principal.tenant)})
        # Read again under the lock: of two approvals at once, the second finds it active.
        found = await _visible(conn, principal, request_id)
        await standing.check(conn, principal)
        _must_await(found)
        if found.request["ends_at"] is not None and found.request["ends_at"] <= log.at:
            raise errors.Conflict("request.end_has_come")
        await _check(conn, hub, found, officer_id, signature, Kind.APPROVAL, log.at)
        rules = (await hub.registry.known(conn)).policy
        passed = await holding.judge(conn, log, found, officer_id, rules.bounds)
        await _write(conn, hub, log, principal, found, officer_id, signature, "approval")
        await settling.meet(conn, log, principal.actor(), [found.id], (Stage.APPROVAL,))
        if passed:
            await holding.hold(conn, hub, log, found, passed)
            await log.flush()
            return
        state = states.advance_request(found.request["state"], RequestEvent.APPROVE)
        await activating.mark_active(conn, log, found)
        await settling.cancel(conn, log.at, [found.id])
        # Read once more: the orders name the officer who has just approved.
        signed = await _visible(conn, principal, request_id)
        active = replace(signed, request={**found.request, "state": state, "activated_at": log.at})
        try:
            await activating.activate(conn, hub, log, principal.actor(), active, plan)
        except activating.HoldIsOver:
            raise errors.Conflict("request.end_has_come") from None
        await statuses.tell(conn, hub, log.at, [statuses.News(active, Fact.REQUEST_ACTIVATED, str(state))])
        await log.flush()

    await _run(hub, principal, request_id, officer_id, unit)


async def review(hub: Hub, principal: Principal, request_id: UUID, officer_id: str, signature: str | None) -> None:
    """Confirm an emergency hold within its review time; without it, the hold lifts itself. Raises as ``approve``."""

    async def unit(conn: AsyncConnection) -> None:
        log = await writer.lock(conn, [audit.request_chain(request_id), holding.chain(principal.tenant)])
        found = await _visible(conn, principal, request_id)
        await standing.check(conn, principal)
        waits = found.request["review_by"] is not None and found.request["reviewed_at"] is None
        if not waits or found.request["state"] is not RequestState.ACTIVE or found.request["review_by"] <= log.at:
            raise errors.Conflict("request.not_awaiting_review", state=str(found.request["state"]))
        await _check(conn, hub, found, officer_id, signature, Kind.REVIEW, log.at)
        await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(reviewed_at=log.at))
        await _write(conn, hub, log, principal, found, officer_id, signature, "review")
        await settling.meet(conn, log, principal.actor(), [found.id], (Stage.REVIEW,))
        await log.flush()

    await _run(hub, principal, request_id, officer_id, unit)


def _must_await(found: Dossier) -> None:
    if found.request["state"] is not RequestState.AWAITING_APPROVAL:
        raise errors.Conflict("request.not_awaiting_approval", state=str(found.request["state"]))


async def _plan(conn: AsyncConnection, hub: Hub, principal: Principal, request_id: UUID) -> activating.Plan:
    found = await _visible(conn, principal, request_id)
    _must_await(found)
    # It is the caller's own; from here on orders are placed at others, and holds of other agencies are met.
    await db.extend(conn, db.HUB)
    try:
        return await activating.prepare(conn, hub, await hub.registry.known(conn), found)
    except activating.Unroutable as unroutable:
        # The directory has changed since the request was filed.
        raise errors.InvalidInput.of("/targets", "institution.unknown", value=unroutable.why.value) from None


async def _visible(conn: AsyncConnection, principal: Principal, request_id: UUID) -> Dossier:
    found = (await dossier.load(conn, [request_id])).get(request_id)
    if found is None or not visibility.owns(principal, found.tenant):
        raise errors.NotFound
    return found


async def _check(
    conn: AsyncConnection,
    hub: Hub,
    found: Dossier,
    officer_id: str,
    signature: str | None,
    kind: Kind,
    now: datetime,
) -> None:
    raw = hub.vault.unseal(found.keys, "requests", found.id, found.tenant, found.request["body_sealed"]).encode()
    address = hub.settings.address
    await second_officer.check(conn, found, officer_id, raw, signature, kind, now, address=address)


async def _write(
    conn: AsyncConnection,
    hub: Hub,
    log: Log,
    principal: Principal,
    found: Dossier,
    officer_id: str,
    signature: str | None,
    kind: str,
) -> None:
    key = await dossier.key(conn, hub.vault, found)
    row: dict[str, Any] = {
        "id": clock.new_id(),
        "tenant": found.tenant,
        "request_id": found.id,
        "officer_id": officer_id,
        "client_id": principal.client_id,
        "kind": kind,
        "body_sha256": found.request["body_sha256"],
        "signature": signature,
        "approved_at": log.at,
    }
    await db.insert_rows(conn, _APPROVALS, [row])
    log.record(
        found.chain,
        Fact.REQUEST_APPROVED if kind == "approval" else Fact.REQUEST_REVIEWED,
        principal.actor(),
        found.tenant,
        request_id=found.id,
        officer_id=officer_id,
        body_commitment=hub.vault.commitment(key, found.request["body_sha256"]),
    )


async def _run(hub: Hub, principal: Principal, request_id: UUID, officer_id: str, unit: db.Unit[None]) -> None:
    principal.require(Scope.REQUESTS_APPROVE)
    try:
        await standing.run(hub, principal, unit)
    except (authority.AuthorityRefused, SignatureRefused) as refused:
        chain = audit.request_chain(request_id)
        error = await signing.refuse(hub, principal, refused, chain, request_id=request_id, officer_id=officer_id)
        raise error from None
