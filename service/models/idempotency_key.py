"""The first answer to a client's idempotency key, given again for the same body."""

from datetime import datetime
from typing import Any

from sqlmodel import JSON, Field, SQLModel


class IdempotencyKey(SQLModel, table=True):
    """The first answer to a client's idempotency key, given again for the same body."""

    __tablename__ = "idempotency_keys"

    client_id: str = Field(primary_key=True, max_length=64)
    key: str = Field(primary_key=True, max_length=128)
    tenant: str = Field(max_length=64)
    body_sha256: str = Field(max_length=64)
    answer: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(index=True)
