"""Two officers of an agency end the silence that its disclosure asked for; the hub never ends one by itself."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import officers, second_officer, signing, standing
from service.actions.signing import Owner
from service.audit import Log
from service.engine import dossier, lifting, silences, writer
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import Approval, AuditEntry, table_of
from service.queries import visibility
from service.schemas.silence_ends import NewSilenceEnd, SilenceEnded
from service.security import passkeys, signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from workflows import authority, silence
from workflows.silence import NoEnd
from workflows.terms import Fact

_APPROVALS = table_of(Approval)
_ENTRIES = table_of(AuditEntry)


async def end(
    hub: Hub, principal: Principal, request_id: UUID, body: NewSilenceEnd, raw: bytes, signature: str | None
) -> SilenceEnded:
    """Tell each participant that has the disclosure that the silence is over; once, and shown again when asked again.

    ``raw`` are the bytes as received; ``signature`` is the first officer's over them without ``second_signature``.
    Raises ``NotFound`` for another agency's, ``Conflict`` (``silence.no_silence``, ``silence.nothing_sent``,
    ``request.erased``), ``InvalidInput`` for an unknown officer, ``Forbidden`` (``authority.<rule>``,
    ``signature.<reason>``, both kept as facts) and ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.REQUESTS_APPROVE)
    chain = audit.request_chain(request_id)

    async def unit(conn: AsyncConnection) -> SilenceEnded:
        found = await _visible(conn, principal, request_id)
        # The sequences and the dispatches are read by participants, the fact is the agency's.
        await db.extend(conn, db.HUB)
        log = await writer.lock(conn, {chain})
        await standing.check(conn, principal)
        found = await _visible(conn, principal, request_id)
        earlier = await _earlier(conn, chain)
        if earlier is not None:
            return SilenceEnded.model_validate({**earlier, "repeated": True})
        orders = await dossier.orders_of(conn, request_id)
        why = silence.no_end(found.request["action"], is_known=any(map(lifting.was_delivered, orders)))
        if why is NoEnd.NO_SILENCE:
            raise errors.Conflict("silence.no_silence")
        if why is NoEnd.NOTHING_SENT:
            raise errors.Conflict("silence.nothing_sent")
        await _check(conn, hub, log, found, body, raw, signature)
        await _keep(conn, log, principal, found, body, raw, signature)
        told, not_told = await silences.end(conn, hub, log, found, orders, body.reason)
        said: dict[str, Any] = {
            "officer_id": body.officer_id,
            "second_officer_id": body.second_officer_id,
            "reason": str(body.reason),
            "told": [_named(order) for order in told],
            "left_out": [{**_named(order), "why": str(each)} for order, each in not_told],
        }
        log.record(chain, Fact.SILENCE_ENDED, principal.actor(), found.tenant, request_id=request_id, **said)
        await log.flush()
        return SilenceEnded(request_id=request_id, ended_at=log.at, **said, repeated=False)

    named = {"officer_id": body.officer_id, "second_officer_id": body.second_officer_id}
    try:
        return await standing.run(hub, principal, unit)
    except (authority.AuthorityRefused, SignatureRefused) as refused:
        raise await signing.refuse(hub, principal, refused, chain, request_id=request_id, **named) from None


async def _visible(conn: AsyncConnection, principal: Principal, request_id: UUID) -> Dossier:
    found = (await dossier.load(conn, [request_id])).get(request_id)
    if found is None or not visibility.owns(principal, found.tenant):
        raise errors.NotFound
    return found


async def _earlier(conn: AsyncConnection, chain: str) -> Mapping[str, Any] | None:
    query = sa.select(_ENTRIES).where(_ENTRIES.c.chain == chain, _ENTRIES.c.code == Fact.SILENCE_ENDED)
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else {**json.loads(row.data), "request_id": row.request_id, "ended_at": row.at}


async def _check(
    conn: AsyncConnection,
    hub: Hub,
    log: Log,
    found: Dossier,
    body: NewSilenceEnd,
    raw: bytes,
    signature: str | None,
) -> None:
    """Hold both to what filing and approving a disclosure on this basis takes today, and spend their signatures."""
    if body.officer_id == body.second_officer_id:
        raise authority.AuthorityRefused("same_officer", {})
    first = await officers.officer(conn, found.tenant, body.officer_id)
    second = await officers.officer(conn, found.tenant, body.second_officer_id, "/second_officer_id")
    filed = hub.vault.unseal(found.keys, "requests", found.id, found.tenant, found.request["body_sealed"]).encode()
    by_first = replace(found, officer=dict(first._mapping))
    second_officer.check_pair(by_first, found.request, filed, second, log.at)
    payload, address = signed_part(raw), hub.settings.address
    # A key is one officer's: two signatures that pass were made with two keys.
    for officer, text in ((first, signature), (second, body.second_signature)):
        await signing.check(
            conn,
            text,
            kind=Kind.SILENCE,
            payload=payload,
            owner=Owner("officer", officer.id, found.tenant),
            about=str(found.id),
            audience=address,
            now=log.at,
            origin=passkeys.origin_of(address),
        )


def signed_part(raw: bytes) -> bytes:
    """Return the RFC 8785 form of what both officers sign: the body without the second one's signature."""
    members = json.loads(raw)
    members.pop("second_signature", None)
    return signatures.canonical(json.dumps(members).encode())


async def _keep(
    conn: AsyncConnection,
    log: Log,
    principal: Principal,
    found: Dossier,
    body: NewSilenceEnd,
    raw: bytes,
    signature: str | None,
) -> None:
    """Keep both signatures where those of second officers are; what they signed is told whole by the fact."""
    digest = hashlib.sha256(signed_part(raw)).hexdigest()
    rows = [
        {
            "id": clock.new_id(),
            "tenant": found.tenant,
            "request_id": found.id,
            "officer_id": officer_id,
            "client_id": principal.client_id,
            "kind": "silence",
            "body_sha256": digest,
            "signature": text,
            "approved_at": log.at,
        }
        for officer_id, text in ((body.officer_id, signature), (body.second_officer_id, body.second_signature))
    ]
    await db.insert_rows(conn, _APPROVALS, rows)


def _named(order: Mapping[str, Any]) -> dict[str, str]:
    return {"order_id": str(order["id"]), "participant_id": order["participant_id"]}
