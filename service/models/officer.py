"""An officer of an agency: rank, number, powers; the name is sealed and shown only in evidence."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import JSON, Field, SQLModel


class Officer(SQLModel, table=True):
    """An officer of an agency: rank, number, powers; the name is sealed and shown only in evidence."""

    __tablename__ = "officers"
    __table_args__ = (sa.UniqueConstraint("tenant", "number"),)

    id: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    name_sealed: bytes
    rank: str = Field(max_length=32)
    number: str = Field(max_length=32)
    powers: list[str] = Field(sa_type=JSON)
    active: bool = True
    # The appointment ends by itself; none: until somebody ends it.
    appointed_until: datetime | None = None
    # When he was suspended: his name is kept for a term from then on.
    left_at: datetime | None = None
    created_at: datetime
