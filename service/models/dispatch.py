"""One thing to send, with its attempts: the outbox row of an order, a status or a notice."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Channel, DispatchKind, DispatchState


class Dispatch(SQLModel, table=True):
    """One thing to send, with its attempts: the outbox row of an order, a status or a notice."""

    __tablename__ = "dispatches"
    __table_args__ = (
        sa.Index("ix_dispatches_inbox", "endpoint_id", "position", unique=True),
        columns.partial_index("ix_dispatches_first_id", "first_id", where="first_id IS NOT NULL"),
        columns.partial_index("ix_dispatches_pending", "created_at", where="state = 'pending'"),
        columns.partial_index("ix_dispatches_dead", "created_at", "id", where="state = 'dead'"),
        # What the retention table still has to look at.
        columns.partial_index(
            "ix_dispatches_whole", "settled_at", where="reduced_at IS NULL AND settled_at IS NOT NULL"
        ),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    participant_id: str = Field(foreign_key="participants.id", max_length=64)
    kind: DispatchKind = columns.code(DispatchKind)
    channel: Channel = columns.code(Channel)
    endpoint_id: UUID = Field(foreign_key="endpoints.id")
    request_id: UUID | None = Field(default=None, foreign_key="requests.id", index=True)
    order_id: UUID | None = Field(default=None, foreign_key="orders.id", index=True)
    message_type: str = Field(max_length=64)
    # The message as it was when it was placed: every attempt and every replay sends the same content under the same id.
    message_sealed: bytes
    state: DispatchState = columns.code(DispatchState)
    urgent: bool
    attempts: int = 0
    deadline_at: datetime | None = None
    # Of what another endpoint of the participant was to take first: the dispatch whose message this one carries.
    first_id: UUID | None = None
    # The place in a pull inbox; null for what is sent.
    position: int | None = Field(default=None, sa_type=sa.BigInteger)
    created_at: datetime
    delivered_at: datetime | None = None
    settled_at: datetime | None = None
    # When somebody had it sent once more: its attempts are spread, and given up, as if it had been made then.
    replayed_at: datetime | None = None
    # When its time was over: what endpoints answered went, and of a status or notice its SHA-256 alone stayed.
    reduced_at: datetime | None = None
    message_sha256: str | None = Field(default=None, max_length=64)
