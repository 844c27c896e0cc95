"""A police matter; it groups the requests that follow the money."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class Case(SQLModel, table=True):
    """A police matter; it groups the requests that follow the money."""

    __tablename__ = "cases"
    __table_args__ = (sa.UniqueConstraint("tenant", "number"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    number: str = Field(max_length=64)
    opened_at: datetime
