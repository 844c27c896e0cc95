"""A dated alias by which routing finds a participant: BIN, SWIFT, folded name, prefix, MCC-MNC, host."""

from datetime import date

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns


class Alias(SQLModel, table=True):
    """A dated alias by which routing finds a participant: BIN, SWIFT, folded name, prefix, MCC-MNC, host."""

    __tablename__ = "aliases"
    __table_args__ = (sa.Index("ix_aliases_lookup", "scheme", "value"),)

    id: int | None = columns.identity()
    participant_id: str = Field(foreign_key="participants.id", max_length=64, index=True)
    scheme: str = Field(max_length=16)
    value: str = Field(max_length=255)
    valid_from: date | None = None
    valid_to: date | None = None
