"""A running node of the hub and when it was last seen."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class Node(SQLModel, table=True):
    """A running node of the hub and when it was last seen."""

    __tablename__ = "nodes"

    # The boot id: new on every start, so that a restarted node cannot complete its former self's work.
    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=80)
    started_at: datetime
    seen_at: datetime
