"""A participant answers an order: the order moves, its clocks stop, and what follows is written with it."""

import hashlib
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.iso20022.parse import Received
from service import audit, clock, db, errors
from service.actions import answering, answers, receiving, signing, standing
from service.actions.answering import Answering, Onward, Verdict
from service.actions.idempotency import Once
from service.actions.signing import Owner
from service.engine import answered, dossier, overlaps, placing, read_backs, writer
from service.engine.dossier import Row
from service.engine.hub import Hub
from service.models import Acknowledgement, Order, table_of
from service.schemas.orders import AcknowledgementAccepted, AcknowledgementBody
from service.security import signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from service.vault import KeyRow
from workflows import read_back, routing, states, working_hours
from workflows.terms import Outcome

_ORDERS = table_of(Order)
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)


async def acknowledge(
    hub: Hub,
    principal: Principal,
    order_id: UUID,
    body: AcknowledgementBody,
    raw: bytes,
    signature: str | Received | None,
    once: Once | None = None,
) -> AcknowledgementAccepted:
    """Take a participant's answer; another's order is as unknown as one that does not exist.

    ``raw`` is the answer as it was received, in whatever format; ``body`` is what it says, the signature is over it.
    ``once`` is the message that carried it, where messages have ids of their own.

    The same answer again changes nothing and is answered as the first, unless it means something new by now (see
    ``answers.means_something_new``). An answer that contradicts a final one changes nothing either: a coordinator gets
    a task. What ends a matter (everything but "received") is signed: by a detached signature over ``raw``, or inside
    ``raw`` where that is the business message that ``signature`` was read from. Raises ``NotFound``, ``InvalidInput``,
    ``Forbidden`` (``signature.<reason>``, kept as a fact) and ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.ORDERS_ANSWER)
    digest = hashlib.sha256(raw).hexdigest()

    async def unit(conn: AsyncConnection) -> AcknowledgementAccepted:
        order = await answering.answerable(conn, principal, order_id)
        # The answer moves what is the agency's: the order's request, its clocks, and holds of others that it meets.
        await db.extend(conn, db.HUB)
        original = await _order_of(conn, order["original_id"]) if order["original_id"] else None
        requests = [order["request_id"], *([original["request_id"]] if original else [])]
        onward = await _onward(conn, hub, body, order)
        chains = {audit.request_chain(request_id) for request_id in requests}
        chains |= {audit.request_chain(hold["request_id"]) for hold in onward.overlaps}
        log = await writer.lock(conn, chains)
        await standing.check(conn, principal)
        if once is not None:
            # The message's own id tells a repetition, whatever happened since: whoever says it anew names it anew.
            told = await receiving.earlier(conn, principal, once)
            if told is not None:
                return AcknowledgementAccepted.model_validate({**told, "repeated": True})
        # Read under the lock: an answer, a lapse, an extension or a withdrawal may have come between.
        order = await answering.answerable(conn, principal, order_id)
        about = await dossier.load(conn, requests)
        key = await dossier.key(conn, hub.vault, about[order["request_id"]])
        given = Answering(
            conn=conn,
            hub=hub,
            log=log,
            actor=principal.actor(),
            body=body,
            commitment=hub.vault.commitment(key, digest),
            order=order,
            dossier=about[order["request_id"]],
            original=await _order_of(conn, original["id"]) if original else None,
            original_dossier=about[original["request_id"]] if original else None,
            onward=onward,
            is_to_a_question=await _is_to_a_question(conn, order, signature),
        )
        earlier = await _earlier(conn, order, digest)
        if earlier is not None and not await answers.means_something_new(given, earlier.contradicts, earlier.at):
            if not earlier.contradicts:
                # It was sent once more, to one that had lost it and says the same of it.
                await answered.end(conn, log.at, order, body.outcome)
            return _again(order, earlier)
        await _check(conn, hub, principal, given, raw, signature)
        verdict = await answers.take(given)
        if not verdict.contradicts:
            await answered.end(conn, log.at, order, body.outcome)
        row = _row(hub, principal, given, key, raw, digest, verdict)
        row["signature"] = signature if isinstance(signature, str) else None
        accepted = AcknowledgementAccepted(
            id=row["id"],
            order_id=order_id,
            state=verdict.state,
            repeated=False,
            contradicts=verdict.contradicts,
        )
        told = accepted.model_dump(mode="json")
        if once is not None:
            await receiving.remember(conn, principal, once, told, log.at)
        await log.flush(db.Rows(_ACKNOWLEDGEMENTS, [row]))
        return accepted

    try:
        return await receiving.run(hub, principal, unit)
    except SignatureRefused as refused:
        raise await receiving.refuse(
            hub, principal, refused.reason, order_id=str(order_id), outcome=str(body.outcome)
        ) from None


async def _check(
    conn: AsyncConnection,
    hub: Hub,
    principal: Principal,
    given: Answering,
    raw: bytes,
    signature: str | Received | None,
) -> None:
    owner = Owner("participant", principal.tenant, principal.tenant)
    audience, now = hub.settings.address, given.log.at
    if isinstance(signature, Received):
        await signing.check_message(conn, signature, owner=owner, audience=audience, now=now)
    elif signature is not None or given.body.outcome is not Outcome.RECEIVED:
        await signing.check(
            conn,
            signature,
            kind=Kind.ANSWER,
            payload=signatures.canonical(raw),
            owner=owner,
            about=str(given.order["id"]),
            audience=audience,
            now=now,
        )


async def _is_to_a_question(conn: AsyncConnection, order: Row, signature: str | Received | None) -> bool:
    if signature is None or order["state"] in states.UNANSWERED:
        return False  # what is held is asked of a hold that stands
    asked_at = await read_backs.asked_at(conn, order["id"])
    if asked_at is None:
        return False
    answered = sa.select(_ACKNOWLEDGEMENTS.c.id).where(
        _ACKNOWLEDGEMENTS.c.order_id == order["id"],
        _ACKNOWLEDGEMENTS.c.outcome != Outcome.RECEIVED,
        _ACKNOWLEDGEMENTS.c.received_at > asked_at,
    )
    if (await conn.execute(answered.limit(1))).first() is not None:
        return False
    signed = signature if isinstance(signature, Received) else signatures.read(signature, Kind.ANSWER)
    return read_back.answers(signed.signed_at, asked_at, signatures.AHEAD)


async def _order_of(conn: AsyncConnection, order_id: UUID) -> Row:
    return dict((await conn.execute(sa.select(_ORDERS).where(_ORDERS.c.id == order_id))).one()._mapping)


async def _earlier(conn: AsyncConnection, order: Row, digest: str) -> Any:
    query = (
        sa.select(_ACKNOWLEDGEMENTS.c.id, _ACKNOWLEDGEMENTS.c.contradicts, _ACKNOWLEDGEMENTS.c.received_at.label("at"))
        .where(_ACKNOWLEDGEMENTS.c.order_id == order["id"], _ACKNOWLEDGEMENTS.c.body_sha256 == digest)
        .order_by(_ACKNOWLEDGEMENTS.c.received_at.desc(), _ACKNOWLEDGEMENTS.c.id.desc())
        .limit(1)
    )
    return (await conn.execute(query)).one_or_none()


def _again(order: Row, earlier: sa.Row[Any]) -> AcknowledgementAccepted:
    return AcknowledgementAccepted(
        id=earlier.id, order_id=order["id"], state=order["state"], repeated=True, contradicts=earlier.contradicts
    )


async def _onward(conn: AsyncConnection, hub: Hub, body: AcknowledgementBody, order: Row) -> Onward:
    if body.outcome is not Outcome.NOT_MINE or body.ported_to is None:
        return Onward(None, ())
    found = (await dossier.load(conn, [order["request_id"]]))[order["request_id"]]
    known = await hub.registry.known(conn)
    today = (await db.now(conn)).astimezone(working_hours.VIETNAM).date()
    kind = found.targets[order["target_id"]]["kind"]
    try:
        name = routing.ported_to(body.ported_to, kind, known.directory, today).participant_id
    except routing.UnknownInstitution as unknown:
        raise errors.InvalidInput.of("/ported_to", "institution.unknown", value=unknown.value) from None
    placement = placing.Placement(name, order["target_id"], rerouted_from=order["id"])
    return Onward(placement, await overlaps.find(conn, hub, found, [placement]))


def _row(
    hub: Hub, principal: Principal, given: Answering, key: KeyRow, raw: bytes, digest: str, verdict: Verdict
) -> dict[str, Any]:
    acknowledgement_id = clock.new_id()
    tenant, body = given.order["tenant"], given.body
    return {
        "id": acknowledgement_id,
        "tenant": tenant,
        "participant_id": principal.tenant,
        "order_id": given.order["id"],
        "outcome": body.outcome,
        "amount_held": body.amount_held.minor_units if body.amount_held else None,
        "amount_returned": body.amount_returned.minor_units if body.amount_returned else None,
        "refusal_code": body.refusal_code or verdict.refusal_code,
        "ported_to": given.ported_to,
        "body_sealed": hub.vault.seal(key, "acknowledgements", acknowledgement_id, raw.decode()),
        "body_sha256": digest,
        "client_id": principal.client_id,
        "contradicts": verdict.contradicts,
        "received_at": given.log.at,
    }
