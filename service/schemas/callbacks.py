"""The shapes of call-backs: what somebody heard about a held request, and the number that is called."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Shape
from service.schemas.targets import E164
from workflows.terms import CallbackOutcome, RequestState

Note = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000, pattern=r"^\S[\s\S]*$")]


class CallbackAnswer(Shape):
    """What one person heard who called the agency back, over the number in the registry."""

    outcome: CallbackOutcome
    note: Note | None = Field(default=None, description="it is sealed, for it may name people")


class CallbackAnswered(Answer):
    """What became of the request: a denial refuses it, the second person's confirmation releases it."""

    request_id: UUID
    outcome: CallbackOutcome
    state: RequestState
    confirmations: int = Field(description="how many different people have confirmed it")
    confirmations_needed: int


class Call(Answer):
    """Whom to telephone, over which number of the registry: never the one that a request brings along."""

    participant_id: str
    name: str
    phone: str | None = Field(description="none: the registry knows no number, ask the hub's administrators")


class NewDutyPhone(Shape):
    """The number of a participant's duty desk; null takes it away."""

    phone: E164 | None


class DutyPhone(Answer):
    """The number of a participant's duty desk, as the registry has it now."""

    participant_id: str
    phone: str | None
