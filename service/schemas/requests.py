"""The shapes around filed requests: the officers' signatures, and what the hub answers."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, HeldMoney, Instant, Shape, Slug
from service.schemas.demands import Payment, Window
from workflows.terms import (
    Action,
    Datum,
    LegalBasis,
    Measure,
    OrderState,
    RequestState,
    Stage,
    TargetKind,
    Urgency,
)

DetachedJws = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2048)]


class OfficerSays(Shape):
    """The withdrawing officer."""

    officer_id: Slug


class OfficerSigns(Shape):
    """The second officer's approval or review, signed over the very request that the first one signed."""

    officer_id: Slug
    signature: DetachedJws | None = Field(
        default=None,
        description="detached ES256 JWS over the RFC 8785 form of the filed request; `typ` hoatoc-approval+jws or"
        " hoatoc-review+jws, `sub` the request's id, `aud` the hub's issuer",
    )


class DeadlineAnswer(Answer):
    """One stage's due instant."""

    stage: Stage
    due_at: Instant
    state: str


class OrderAnswer(Answer):
    """One order as its agency sees it."""

    id: UUID
    participant_id: str
    target: int = Field(description="the target's place in the request, from 0")
    action: Action
    state: OrderState
    amount: HeldMoney | None
    amount_held: HeldMoney | None
    amount_returned: HeldMoney | None = Field(description="of a recall: what was sent back; less than asked is a part")
    ends_at: Instant | None
    original_order_id: UUID | None
    rerouted_from_id: UUID | None
    refusal_code: str | None
    placed_at: Instant
    deadlines: list[DeadlineAnswer]


class Unreachable(Answer):
    """A participant that the directory knows and the hub cannot reach: a task is open for it."""

    participant_id: str
    reason: str
    task_id: UUID | None = Field(description="none until the request is active")


class RequestAccepted(Answer):
    """What the hub answers to a filed request, and answers again to a repeated one."""

    id: UUID
    reference: str
    state: RequestState
    action: Action
    legal_basis: LegalBasis
    authority_rule: str
    approvals_needed: int
    starts_at: Instant
    ends_at: Instant | None
    review_by: Instant | None
    submitted_at: Instant
    recipients: list[str] = Field(description="the participants that get an order, once the request is active")
    unreachable: list[Unreachable] = Field(description="known participants that the hub cannot reach")


class RequestSummary(Answer):
    """One line of a list of requests."""

    id: UUID
    reference: str
    case_number: str
    action: Action
    state: RequestState
    urgency: Urgency
    legal_basis: LegalBasis
    amount: HeldMoney | None
    whole_account: bool
    starts_at: Instant
    ends_at: Instant | None
    submitted_at: Instant
    activated_at: Instant | None
    closed_at: Instant | None
    orders: dict[str, int] = Field(description="how many orders are in each state")


class TargetAnswer(Answer):
    """A target as its own agency sees it."""

    position: int
    kind: TargetKind
    value: str
    institution: str | None
    platform: str | None
    holder_name: str | None


class RequestDetail(RequestSummary):
    """A request whole: its targets, orders, deadlines and open tasks."""

    authority_rule: str
    officer_id: str
    approvals_needed: int
    approved_by: list[str]
    document_number: str
    document_date: date
    document_sha256: str
    original_request_id: UUID | None
    measure: Measure | None
    payment: Payment | None = Field(description="of a recall; none any more once erased")
    asked: list[Datum] | None = Field(description="of a disclosure; the answers are at `listDisclosures`")
    window: Window | None = Field(description="of a trace; the answers are at `listMovements`")
    review_by: Instant | None
    held_at: Instant | None = Field(description="since when it waits, or waited, for the agency to be called back")
    held_bounds: list[str] = Field(description="the bounds that it passed, such as `officer_count`; new ones may come")
    targets: list[TargetAnswer]
    order_list: list[OrderAnswer]
    unreachable: list[Unreachable]
    erased: bool = Field(
        description="its key was destroyed: the targets' values and holders read `[erased]`, and its body is gone"
    )

    def shows_targets_of(self) -> list[UUID]:
        """Return the requests whose targets are shown: a lift and an extension show those of their original."""
        return [self.id] if self.original_request_id is None else [self.id, self.original_request_id]


class RequestPage(Answer):
    """A page of requests, newest first; ``next`` goes into ``after``."""

    items: list[RequestSummary]
    next: str | None


class FactAnswer(Answer):
    """One fact of a timeline: the code, who and when, and a sentence in each language."""

    sequence: int
    at: Instant
    code: str
    actor: dict[str, str]
    data: dict[str, object]
    text: dict[str, str]
    hash: str


class TimelineAnswer(Answer):
    """The facts of a request, told in order."""

    request_id: UUID
    reference: str
    facts: list[FactAnswer]
