"""The last fact of a chain: it exposes a deleted tail, and its row lock is the lock of its request."""

from sqlmodel import Field, SQLModel


class AuditHead(SQLModel, table=True):
    """The last fact of a chain: it exposes a deleted tail, and its row lock is the lock of its request."""

    __tablename__ = "audit_heads"

    chain: str = Field(primary_key=True, max_length=80)
    tenant: str = Field(max_length=64)
    sequence: int
    hash: bytes
