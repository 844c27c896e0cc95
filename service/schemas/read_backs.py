"""The shape of a read-back: that a participant is asked what it holds now."""

from uuid import UUID

from pydantic import Field

from service.schemas.common import Answer, HeldMoney, Instant, Shape


class NewReadBack(Shape):
    """Nothing is chosen: what is asked is what is held now."""


class ReadBackAsked(Answer):
    """The question is on its way; the answer will be on the timeline."""

    order_id: UUID
    asked_at: Instant
    amount_held: HeldMoney | None = Field(description="what the participant said last, before this question")
