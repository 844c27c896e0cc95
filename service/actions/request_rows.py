"""What a filed request is written as: its row, those of its targets, its case and its reference."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock
from service.actions import demands, references
from service.engine.hub import Hub
from service.models import ActionRequest, Case, table_of
from service.queries.registry import Known
from service.schemas.demands import DiscloseRequest, FreezeRequest, RecallRequest, SubmitRequest, TakedownRequest
from service.security.principals import Principal
from service.vault import KeyRow
from workflows import policy
from workflows.terms import RequestState

_REQUESTS = table_of(ActionRequest)
_CASES = table_of(Case)


async def case(conn: AsyncConnection, tenant: str, number: str, now: datetime) -> UUID:
    """Return the agency's case of this number, opened now if it is new."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = insert(_CASES).values(id=clock.new_id(), tenant=tenant, number=number, opened_at=now)
    await conn.execute(statement.on_conflict_do_nothing())
    query = sa.select(_CASES.c.id).where(_CASES.c.tenant == tenant, _CASES.c.number == number)
    return (await conn.execute(query)).scalar_one()  # type: ignore[no-any-return]


def request(
    hub: Hub,
    known: Known,
    principal: Principal,
    body: SubmitRequest,
    demand: demands.Weighed,
    request_id: UUID,
    now: datetime,
    raw: bytes,
    digest: str,
    key: KeyRow,
) -> dict[str, Any]:
    """Return the row of a request; its case, reference and signature are the caller's to fill in."""
    tenant = principal.tenant
    granted = demand.granted
    active = granted.approvals_needed == 1

    def seal(text: str) -> bytes:
        return hub.vault.seal(key, "requests", request_id, text)

    whole = body.whole_account if isinstance(body, FreezeRequest) else None
    amount = body.amount if isinstance(body, FreezeRequest | RecallRequest) else None
    payment = body.payment if isinstance(body, RecallRequest) else None
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
        "payment_sealed": seal(payment.model_dump_json(exclude_none=True)) if payment else None,
        "asked": [str(datum) for datum in body.asked] if isinstance(body, DiscloseRequest) else None,
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


def targets(hub: Hub, key: KeyRow, request_id: UUID, body: SubmitRequest) -> list[dict[str, Any]]:
    """Return the rows of the targets that a request names itself, in its order."""
    rows = []
    for position, target in enumerate(demands.targets(body)):
        target_id = clock.new_id()
        holder = getattr(target, "holder_name", None)
        rows.append(
            {
                "id": target_id,
                "tenant": key.tenant,
                "request_id": request_id,
                "position": position,
                "kind": target.kind,
                "value_sealed": hub.vault.seal(key, "targets", target_id, target.value),
                "value_index": hub.vault.blind_index(key.tenant, target.kind, target.value),
                "holder_sealed": hub.vault.seal(key, "targets", target_id, holder) if holder else None,
                "institution": getattr(target, "institution", None),
                "platform": getattr(target, "platform", None),
                "sha256": getattr(target, "sha256", None),
                "perceptual_hash": getattr(target, "perceptual_hash", None),
                "intimate": getattr(target, "intimate", False),
            }
        )
    return rows


async def reference(conn: AsyncConnection, now: datetime) -> str:
    """Draw a request's reference: its day in Vietnam and letters that nobody has yet."""
    # Six letters meet each other on a day of a surge: what is taken is not drawn again.
    return await references.draw(conn, _REQUESTS.c.reference, "HT", 6, now)
