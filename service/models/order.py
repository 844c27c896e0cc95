"""A request addressed to one participant about one target; the thing that has a state."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Action, OrderState

_OPEN = "state IN ('placed', 'delivered', 'acknowledged') OR letting_go_since IS NOT NULL"


class Order(SQLModel, table=True):
    """A request addressed to one participant about one target; the thing that has a state."""

    __tablename__ = "orders"
    __table_args__ = (
        sa.Index("ix_orders_inbox", "participant_id", "placed_at", "id"),
        sa.Index("ix_orders_holds", "participant_id", "subject_index"),
        # What the live board reads: the orders that somebody still owes an answer, in the order in which that is due,
        # with all that it counts by; and those with a result of late.
        columns.partial_index("ix_orders_open", "due_at", "id", "tight_at", "tenant", "participant_id", where=_OPEN),
        columns.partial_index("ix_orders_settled", "changed_at", where=f"NOT ({_OPEN})"),
        sa.CheckConstraint("action <> 'freeze' OR ends_at IS NOT NULL", name="freeze_ends"),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    participant_id: str = Field(foreign_key="participants.id", max_length=64)
    request_id: UUID = Field(foreign_key="requests.id", index=True)
    target_id: UUID = Field(foreign_key="targets.id", index=True)
    action: Action = columns.code(Action)
    state: OrderState = columns.code(OrderState)
    sequence: int = 1
    # The target's blind index in the addressed participant's own scope: it tells "another hold exists", no more.
    subject_index: bytes
    amount: int | None = Field(default=None, sa_type=sa.BigInteger)
    amount_held: int | None = Field(default=None, sa_type=sa.BigInteger)
    amount_returned: int | None = Field(default=None, sa_type=sa.BigInteger)
    ends_at: datetime | None = None
    # The order that a lift or an extension is about, or the one that was answered "not mine".
    original_id: UUID | None = Field(default=None, foreign_key="orders.id", index=True)
    rerouted_from_id: UUID | None = Field(default=None, foreign_key="orders.id")
    lift_ordered: bool = False
    # Since when the hub itself waits to hear that nothing is held any more, after an end or a withdrawal.
    letting_go_since: datetime | None = None
    # The earliest of the instants at which what is owed now is due, and of those at which the last quarter of its time
    # begins. Read of open orders alone: when an order is closed they stay as they were.
    due_at: datetime | None = None
    tight_at: datetime | None = None
    placed_at: datetime
    delivered_at: datetime | None = None
    answered_at: datetime | None = None
    changed_at: datetime
