"""Where a participant receives orders, statuses or notices, over one channel."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Channel, Purpose


class Endpoint(SQLModel, table=True):
    """Where a participant receives orders, statuses or notices, over one channel."""

    __tablename__ = "endpoints"
    __table_args__ = (
        sa.CheckConstraint(
            "approved_sha256 IS NULL OR (proposed_by IS NOT NULL AND approved_by IS NOT NULL"
            " AND approved_at IS NOT NULL AND approved_by <> proposed_by)",
            name="approved_by_another",
        ),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    channel: Channel = columns.code(Channel)
    purpose: Purpose = columns.code(Purpose)
    # An https address of a webhook; empty for the pull inbox; a person's e-mail address is sealed instead.
    url: str = Field(default="", max_length=500)
    address_sealed: bytes | None = None
    network: str | None = Field(default=None, max_length=64)
    port: int | None = None
    ca_pem: str | None = Field(default=None, sa_type=sa.Text)
    client_certificate: str | None = Field(default=None, sa_type=sa.Text)
    # Of a webhook: the digest of what two persons let pass (engine.definitions). Without it nothing is sent.
    approved_sha256: str | None = Field(default=None, max_length=64)
    proposed_by: str | None = Field(default=None, max_length=64)
    approved_by: str | None = Field(default=None, max_length=64)
    approved_at: datetime | None = None
    secret_sealed: bytes | None = None
    previous_secret_sealed: bytes | None = None
    previous_secret_until: datetime | None = None
    max_in_flight: int = 8
    # How many calls may begin in a second, all nodes together; None: as many as there is room for.
    max_per_second: int | None = None
    timeout_seconds: int = 10
    # Whether several messages may come in one call; only a webhook can say so.
    batch: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    # The order in which a participant's endpoints of one purpose are used: the lowest first.
    position: int = 1
    # The last position given out in a pull inbox; its row lock makes positions appear in the order of commits.
    inbox_position: int = Field(default=0, sa_type=sa.BigInteger)
    active: bool = True
    created_at: datetime
