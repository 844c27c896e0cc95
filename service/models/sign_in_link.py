"""A single-use link by which a person signs in to the console; only its digest is kept."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Role


class SignInLink(SQLModel, table=True):
    """A single-use link by which a person signs in to the console; only its digest is kept."""

    __tablename__ = "sign_in_links"

    digest: bytes = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    person: str = Field(max_length=64)
    role: Role = columns.code(Role)
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
