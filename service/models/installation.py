"""What this database is: the real hub's or a drill's, said once when it was made."""

from sqlmodel import JSON, Field, SQLModel

# There is one row.
HUB = "hub"


class Installation(SQLModel, table=True):
    """What this database is: the real hub's or a drill's, said once when it was made."""

    __tablename__ = "installations"

    name: str = Field(primary_key=True, max_length=16)
    # Written by the owner of the tables when they are made; the hub's own login reads it (ADR 0064).
    drill: bool
    # Of a drill: SHA-256 of the addresses at which the real hub's members receive; nothing is registered at one.
    live_sha256: list[str] = Field(sa_type=JSON)
