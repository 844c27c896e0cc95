"""The shapes of requests: five demands that an agency files, and what the hub answers."""

from datetime import date, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.common import Answer, Day, HeldMoney, Instant, Money, Name, Sha256, Shape, ShortText, Slug
from service.schemas.targets import E164, AnyTarget, MoneyTarget, TakedownTarget
from workflows.table import written
from workflows.terms import (
    Action,
    LegalBasis,
    Measure,
    OrderState,
    RequestState,
    Stage,
    TargetKind,
    Urgency,
)

MAX_TARGETS = 100

# How far back a start may lie: a request that was signed on paper earlier the same day.
OLDEST_START = timedelta(days=1)
# How far ahead one may lie: what two clocks differ by. Orders are placed at once, a later start would only hold longer.
NEWEST_START = timedelta(minutes=5)
_STARTS = (
    f"default: now; at most {written(OLDEST_START)} back, and {written(NEWEST_START)} ahead, for a clock that is fast:"
    " a request takes effect at once"
)

CaseNumber = Annotated[str, StringConstraints(strict=True, pattern=r"^[\w][\w /.-]{0,63}$")]


class Document(Shape):
    """The legal paper behind a request: the written decision or request of the competent authority."""

    number: Annotated[str, StringConstraints(strict=True, pattern=r"^[\w][\w /.-]{0,63}$")]
    date: Day
    sha256: Sha256 = Field(description="digest of the signed paper's file")


class AgencyContact(Shape):
    """Whom a participant calls back about this request."""

    name: Name
    phone: E164
    email: Annotated[str, StringConstraints(strict=True, max_length=254, pattern=r"^[^\s@]+@[^\s@]+$")] | None = None


class _Demand(Shape):
    case_number: CaseNumber
    urgency: Urgency
    legal_basis: LegalBasis
    officer_id: Slug = Field(description="the signing officer, enrolled with the filing agency")
    province_code: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{2}$")] | None = Field(
        default=None, description="the province that the matter lies in; some bases bind an agency to its own"
    )
    document: Document
    contact: AgencyContact


class WholeAccount(Shape):
    """A hold on everything: only with a reason, and only on a basis that allows it."""

    reason: ShortText


class FreezeRequest(_Demand):
    """Hold an amount (or, with a reason, the whole) on one account, wallet or card, until a named end."""

    action: Literal[Action.FREEZE]
    target: MoneyTarget
    amount: Money | None = None
    whole_account: WholeAccount | None = None
    starts_at: Instant | None = Field(default=None, description=_STARTS)
    ends_at: Instant | None = Field(default=None, description="default: 72 h after the start, or what the basis allows")

    @model_validator(mode="after")
    def _amount_or_whole(self) -> "FreezeRequest":
        if (self.amount is None) == (self.whole_account is None):
            raise PydanticCustomError("freeze.amount_or_whole_account", "exactly one of amount and whole_account")
        return self


class TakedownRequest(_Demand):
    """Block, suspend or remove up to 100 numbers, sender names, accounts, domains, addresses or pieces of content."""

    action: Literal[Action.TAKEDOWN]
    measure: Measure
    targets: Annotated[list[TakedownTarget], Field(min_length=1, max_length=MAX_TARGETS)]
    starts_at: Instant | None = Field(default=None, description=_STARTS)
    ends_at: Instant | None = Field(default=None, description="the end of a provisional block; none for a removal")


class PreserveRequest(_Demand):
    """Keep what is known about the targets until the end; nothing is blocked and nothing is handed over."""

    action: Literal[Action.PRESERVE]
    targets: Annotated[list[AnyTarget], Field(min_length=1, max_length=MAX_TARGETS)]
    starts_at: Instant | None = Field(default=None, description=_STARTS)
    ends_at: Instant | None = Field(default=None, description="default: 90 days after the start")


class LiftRequest(_Demand):
    """Undo a freeze, a block or a preservation; it is a new request, never an edit."""

    action: Literal[Action.LIFT]
    original_request_id: UUID


class ExtendRequest(_Demand):
    """Move the end of a freeze or a preservation; two officers sign it anew."""

    action: Literal[Action.EXTEND]
    original_request_id: UUID
    ends_at: Instant


SubmitRequest = Annotated[
    FreezeRequest | LiftRequest | ExtendRequest | TakedownRequest | PreserveRequest, Field(discriminator="action")
]


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
