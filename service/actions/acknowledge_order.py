"""A participant answers an order: the order moves, its clocks stop, and what follows is written with it."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, errors
from service.actions import answers
from service.actions.answering import Answering, Verdict
from service.audit import Log
from service.engine import dossier
from service.engine.dossier import Row
from service.engine.hub import Hub
from service.models import Acknowledgement, Dispatch, Order
from service.queries.registry import Known
from service.schemas.orders import AcknowledgementAccepted, AcknowledgementBody
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import routing, working_hours
from workflows.terms import Channel, DispatchState, Outcome

_ORDERS = Order.__table__  # type: ignore[attr-defined]
_ACKNOWLEDGEMENTS = Acknowledgement.__table__  # type: ignore[attr-defined]
_DISPATCHES = Dispatch.__table__  # type: ignore[attr-defined]


async def acknowledge(
    hub: Hub, principal: Principal, order_id: UUID, body: AcknowledgementBody, raw: bytes
) -> AcknowledgementAccepted:
    """Take a participant's answer; another's order is as unknown as one that does not exist.

    The same answer again changes nothing and is answered as the first. An answer that contradicts a final one changes
    nothing either: a coordinator gets a task. Raises ``NotFound`` and ``InvalidInput``.
    """
    principal.require(Scope.ORDERS_ANSWER)

    async def unit(conn: AsyncConnection) -> AcknowledgementAccepted:
        order = await _order(conn, principal, order_id)
        original = await _order_of(conn, order["original_id"]) if order["original_id"] else None
        requests = {order["request_id"], *([original["request_id"]] if original else [])}
        about = await dossier.load(conn, requests)
        known = await hub.registry.known(conn)
        target = about[order["request_id"]].targets[order["target_id"]]
        ported_to = _ported_to(known, body, target, await db.now(conn))
        log = await Log.open(conn, await db.now(conn), [found.chain for found in about.values()])
        # Read again under the lock: an answer, a lapse or a withdrawal may have come between.
        order = await _order(conn, principal, order_id)
        given = Answering(
            conn=conn,
            hub=hub,
            log=log,
            actor=principal.actor(),
            body=body,
            order=order,
            dossier=about[order["request_id"]],
            original=await _order_of(conn, original["id"]) if original else None,
            original_dossier=about[original["request_id"]] if original else None,
            ported_to=ported_to,
        )
        digest = hashlib.sha256(raw).hexdigest()
        earlier = await _earlier(conn, order, digest)
        if earlier is not None and not answers.renews(given):
            return earlier
        verdict = await answers.take(given)
        row = _row(hub, principal, given, raw, digest, verdict)
        await db.insert_rows(conn, _ACKNOWLEDGEMENTS, [row])
        await _pulled(conn, order, log)
        await log.flush()
        return AcknowledgementAccepted(
            id=row["id"],
            order_id=order_id,
            state=verdict.state,
            repeated=False,
            contradicts=verdict.contradicts,
        )

    return await hub.writer.run(unit)


async def _order(conn: AsyncConnection, principal: Principal, order_id: UUID) -> Row:
    query = sa.select(_ORDERS).where(_ORDERS.c.id == order_id, _ORDERS.c.participant_id == principal.tenant)
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return dict(row._mapping)


async def _order_of(conn: AsyncConnection, order_id: UUID) -> Row:
    return dict((await conn.execute(sa.select(_ORDERS).where(_ORDERS.c.id == order_id))).one()._mapping)


async def _earlier(conn: AsyncConnection, order: Row, digest: str) -> AcknowledgementAccepted | None:
    query = (
        sa.select(_ACKNOWLEDGEMENTS.c.id, _ACKNOWLEDGEMENTS.c.body_sha256, _ACKNOWLEDGEMENTS.c.contradicts)
        .where(_ACKNOWLEDGEMENTS.c.order_id == order["id"], _ACKNOWLEDGEMENTS.c.body_sha256 == digest)
        .order_by(_ACKNOWLEDGEMENTS.c.received_at.desc(), _ACKNOWLEDGEMENTS.c.id.desc())
        .limit(1)
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    return AcknowledgementAccepted(
        id=row.id, order_id=order["id"], state=order["state"], repeated=True, contradicts=row.contradicts
    )


def _ported_to(known: Known, body: AcknowledgementBody, target: Row, now: datetime) -> str | None:
    if body.outcome is not Outcome.NOT_MINE or body.ported_to is None:
        return None
    today = now.astimezone(working_hours.VIETNAM).date()
    try:
        return routing.ported_to(body.ported_to, target["kind"], known.directory, today).participant_id
    except routing.UnknownInstitution as unknown:
        raise errors.InvalidInput.of("/ported_to", "institution.unknown", value=unknown.value) from None


def _row(hub: Hub, principal: Principal, given: Answering, raw: bytes, digest: str, verdict: Verdict) -> dict[str, Any]:
    acknowledgement_id = clock.new_id()
    tenant, body = given.order["tenant"], given.body
    return {
        "id": acknowledgement_id,
        "tenant": tenant,
        "participant_id": principal.tenant,
        "order_id": given.order["id"],
        "outcome": body.outcome,
        "amount_held": body.amount_held.minor_units if body.amount_held else None,
        "refusal_code": verdict.refusal_code,
        "ported_to": given.ported_to,
        "body_sealed": hub.vault.seal("acknowledgements", acknowledgement_id, tenant, raw.decode()),
        "body_sha256": digest,
        "client_id": principal.client_id,
        "contradicts": verdict.contradicts,
        "received_at": given.log.at,
    }


async def _pulled(conn: AsyncConnection, order: Row, log: Log) -> None:
    # Whoever answers has it: an inbox need not hand it out again.
    await conn.execute(
        sa.update(_DISPATCHES)
        .where(
            _DISPATCHES.c.order_id == order["id"],
            _DISPATCHES.c.channel == Channel.PULL,
            _DISPATCHES.c.state == DispatchState.PENDING,
        )
        .values(state=DispatchState.DELIVERED, delivered_at=log.at, settled_at=log.at)
    )
