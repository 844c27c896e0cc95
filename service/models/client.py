"""A system that holds a token: of an agency, a participant, a supervisor or the hub's operator."""

from datetime import datetime

from sqlmodel import JSON, Field, SQLModel


class Client(SQLModel, table=True):
    """A system that holds a token: of an agency, a participant, a supervisor or the hub's operator."""

    __tablename__ = "clients"

    id: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    roles: list[str] = Field(sa_type=JSON)
    active: bool = True
    created_at: datetime
