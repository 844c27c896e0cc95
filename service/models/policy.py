"""A version of an escalation policy that an operator wrote; the shipped ones live in workflows/policies."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class Policy(SQLModel, table=True):
    """A version of an escalation policy that an operator wrote; the shipped ones live in workflows/policies."""

    __tablename__ = "policies"

    name: str = Field(primary_key=True, max_length=64)
    version: int = Field(primary_key=True)
    text: str = Field(sa_type=sa.Text)
    created_by: str = Field(max_length=80)
    created_at: datetime
