"""The shapes of appeals: what contests a hold, the agency's answer and decision, and what anybody may know of them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.common import Answer, Instant, Name, Shape, Slug
from service.schemas.requests import DetachedJws
from service.schemas.targets import E164
from workflows import appeal
from workflows.terms import AppealGround, AppealReason, AppealState

LongText = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000, pattern=r"^\S[\s\S]*$")]
REQUEST_REFERENCE = r"^HT-[0-9]{6}-[0-9A-Z]{1,12}$"
RequestReference = Annotated[str, StringConstraints(strict=True, pattern=REQUEST_REFERENCE)]


class Appellant(Shape):
    """The person for whom the duty desk files, and how to call back; both are sealed."""

    name: Name
    phone: E164


class NewAppeal(Shape):
    """Contests a hold: of a participant about its own order, or of the duty desk for a person."""

    order_id: UUID | None = Field(default=None, description="the order that holds; a participant always names it")
    request_reference: RequestReference | None = Field(
        default=None, description="the duty desk may name the request instead, as it stands on the paper"
    )
    ground: AppealGround
    statement: LongText = Field(description="what the appellant says; only the agency and whoever filed it read it")
    appellant: Appellant | None = Field(default=None, description="the duty desk's, and only there")

    @model_validator(mode="after")
    def _names_one_thing(self) -> "NewAppeal":
        if (self.order_id is None) == (self.request_reference is None):
            raise PydanticCustomError("appeal.order_or_reference", "exactly one of order_id and request_reference")
        return self


class AppealReply(Shape):
    """The agency's first answer to the appellant."""

    officer_id: Slug = Field(description="who answers for the agency")
    text: LongText


class AppealDecision(Shape):
    """The decision of an officer who did not file the request; what he signs is this body without `signature`."""

    officer_id: Slug
    outcome: Literal[AppealState.UPHELD, AppealState.REJECTED]
    reason_code: AppealReason
    text: LongText | None = None
    signature: DetachedJws | None = Field(
        default=None,
        description="detached ES256 JWS over the RFC 8785 form of this body without it; `typ` hoatoc-decision+jws,"
        " `sub` the appeal's id, `aud` the hub's issuer",
    )

    @model_validator(mode="after")
    def _reason_fits(self) -> "AppealDecision":
        if self.reason_code not in appeal.REASONS[self.outcome]:
            raise PydanticCustomError("appeal.reason_code", "a reason of the other outcome")
        return self


class AppealStateAnswer(Answer):
    """What the reference tells to anybody who has it: how far the appeal is, and nothing about whom."""

    reference: str
    state: AppealState
    filed_at: Instant
    answer_due_at: Instant
    answered_at: Instant | None
    decision_due_at: Instant
    decided_at: Instant | None


class AppealSummary(AppealStateAnswer):
    """One line of a list of appeals."""

    id: UUID
    ground: AppealGround
    agency_id: str
    request_id: UUID
    request_reference: str
    order_id: UUID | None = Field(description="none where it contests all that the request holds")
    filed_for: Literal["participant", "person"]
    participant_id: str | None = Field(description="the participant that filed it; none where the duty desk did")
    reason_code: AppealReason | None = Field(description="of the decision")


class AppealDetail(AppealSummary):
    """An appeal whole. What is sealed is null for those who are not concerned, and so are the officers' ids."""

    statement: str | None
    appellant: Appellant | None
    answer: str | None
    answered_by: str | None
    decision: str | None = Field(description="the decision's text")
    decided_by: str | None
    signature: str | None = Field(description="the deciding officer's, over the decision that he sent")


class AppealPage(Answer):
    """A page of appeals, newest first; ``next`` goes into ``after``."""

    items: list[AppealSummary]
    next: str | None


class WrongfulHolds(Answer):
    """How often an agency's holds were contested, and how often they were wrong."""

    agency_id: str
    holds: int = Field(description="freezes and takedowns that became active")
    appeals: int
    open: int
    upheld: int
    rejected: int
    wrongful_holds: int = Field(description="holds with at least one appeal that was upheld")


class WrongfulHoldsAnswer(Answer):
    """One line an agency."""

    items: list[WrongfulHolds]
