"""The shapes of requests as an agency files them: eight demands, each with what it must name."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.common import Day, Instant, Money, Name, Sha256, Shape, ShortText, Slug
from service.schemas.targets import (
    E164,
    AnyTarget,
    HolderTarget,
    Institution,
    MoneyTarget,
    RecallTarget,
    TakedownTarget,
)
from workflows import trace
from workflows.table import written
from workflows.terms import Action, Datum, ExtendReason, LegalBasis, Measure, Urgency

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
    reason: ExtendReason | None = Field(default=None, description="why it has to last longer; told on the timeline")


_PaymentId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=35, pattern=r"^\S(.*\S)?$")]


class Payment(Shape):
    """The payment that brought the money: how the institution that sent it calls it."""

    reference: _PaymentId = Field(description="transaction id at the sending institution; ISO 20022 `OrgnlTxId`")
    sent_on: Day = Field(description="the day on which it was sent, in Vietnam")
    sender: Institution = Field(description="the sending institution: BIN, SWIFT code or short name")
    end_to_end_id: _PaymentId | None = Field(default=None, description="ISO 20022 `OrgnlEndToEndId`, where it is known")


class RecallRequest(_Demand):
    """Send the money of a known payment back, as much of the amount as is still there; nothing stays held."""

    action: Literal[Action.RECALL]
    target: RecallTarget = Field(description="where the money was sent to")
    amount: Money
    payment: Payment


class DiscloseRequest(_Demand):
    """Say who stands behind the targets, by the data that are named and no others; the holder is not told."""

    action: Literal[Action.DISCLOSE]
    targets: Annotated[list[HolderTarget], Field(min_length=1, max_length=MAX_TARGETS)]
    asked: Annotated[list[Datum], Field(min_length=1, max_length=len(Datum))] = Field(
        description="each must apply to every target: file one request a kind of target where they differ"
    )


class Window(Shape):
    """The time that a trace looks back on, both ends included."""

    since: Instant
    until: Instant = Field(
        description=f"at most {written(trace.LONGEST_WINDOW)} after `since`, and no later than the filing"
    )


class TraceRequest(_Demand):
    """Say where the money of one account, wallet or card came from and went; the holder is not told."""

    action: Literal[Action.TRACE]
    target: MoneyTarget
    window: Window


SubmitRequest = Annotated[
    FreezeRequest
    | LiftRequest
    | ExtendRequest
    | TakedownRequest
    | PreserveRequest
    | RecallRequest
    | DiscloseRequest
    | TraceRequest,
    Field(discriminator="action"),
]
