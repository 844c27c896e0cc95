"""One line of a duty roster: who is called, over which endpoint, at which hours."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class Contact(SQLModel, table=True):
    """One line of a duty roster: who is called, over which endpoint, at which hours."""

    __tablename__ = "contacts"

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    name_sealed: bytes
    endpoint_id: UUID = Field(foreign_key="endpoints.id")
    # Minutes of the Vietnamese day, both null for round the clock; from > to passes midnight.
    from_minute: int | None = None
    to_minute: int | None = None
    position: int = 1
    active: bool = True
    created_at: datetime
