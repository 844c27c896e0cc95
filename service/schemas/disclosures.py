"""The shapes of a disclosure: the coded minimum that a participant answers, and what its agency is shown of it."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Day, Instant, Name, Shape
from service.schemas.targets import E164
from workflows.terms import Datum, DocumentKind, HolderState

Mailbox = Annotated[str, StringConstraints(strict=True, max_length=254, pattern=r"^[^\s@]{1,64}@[^\s@]+$")]


class HolderDocument(Shape):
    """The paper by which the participant identified the holder."""

    kind: DocumentKind
    number: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Za-z][0-9A-Za-z ./-]{0,31}$")]


class Disclosed(Shape):
    """One member for each datum; only what was asked may be given."""

    holder_name: Name | None = None
    holder_document: HolderDocument | None = None
    holder_birth_date: Day | None = None
    contact_phone: E164 | None = None
    contact_email: Mailbox | None = None
    opened_on: Day | None = Field(default=None, description="the account, number or registration exists since")
    state: HolderState | None = None

    @property
    def given(self) -> frozenset[Datum]:
        """What it says something about."""
        return frozenset(Datum(name) for name in self.model_fields_set if getattr(self, name) is not None)


class DisclosureAnswer(Answer):
    """What one participant disclosed about one target; a later one completes or corrects an earlier one."""

    order_id: UUID
    participant_id: str
    target: int = Field(description="the target's place in the request, from 0")
    received_at: Instant
    disclosed: Disclosed
    not_held: list[Datum] = Field(description="asked, and the participant does not hold it")


class DisclosureList(Answer):
    """What was asked and what has been disclosed so far, oldest first."""

    request_id: UUID
    asked: list[Datum]
    items: list[DisclosureAnswer]
    erased: bool = Field(description="the request's key was destroyed: nobody can read what was disclosed any more")
