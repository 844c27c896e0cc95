"""A participant's answer to an order, with the bytes as they were received."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Outcome, RefusalCode


class Acknowledgement(SQLModel, table=True):
    """A participant's answer to an order, with the bytes as they were received."""

    __tablename__ = "acknowledgements"

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    participant_id: str = Field(foreign_key="participants.id", max_length=64)
    order_id: UUID = Field(foreign_key="orders.id", index=True)
    outcome: Outcome = columns.code(Outcome)
    amount_held: int | None = Field(default=None, sa_type=sa.BigInteger)
    amount_returned: int | None = Field(default=None, sa_type=sa.BigInteger)
    refusal_code: RefusalCode | None = columns.code(RefusalCode, nullable=True)
    ported_to: str | None = Field(default=None, max_length=64)
    body_sealed: bytes
    body_sha256: str = Field(max_length=64)
    # The participant's detached JWS over the body; "received" needs none.
    signature: str | None = Field(default=None, sa_type=sa.Text)
    client_id: str = Field(max_length=64)
    # It contradicts a final answer: it changed nothing and a coordinator has a task.
    contradicts: bool = False
    received_at: datetime
