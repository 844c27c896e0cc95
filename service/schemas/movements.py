"""The shapes of a trace: the movements that a participant answers with, and what the agency is shown of them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Instant, Money, Shape
from service.schemas.demands import Window
from service.schemas.targets import Institution
from workflows import trace
from workflows.terms import Direction, MovementKind, TargetKind


class Counterparty(Shape):
    """Where the money came from or went to: the account, and the institution that keeps it; never a name."""

    kind: Literal[TargetKind.ACCOUNT, TargetKind.WALLET, TargetKind.CARD]
    value: Annotated[str, StringConstraints(strict=True, pattern=r"^\+?[0-9A-Za-z._-]{4,34}$")] = Field(
        description="its number, of a card as far as you know it"
    )
    institution: Institution = Field(description="BIN, SWIFT code or short name")


class Movement(Shape):
    """One movement on the account that is traced."""

    direction: Direction = Field(description="`out` left the account")
    amount: Money
    at: Instant = Field(description="when it was booked; inside the window")
    kind: MovementKind
    counterparty: Counterparty | None = Field(default=None, description="none of cash, or where you do not know it")


class Traced(Shape):
    """What moved within the window, the largest first."""

    movements: Annotated[list[Movement], Field(max_length=trace.MOST_MOVEMENTS)] = Field(
        description="largest amount first, whichever way it went; an empty list says that nothing moved"
    )
    has_more: bool = Field(strict=True, description="there were more in the window than are listed")


class Total(Answer):
    """What the listed movements come to, one way."""

    direction: Direction
    count: int
    value: str = Field(description="minor units, in digits; up to 18 of them, which no float keeps")
    currency: Literal["VND"] = "VND"


class TraceAnswer(Answer):
    """What one participant answered to a trace; a later answer completes or corrects an earlier one."""

    order_id: UUID
    participant_id: str
    received_at: Instant
    movements: list[Movement]
    has_more: bool
    totals: list[Total] = Field(description="of the movements that are listed, one for each direction that occurs")


class MovementList(Answer):
    """What was asked and what has been answered so far, oldest first."""

    request_id: UUID
    window: Window
    items: list[TraceAnswer]
    erased: bool = Field(description="the request's key was destroyed: nobody can read what was answered any more")
