"""Everything that was signed about a request, gathered from the tables into the members of an evidence bundle."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.iso20022 import parse
from service import audit
from service.models import (
    Acknowledgement,
    ActionRequest,
    Appeal,
    Approval,
    AuditEntry,
    Dispatch,
    Officer,
    Order,
    PublicKey,
    table_of,
)
from service.schemas.evidence import (
    EvidenceActor,
    EvidenceAnswer,
    EvidenceApproval,
    EvidenceDecision,
    EvidenceFact,
    EvidenceKey,
    EvidenceMessage,
    EvidenceOfficer,
    EvidenceOrder,
    EvidenceReply,
    EvidenceRequest,
    EvidenceSilenceEnd,
    EvidenceWithdrawal,
)
from service.security import signatures
from service.vault import Keys, Vault, subjects
from workflows import silence
from workflows.terms import DispatchKind, Fact

_REQUESTS = table_of(ActionRequest)
_APPROVALS = table_of(Approval)
_ORDERS = table_of(Order)
_DISPATCHES = table_of(Dispatch)
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_APPEALS = table_of(Appeal)
_ENTRIES = table_of(AuditEntry)
_OFFICERS = table_of(Officer)
_KEYS = table_of(PublicKey)


async def find(conn: AsyncConnection, name: str) -> UUID | None:
    """Return the id of the request that is called so, by its id or its reference."""
    try:
        wanted = _REQUESTS.c.id == UUID(name)
    except ValueError:
        wanted = _REQUESTS.c.reference == name
    return (await conn.execute(sa.select(_REQUESTS.c.id).where(wanted))).scalar_one_or_none()


async def gather(conn: AsyncConnection, vault: Vault, request_id: UUID, sealing: str) -> dict[str, Any]:
    """Return the members ``requests``, ``officers`` and ``keys`` of a bundle about an existing request.

    The request that it lifts or extends comes along. ``sealing`` is the id of the key that the bundle will be sealed
    with: the keys are those of all signatures and that one. For the hub's own operator: everything is opened. Raises
    ``Erased``.
    """
    about = sa.select(_REQUESTS).where(_REQUESTS.c.id == request_id)
    row = (await conn.execute(about)).one()
    rows = [row]
    if row.original_id:
        rows.append((await conn.execute(sa.select(_REQUESTS).where(_REQUESTS.c.id == row.original_id))).one())
    keys = await subjects.by_id(conn, [each.id for each in rows])
    requests = [await _request(conn, vault, keys, each) for each in rows]
    officers = {each.officer_id for each in rows}
    for part in requests:
        officers |= {each.officer_id for each in part.approvals}
        officers |= {each.officer_id for each in (*part.replies, *part.decisions)}
        officers |= {part.withdrawal.officer_id} if part.withdrawal else set()
        officers |= {each.officer_id for each in part.silence_ends}
    kids = {sealing, *(kid for part in requests for text in _signatures(part) if (kid := signatures.key_of(text)))}
    kids |= {kid for part in requests for each in _answers_of(part) if (kid := parse.key_of(each.body))}
    return {
        "requests": [part.model_dump(mode="json") for part in requests],
        "officers": [part.model_dump(mode="json") for part in await _officers(conn, vault, officers)],
        "keys": [part.model_dump(mode="json") for part in await _keys(conn, kids)],
    }


async def _request(conn: AsyncConnection, vault: Vault, keys: Keys, row: sa.Row[Any]) -> EvidenceRequest:
    approvals = (
        await conn.execute(
            sa.select(_APPROVALS)
            .where(_APPROVALS.c.request_id == row.id)
            .order_by(_APPROVALS.c.approved_at, _APPROVALS.c.id)
        )
    ).all()
    orders = (
        await conn.execute(
            sa.select(_ORDERS).where(_ORDERS.c.request_id == row.id).order_by(_ORDERS.c.placed_at, _ORDERS.c.id)
        )
    ).all()
    ids = [order.id for order in orders]
    messages, answers = await _messages(conn, vault, keys, ids), await _answers(conn, vault, keys, ids)
    facts = await _facts(conn, row.id)
    return EvidenceRequest(
        id=str(row.id),
        agency=row.tenant,
        body=vault.unseal(keys, "requests", row.id, row.tenant, row.body_sealed),
        salt=vault.salt(keys[row.id]).hex() if row.id in keys else None,
        signature=row.signature,
        approvals=[
            EvidenceApproval(kind=each.kind, officer_id=each.officer_id, signature=each.signature)
            for each in approvals
            if each.kind != "silence"
        ],
        orders=[
            EvidenceOrder(
                id=str(order.id),
                participant_id=order.participant_id,
                action=str(order.action),
                messages=messages.get(order.id, []),
                answers=answers.get(order.id, []),
            )
            for order in orders
        ],
        withdrawal=_withdrawal(vault, keys, row),
        replies=await _replies(conn, vault, keys, row.id),
        decisions=await _decisions(conn, vault, keys, row.id),
        silence_ends=_silence_ends(facts, approvals),
        facts=facts,
    )


async def _messages(
    conn: AsyncConnection, vault: Vault, keys: Keys, orders: Collection[UUID]
) -> dict[UUID, list[EvidenceMessage]]:
    query = (
        sa.select(_DISPATCHES)
        .where(
            _DISPATCHES.c.order_id.in_(orders),
            _DISPATCHES.c.kind == DispatchKind.ORDER,
            # The same message over another endpoint says nothing more.
            _DISPATCHES.c.first_id.is_(None),
        )
        .order_by(_DISPATCHES.c.created_at, _DISPATCHES.c.id)
    )
    found: dict[UUID, list[EvidenceMessage]] = {}
    for row in (await conn.execute(query)).all():
        opened = json.loads(vault.unseal(keys, "dispatches", row.id, row.tenant, row.message_sealed))
        message = EvidenceMessage(
            id=opened["id"], type=opened["type"], body=opened["body"], signature=opened.get("signature")
        )
        found.setdefault(row.order_id, []).append(message)
    return found


async def _answers(
    conn: AsyncConnection, vault: Vault, keys: Keys, orders: Collection[UUID]
) -> dict[UUID, list[EvidenceAnswer]]:
    query = (
        sa.select(_ACKNOWLEDGEMENTS)
        .where(_ACKNOWLEDGEMENTS.c.order_id.in_(orders))
        .order_by(_ACKNOWLEDGEMENTS.c.received_at, _ACKNOWLEDGEMENTS.c.id)
    )
    found: dict[UUID, list[EvidenceAnswer]] = {}
    for row in (await conn.execute(query)).all():
        answer = EvidenceAnswer(
            received_at=row.received_at,
            body=vault.unseal(keys, "acknowledgements", row.id, row.tenant, row.body_sealed),
            signature=row.signature,
        )
        found.setdefault(row.order_id, []).append(answer)
    return found


def _withdrawal(vault: Vault, keys: Keys, row: sa.Row[Any]) -> EvidenceWithdrawal | None:
    if row.withdrawal_sealed is None:
        return None
    body = vault.unseal(keys, "requests", row.id, row.tenant, row.withdrawal_sealed)
    return EvidenceWithdrawal(officer_id=row.withdrawn_by, body=body, signature=row.withdrawal_signature)


def _silence_ends(facts: Sequence[EvidenceFact], approvals: Sequence[sa.Row[Any]]) -> list[EvidenceSilenceEnd]:
    """The fact tells all that the two officers signed; only their signatures stand elsewhere."""
    said = next((json.loads(fact.data) for fact in facts if fact.code == Fact.SILENCE_ENDED), None)
    if said is None:
        return []
    body = json.dumps({name: said[name] for name in silence.SIGNED}, separators=(",", ":"))
    return [
        EvidenceSilenceEnd(officer_id=each.officer_id, body=body, signature=each.signature)
        for each in sorted(approvals, key=lambda each: each.officer_id != said["officer_id"])
        if each.kind == "silence"
    ]


async def _replies(conn: AsyncConnection, vault: Vault, keys: Keys, request_id: UUID) -> list[EvidenceReply]:
    query = (
        sa.select(_APPEALS)
        .where(_APPEALS.c.request_id == request_id, _APPEALS.c.answer_sealed.is_not(None))
        .order_by(_APPEALS.c.answered_at, _APPEALS.c.id)
    )
    return [
        EvidenceReply(
            appeal_id=str(row.id),
            officer_id=row.answered_by,
            body=vault.unseal(keys, "appeals", row.id, row.tenant, row.answer_sealed),
            signature=row.answer_signature,
        )
        for row in (await conn.execute(query)).all()
    ]


async def _decisions(conn: AsyncConnection, vault: Vault, keys: Keys, request_id: UUID) -> list[EvidenceDecision]:
    query = (
        sa.select(_APPEALS)
        .where(_APPEALS.c.request_id == request_id, _APPEALS.c.decided_at.is_not(None))
        .order_by(_APPEALS.c.decided_at, _APPEALS.c.id)
    )
    return [
        EvidenceDecision(
            appeal_id=str(row.id),
            officer_id=row.decided_by,
            body=vault.unseal(keys, "appeals", row.id, row.tenant, row.decision_sealed),
            signature=row.signature,
        )
        for row in (await conn.execute(query)).all()
    ]


async def _facts(conn: AsyncConnection, request_id: UUID) -> list[EvidenceFact]:
    chain = audit.request_chain(request_id)
    query = sa.select(_ENTRIES).where(_ENTRIES.c.chain == chain).order_by(_ENTRIES.c.sequence)
    return [
        EvidenceFact(
            sequence=row.sequence,
            tenant=row.tenant,
            request_id=str(row.request_id) if row.request_id else None,
            code=str(row.code),
            actor=EvidenceActor(kind=row.actor_kind, id=row.actor_id, tenant=row.actor_tenant),
            at=row.at.isoformat(timespec="microseconds"),
            data=row.data,
            hash=row.hash.hex(),
        )
        for row in (await conn.execute(query)).all()
    ]


async def _officers(conn: AsyncConnection, vault: Vault, ids: Collection[str]) -> list[EvidenceOfficer]:
    query = sa.select(_OFFICERS).where(_OFFICERS.c.id.in_(ids)).order_by(_OFFICERS.c.id)
    rows = (await conn.execute(query)).all()
    keys = await subjects.of(conn, *(row.name_sealed for row in rows))
    return [
        EvidenceOfficer(
            id=row.id,
            name=vault.shown(keys, "officers", row.id, row.tenant, row.name_sealed),
            rank=row.rank,
            number=row.number,
        )
        for row in rows
    ]


async def _keys(conn: AsyncConnection, kids: Collection[str]) -> list[EvidenceKey]:
    query = sa.select(_KEYS).where(_KEYS.c.kid.in_(kids)).order_by(_KEYS.c.owner_kind, _KEYS.c.owner_id, _KEYS.c.kid)
    return [
        EvidenceKey(
            kid=row.kid,
            jwk=row.jwk,
            owner_kind=row.owner_kind,
            owner_id=row.owner_id,
            tenant=row.tenant,
            purpose=row.purpose,
            not_before=row.not_before,
            not_after=row.not_after,
            revoked_at=row.revoked_at,
        )
        for row in (await conn.execute(query)).all()
    ]


def _answers_of(part: EvidenceRequest) -> Iterable[EvidenceAnswer]:
    return (answer for order in part.orders for answer in order.answers)


def _signatures(part: EvidenceRequest) -> Iterable[str]:
    signed = [part.signature, *(each.signature for each in part.approvals)]
    for order in part.orders:
        signed += [message.signature for message in order.messages]
        signed += [answer.signature for answer in order.answers]
    signed += [each.signature for each in (*part.replies, *part.decisions)]
    signed += [part.withdrawal.signature] if part.withdrawal else []
    signed += [each.signature for each in part.silence_ends]
    return (text for text in signed if text)
