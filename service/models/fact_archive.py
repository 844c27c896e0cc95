"""A month of facts that is in an archive, with the signed manifest of it; perhaps it is nowhere else any more."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class FactArchive(SQLModel, table=True):
    """A month of facts that is in an archive, with the signed manifest of it; perhaps it is nowhere else any more."""

    __tablename__ = "fact_archives"

    # As ISO 8601 writes it: 2026-11.
    month: str = Field(primary_key=True, max_length=7)
    entries: int
    manifest: str = Field(sa_type=sa.Text)
    archived_by: str = Field(max_length=80)
    archived_at: datetime
    # When its rows left the database; None where they are still here.
    dropped_at: datetime | None = None
