"""An agency files a request: authority checked, targets routed, all written in one transaction, then answered."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import demands, idempotency
from service.audit import Log
from service.engine import activating, dossier, writer
from service.engine.hub import Hub
from service.models import ActionRequest, Case, IdempotencyKey, Target, table_of
from service.queries.registry import Known
from service.schemas.requests import FreezeRequest, RequestAccepted, SubmitRequest, TakedownRequest, Unreachable
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import authority, deadlines, policy, working_hours
from workflows.terms import Fact, RequestState, Stage

_REQUESTS = table_of(ActionRequest)
_CASES = table_of(Case)
_TARGETS = table_of(Target)
_KEYS = table_of(IdempotencyKey)

# Crockford's alphabet: no letter that a tired eye takes for a digit.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a filed request; ``repeated`` tells that it is the first one's."""

    answer: RequestAccepted
    repeated: bool


async def submit(hub: Hub, principal: Principal, key: str, body: SubmitRequest, raw: bytes) -> Submitted:
    """File a request, or return what the first submission under ``key`` was answered.

    ``raw`` are the bytes as received: their SHA-256 is what a second officer approves. Raises ``InvalidInput`` naming
    the field, ``Forbidden`` (``authority.<rule>``, kept as a fact), ``InvalidInput`` for a key used with another body.
    """
    principal.require(Scope.REQUESTS_WRITE)
    digest = hashlib.sha256(raw).hexdigest()
    content = idempotency.fingerprint(raw)

    async def unit(conn: AsyncConnection) -> Submitted:
        earlier = await idempotency.earlier(conn, principal, key, content)
        if earlier is not None:
            return Submitted(RequestAccepted.model_validate(earlier), True)
        answer = await _file(conn, hub, principal, body, raw, digest)
        kept = answer.model_dump(mode="json")
        await idempotency.remember(conn, principal, key, content, kept, answer.submitted_at)
        return Submitted(answer, False)

    while True:
        try:
            return await hub.writer.run(unit)
        except idempotency.Raced:
            continue
        except authority.AuthorityRefused as refused:
            await _record_refusal(hub, principal, body, refused)
            raise errors.Forbidden(f"authority.{refused.rule}", **dict[str, Any](refused.params)) from None


async def _file(
    conn: AsyncConnection, hub: Hub, principal: Principal, body: SubmitRequest, raw: bytes, digest: str
) -> RequestAccepted:
    now = await db.now(conn)
    known = await hub.registry.known(conn)
    demand = await demands.weigh(conn, known, principal.tenant, body, now)
    request_id = clock.new_id()
    row = _request_row(hub, known, principal, body, demand, request_id, now, raw, digest)
    row["case_id"] = await _case(conn, principal.tenant, body.case_number, now)
    row["reference"] = await _reference(conn, now)
    await db.insert_rows(conn, _REQUESTS, [row])
    await db.insert_rows(conn, _TARGETS, _target_rows(hub, principal.tenant, request_id, body))
    found = (await dossier.load(conn, [request_id]))[request_id]
    try:
        plan = await activating.prepare(conn, hub, known, found)
    except activating.Unroutable as unroutable:
        raise demands.unknown_institution(body, unroutable) from None
    log = await writer.lock(conn, plan.chains)
    actor = principal.actor()
    log.record(
        found.chain,
        Fact.REQUEST_SUBMITTED,
        actor,
        principal.tenant,
        request_id=request_id,
        reference=row["reference"],
        action=str(body.action),
        officer_id=body.officer_id,
        legal_basis=str(body.legal_basis),
        rule=demand.granted.rule_name,
        amount=None if row["amount"] is None else str(row["amount"]),
        targets=len(found.targets),
        ends_at=row["ends_at"].isoformat() if row["ends_at"] else None,
        body_sha256=digest,
        original_request_id=str(row["original_id"]) if row["original_id"] else None,
    )
    unreachable: dict[str, UUID | None] = {}
    recipients = set(plan.recipients)
    if row["state"] is RequestState.ACTIVE:
        placed = await activating.activate(conn, hub, log, actor, found, plan)
        recipients = {placement.participant_id for placement in placed.orders.values()}
        unreachable.update(placed.unreachable)
        if demand.review_within is not None:
            await activating.start_review(conn, log, found, demand.review_within)
    else:
        within = deadlines.within(
            Stage.APPROVAL, deadlines.APPROVAL_WITHIN, action=body.action, overrides=found.policy.limit_overrides
        )
        await activating.start_approval(conn, log, found, within)
        unreachable.update(dict.fromkeys(await activating.out_of_reach(conn, plan)))
    await log.flush()
    return _answer(found, recipients, unreachable)


async def _case(conn: AsyncConnection, tenant: str, number: str, now: datetime) -> UUID:
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = insert(_CASES).values(id=clock.new_id(), tenant=tenant, number=number, opened_at=now)
    await conn.execute(statement.on_conflict_do_nothing())
    query = sa.select(_CASES.c.id).where(_CASES.c.tenant == tenant, _CASES.c.number == number)
    return (await conn.execute(query)).scalar_one()  # type: ignore[no-any-return]


def _request_row(
    hub: Hub,
    known: Known,
    principal: Principal,
    body: SubmitRequest,
    demand: demands.Weighed,
    request_id: UUID,
    now: datetime,
    raw: bytes,
    digest: str,
) -> dict[str, Any]:
    tenant = principal.tenant
    granted = demand.granted
    active = granted.approvals_needed == 1

    def seal(text: str) -> bytes:
        return hub.vault.seal("requests", request_id, tenant, text)

    whole = body.whole_account if isinstance(body, FreezeRequest) else None
    amount = body.amount if isinstance(body, FreezeRequest) else None
    return {
        "id": request_id,
        "tenant": tenant,
        "case_id": None,
        "reference": None,
        "action": body.action,
        "state": RequestState.ACTIVE if active else RequestState.AWAITING_APPROVAL,
        "urgency": body.urgency,
        "legal_basis": body.legal_basis,
        "authority_rule": granted.rule_name,
        "client_id": principal.client_id,
        "officer_id": body.officer_id,
        "approvals_needed": granted.approvals_needed,
        "measure": body.measure if isinstance(body, TakedownRequest) else None,
        "amount": amount.minor_units if amount else None,
        "currency": amount.currency if amount else None,
        "whole_account": whole is not None,
        "whole_account_reason_sealed": seal(whole.reason) if whole else None,
        "document_number": body.document.number,
        "document_date": body.document.date,
        "document_sha256": body.document.sha256,
        "contact_sealed": seal(body.contact.model_dump_json(exclude_none=True)),
        "starts_at": demand.starts_at,
        "ends_at": demand.ends_at,
        "original_id": demand.original_id,
        "body_sealed": seal(raw.decode()),
        "body_sha256": digest,
        "policy": policy.to_snapshot(known.policy),
        "submitted_at": now,
        "activated_at": now if active else None,
        "review_by": now + demand.review_within if demand.review_within else None,
    }


def _target_rows(hub: Hub, tenant: str, request_id: UUID, body: SubmitRequest) -> list[dict[str, Any]]:
    rows = []
    for position, target in enumerate(demands.targets(body)):
        target_id = clock.new_id()
        holder = getattr(target, "holder_name", None)
        rows.append(
            {
                "id": target_id,
                "tenant": tenant,
                "request_id": request_id,
                "position": position,
                "kind": target.kind,
                "value_sealed": hub.vault.seal("targets", target_id, tenant, target.value),
                "value_index": hub.vault.blind_index(tenant, target.kind, target.value),
                "holder_sealed": hub.vault.seal("targets", target_id, tenant, holder) if holder else None,
                "institution": getattr(target, "institution", None),
                "platform": getattr(target, "platform", None),
                "sha256": getattr(target, "sha256", None),
                "perceptual_hash": getattr(target, "perceptual_hash", None),
                "intimate": getattr(target, "intimate", False),
            }
        )
    return rows


async def _reference(conn: AsyncConnection, now: datetime) -> str:
    # Six letters meet each other on a day of a surge: what is taken is not drawn again.
    while True:
        letters = "".join(secrets.choice(_LETTERS) for _ in range(6))
        drawn = f"HT-{now.astimezone(working_hours.VIETNAM):%y%m%d}-{letters}"
        taken = sa.select(_REQUESTS.c.id).where(_REQUESTS.c.reference == drawn)
        if (await conn.execute(taken)).first() is None:
            return drawn


def _answer(found: dossier.Dossier, recipients: set[str], unreachable: dict[str, UUID | None]) -> RequestAccepted:
    request = found.request
    return RequestAccepted(
        id=found.id,
        reference=request["reference"],
        state=request["state"],
        action=request["action"],
        legal_basis=request["legal_basis"],
        authority_rule=request["authority_rule"],
        approvals_needed=request["approvals_needed"],
        starts_at=request["starts_at"],
        ends_at=request["ends_at"],
        review_by=request["review_by"],
        submitted_at=request["submitted_at"],
        recipients=sorted(recipients - set(unreachable)),
        unreachable=[
            Unreachable(participant_id=name, reason="no_endpoint", task_id=task)
            for name, task in sorted(unreachable.items())
        ],
    )


async def _record_refusal(
    hub: Hub, principal: Principal, body: SubmitRequest, refused: authority.AuthorityRefused
) -> None:
    chain = audit.tenant_chain(principal.tenant)

    async def unit(conn: AsyncConnection) -> None:
        log = await Log.open(conn, await db.now(conn), [chain])
        log.record(
            chain,
            Fact.AUTHORITY_REFUSED,
            principal.actor(),
            principal.tenant,
            rule=refused.rule,
            officer_id=body.officer_id,
            action=str(body.action),
            legal_basis=str(body.legal_basis),
            params=refused.params,
        )
        await log.flush()

    await hub.writer.run(unit)
