"""The shapes of a replay: which dispatches are sent once more, how many that would be, and how many it was."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.common import Answer, Instant, Shape, Slug
from workflows.replay import Replayed
from workflows.terms import Channel


class ReplaySelection(Shape):
    """Which dispatches: by order, by endpoint, by participant, or by when they were made; all that is named must fit.

    ``until`` makes it safe to repeat: what was sent once more after that instant does not belong to it any longer.
    """

    which: Replayed
    order_id: UUID | None = None
    endpoint_id: UUID | None = None
    participant_id: Slug | None = None
    since: Instant | None = Field(default=None, description="made at this instant or later")
    until: Instant = Field(description="made before this instant, and not sent once more since; never in the future")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.order_id is None and self.endpoint_id is None and self.participant_id is None and self.since is None:
            raise PydanticCustomError("replay.everything", "an order, an endpoint, a participant or a beginning")
        if self.since is not None and self.since >= self.until:
            raise PydanticCustomError("replay.no_time", "a beginning before the end")
        return self


class ReplayCount(Answer):
    """How many would go to one endpoint."""

    participant_id: str
    endpoint_id: UUID
    channel: Channel
    count: int


class ReplayPreview(Answer):
    """What a replay of this selection would send, and how much of what fits it is over, or has nowhere to go."""

    count: int
    left_out: int = Field(
        description="over meanwhile (lifted, answered, erased), or of an endpoint that is not in use any more"
    )
    endpoints: list[ReplayCount]


class ReplayAnswer(Answer):
    """How many were put back into the queue; where there are ``more``, the same selection goes on with them."""

    count: int
    more: bool
