"""A key of the whole hub, wrapped by the master key that is in force: the row says which one that is."""

from datetime import datetime

from sqlmodel import Field, SQLModel


class RootKey(SQLModel, table=True):
    """A key of the whole hub, wrapped by the master key that is in force: the row says which one that is."""

    __tablename__ = "root_keys"

    # index: what the blind indexes are derived from; index.<number>: what they were derived from before.
    name: str = Field(primary_key=True, max_length=16)
    master: str = Field(max_length=64)
    wrapped: bytes
    created_at: datetime
