"""What a filed request is written as: its row and those of its targets, its case and its reference."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db
from service.actions import demands, references
from service.actions.signing import Signed
from service.engine.hub import Hub
from service.inserting import Rows
from service.models import ActionRequest, Case, SpentIdentifier, Target, table_of
from service.queries.registry import Known
from service.schemas.demands import (
    DiscloseRequest,
    FreezeRequest,
    RecallRequest,
    SubmitRequest,
    TakedownRequest,
    TraceRequest,
)
from service.security.principals import Principal
from service.security.signatures import SignatureRefused
from service.vault import KeyRow
from workflows.terms import RequestState

_REQUESTS = table_of(ActionRequest)
_CASES = table_of(Case)
_TARGETS = table_of(Target)
_SPENT = table_of(SpentIdentifier)
# The constraints, as PostgreSQL and SQLite name them.
_OVERTAKEN = ("uq_requests_reference", "requests.reference", "uq_cases_tenant_number", "cases.tenant")
_IS_SPENT = ("pk_spent_identifiers", "spent_identifiers.issuer")


class Overtaken(Exception):
    """Another request has the letters that were drawn, or opened the case: all is undone, and may be asked again."""


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
    window = body.window if isinstance(body, TraceRequest) else None
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
        "window_since": window.since if window else None,
        "window_until": window.until if window else None,
        "document_number": body.document.number,
        "document_date": body.document.date,
        "document_sha256": body.document.sha256,
        "contact_sealed": seal(body.contact.model_dump_json(exclude_none=True)),
        "starts_at": demand.starts_at.astimezone(UTC),
        "ends_at": demand.ends_at.astimezone(UTC) if demand.ends_at else None,
        "original_id": demand.original_id,
        "body_sealed": seal(raw.decode()),
        "body_sha256": digest,
        "policy": known.snapshot,
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


async def write(
    conn: AsyncConnection, row: dict[str, Any], aims: list[dict[str, Any]], signed: Signed, *, opens: str | None
) -> None:
    """Write a request and its targets under a reference that is drawn now, and spend its officer's signature.

    ``opens`` is the number of the agency's case where this is its first request. Raises ``Overtaken``, and
    ``SignatureRefused`` (``spent``): asking first would be a trip for each, and each is rare.
    """
    row["reference"] = references.drawn("HT", 6, row["submitted_at"])
    case = {"id": row["case_id"], "tenant": row["tenant"], "number": opens, "opened_at": row["submitted_at"]}
    spent = db.refused_as(lambda: SignatureRefused("spent"), *_IS_SPENT)
    with db.refused_as(Overtaken, *_OVERTAKEN), spent:
        await db.insert_all(
            conn,
            Rows(_SPENT, [signed.single.row()]),
            Rows(_CASES, [case] if opens is not None else []),
            Rows(_REQUESTS, [row]),
            Rows(_TARGETS, aims),
        )
