"""The shapes of a participant's side: the inbox of orders and the acknowledgements that answer them."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.common import Answer, HeldMoney, Instant, Money, Shape
from service.schemas.disclosures import Disclosed
from service.schemas.movements import Traced
from workflows.terms import OrderState, Outcome, RefusalCode


class AcknowledgementBody(Shape):
    """A participant's answer to an order."""

    outcome: Outcome
    amount_held: HeldMoney | None = Field(
        default=None, description="what is held now; less than asked is a partial hold, a larger amount may follow"
    )
    amount_returned: Money | None = Field(
        default=None, description="what was sent back; less than asked is a part, a larger amount may follow"
    )
    disclosed: Disclosed | None = Field(
        default=None, description="what was asked, as far as you hold it; what is left out counts as not held"
    )
    traced: Traced | None = Field(default=None, description="of a trace: what moved in the window, the largest first")
    refusal_code: RefusalCode | None = None
    ported_to: (
        Annotated[str, StringConstraints(strict=True, min_length=2, max_length=64, pattern=r"^\S(.*\S)?$")] | None
    ) = Field(default=None, description="who has it now: participant id, short name, or MCC-MNC")
    reference: Annotated[str, StringConstraints(strict=True, max_length=64, pattern=r"^\S+$")] | None = Field(
        default=None, description="the participant's own number of the matter"
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> "AcknowledgementBody":
        if self.amount_held is not None and self.outcome is not Outcome.EXECUTED:
            raise PydanticCustomError("acknowledgement.amount_without_execution", "amount_held goes with executed")
        if self.amount_returned is not None and self.outcome is not Outcome.EXECUTED:
            raise PydanticCustomError("acknowledgement.return_without_execution", "amount_returned goes with executed")
        if self.disclosed is not None and self.outcome is not Outcome.EXECUTED:
            raise PydanticCustomError("acknowledgement.disclosure_without_execution", "disclosed goes with executed")
        if self.traced is not None and self.outcome is not Outcome.EXECUTED:
            raise PydanticCustomError("acknowledgement.trace_without_execution", "traced goes with executed")
        if (self.refusal_code is not None) != (self.outcome is Outcome.REFUSED):
            raise PydanticCustomError("acknowledgement.refusal_code", "refusal_code goes with refused, and only there")
        if self.refusal_code is RefusalCode.NOT_MINE:
            raise PydanticCustomError("acknowledgement.not_mine", "say outcome not_mine instead")
        if self.ported_to is not None and self.outcome is not Outcome.NOT_MINE:
            raise PydanticCustomError("acknowledgement.ported_to", "ported_to goes with not_mine")
        return self


class AcknowledgementAccepted(Answer):
    """What the hub made of an answer."""

    id: UUID
    order_id: UUID
    state: OrderState
    repeated: bool = Field(description="the same answer was given before; nothing changed")
    contradicts: bool = Field(description="it contradicts a final answer: nothing changed, a coordinator has a task")


class InboxItem(Answer):
    """One message of a pull inbox, with the very body that a webhook would have carried."""

    position: int
    id: str
    type: str
    subject: str
    occurred_at: Instant
    sequence: int
    body: dict[str, Any]
    signature: str | None = Field(
        description="the hub's detached ES256 JWS over the RFC 8785 form of `body`, as a webhook has it in the header"
        " `Hoatoc-Signature`; null for an order from before orders were signed"
    )


class InboxPage(Answer):
    """What came after the cursor; coming back with ``next`` confirms that these were received."""

    items: list[InboxItem]
    next: int


class AcknowledgementAnswer(Answer):
    """An answer that the participant gave."""

    id: UUID
    outcome: Outcome
    amount_held: HeldMoney | None
    amount_returned: HeldMoney | None
    refusal_code: RefusalCode | None
    received_at: Instant
    contradicts: bool


class ParticipantOrder(Answer):
    """An order as its participant sees it."""

    id: UUID
    state: OrderState
    body: dict[str, Any] = Field(description="empty once the request is erased")
    signature: str | None = Field(description="the hub's own, over the RFC 8785 form of `body`")
    acknowledgements: list[AcknowledgementAnswer] = Field(description="what was answered, oldest first")
    erased: bool = Field(description="the request's key was destroyed: nobody can read the order any more")
