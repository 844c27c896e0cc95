"""What the live board consists of: groups by how a deadline stands, lines of one order each, and what narrows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from workflows import amounts
from workflows.terms import Action, OrderState, Sector, Stage, Urgency


class Group(StrEnum):
    """Where an order stands against its next deadline."""

    BREACHED = "breached"
    QUARTER = "quarter"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Filter:
    """What the board is narrowed to; ``group`` shows one group alone, ``after`` goes on where a page of it ended."""

    agency: str | None = None
    participant: str | None = None
    sector: Sector | None = None
    action: Action | None = None
    urgency: Urgency | None = None
    text: str = ""
    group: Group | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One order: what it waits for and until when, how far the ladder climbed, when its participant was last heard.

    ``rests_until`` is the end of a maintenance of all of its participant's endpoints, while it lasts.
    """

    id: UUID
    group: Group
    request_id: UUID
    reference: str
    urgency: Urgency
    action: Action
    state: OrderState
    tenant: str
    participant_id: str
    amount: int | None
    amount_done: int | None
    whole_account: bool
    stage: Stage | None
    started_at: datetime | None
    due_at: datetime | None
    changed_at: datetime
    rung: int
    channel: str | None
    attempts: int
    heard_at: datetime | None
    rests_until: datetime | None = None

    @property
    def is_partly(self) -> bool:
        """Tell whether less was done than asked."""
        return amounts.is_partly(self.state, self.amount, self.amount_done)


@dataclass(frozen=True, slots=True)
class Board:
    """The groups with how many orders each has, its first lines, and the cursor behind them where there are more."""

    lines: Mapping[Group, Sequence[Line]]
    totals: Mapping[Group, int]
    next: Mapping[Group, str]
