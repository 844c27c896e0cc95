"""What a person wrote about a request, for the colleagues of the same house."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class Note(SQLModel, table=True):
    """What a person wrote about a request, for the colleagues of the same house."""

    __tablename__ = "notes"

    id: UUID = Field(primary_key=True)
    # The writer's member: its people read the note, and nobody else's.
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    # Whose request it is: the note is sealed under that request's key, and goes with it.
    agency: str = Field(foreign_key="participants.id", max_length=64)
    request_id: UUID = Field(foreign_key="requests.id", index=True)
    author: str = Field(max_length=80)
    body_sealed: bytes
    written_at: datetime = Field(index=True)
