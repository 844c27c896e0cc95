"""One demand by an agency: freeze, lift, extend, takedown, preserve, recall, disclose or trace."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import JSON, Field, SQLModel

from service.models import columns
from workflows.terms import Action, LegalBasis, Measure, RequestState, Urgency


class ActionRequest(SQLModel, table=True):
    """One demand by an agency: freeze, lift, extend, takedown, preserve, recall, disclose or trace."""

    __tablename__ = "requests"
    __table_args__ = (
        sa.Index("ix_requests_list", "tenant", "submitted_at", "id"),
        # The same for who sees those of all agencies.
        sa.Index("ix_requests_latest", "submitted_at", "id"),
        # What an agency has made active lately: the bounds count it.
        sa.Index("ix_requests_bounds", "tenant", "activated_at"),
        sa.CheckConstraint("amount IS NULL OR amount > 0", name="amount_is_positive"),
        sa.CheckConstraint(
            "action <> 'freeze' OR (ends_at IS NOT NULL AND ((amount IS NOT NULL AND NOT whole_account)"
            " OR (amount IS NULL AND whole_account AND whole_account_reason_sealed IS NOT NULL)))",
            name="freeze_is_proportionate",
        ),
        sa.CheckConstraint(
            "action <> 'recall' OR (amount IS NOT NULL AND NOT whole_account AND payment_sealed IS NOT NULL"
            " AND ends_at IS NOT NULL)",
            name="recall_names_its_payment",
        ),
        sa.CheckConstraint(
            "action <> 'disclose' OR (asked IS NOT NULL AND ends_at IS NOT NULL)", name="disclosure_says_what"
        ),
        sa.CheckConstraint(
            "action <> 'trace' OR (window_since IS NOT NULL AND window_until IS NOT NULL"
            " AND window_since < window_until AND ends_at IS NOT NULL)",
            name="trace_names_its_window",
        ),
        sa.CheckConstraint("ends_at IS NULL OR ends_at > starts_at", name="ends_after_it_starts"),
        sa.CheckConstraint(
            "length(document_number) > 0 AND length(document_sha256) = 64 AND length(authority_rule) > 0",
            name="names_document_and_authority",
        ),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    case_id: UUID = Field(foreign_key="cases.id", index=True)
    reference: str = Field(max_length=24, unique=True)
    action: Action = columns.code(Action)
    state: RequestState = columns.code(RequestState)
    urgency: Urgency = columns.code(Urgency)
    legal_basis: LegalBasis = columns.code(LegalBasis)
    authority_rule: str = Field(max_length=64)
    client_id: str = Field(max_length=64)
    officer_id: str = Field(foreign_key="officers.id", max_length=64)
    approvals_needed: int
    measure: Measure | None = columns.code(Measure, nullable=True)
    amount: int | None = Field(default=None, sa_type=sa.BigInteger)
    currency: str | None = Field(default=None, max_length=3)
    whole_account: bool = False
    whole_account_reason_sealed: bytes | None = None
    # Of a recall: the payment that brought the money. Of a disclosure: the codes of what is asked.
    payment_sealed: bytes | None = None
    asked: list[str] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    # Of a trace: the time that it looks back on.
    window_since: datetime | None = None
    window_until: datetime | None = None
    document_number: str = Field(max_length=64)
    document_date: date
    document_sha256: str = Field(max_length=64)
    contact_sealed: bytes
    starts_at: datetime
    ends_at: datetime | None = None
    # The request that a lift or an extension is about.
    original_id: UUID | None = Field(default=None, foreign_key="requests.id", index=True)
    body_sealed: bytes
    # The officer's detached JWS over the RFC 8785 form of the body.
    signature: str | None = Field(default=None, sa_type=sa.Text)
    body_sha256: str = Field(max_length=64)
    # The ladder and the time limits as they were when the orders were placed; later edits do not touch them.
    policy: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    submitted_at: datetime
    activated_at: datetime | None = None
    review_by: datetime | None = None
    reviewed_at: datetime | None = None
    # When and over which bounds it was held for a call-back; it stays written after the release.
    held_at: datetime | None = None
    held_bounds: list[str] | None = Field(default=None, sa_type=JSON)
    closed_at: datetime | None = None
    # Who took it back, the bytes that he signed, as they were received, and his detached JWS over them.
    withdrawn_by: str | None = Field(default=None, max_length=64)
    withdrawal_sealed: bytes | None = None
    withdrawal_signature: str | None = Field(default=None, sa_type=sa.Text)
