"""One live work item of the dispatch queue: deleted when its dispatch is done or dead."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns


class QueueItem(SQLModel, table=True):
    """One live work item of the dispatch queue: deleted when its dispatch is done or dead."""

    __tablename__ = "dispatch_queue"
    __table_args__ = (
        columns.partial_index("ix_dispatch_queue_ready", "endpoint_id", "priority", "run_at", "id", where="NOT leased"),
        columns.partial_index("ix_dispatch_queue_leased", "node", where="leased"),
        columns.partial_index(
            "uq_dispatch_queue_serial", "order_key", where="leased AND order_key IS NOT NULL", unique=True
        ),
        columns.partial_index("ix_dispatch_queue_order", "order_key", "id", where="order_key IS NOT NULL"),
        # SQLite gives the number of a row that is gone to the next one; a call that is under way would end that one.
        {"sqlite_autoincrement": True},
    )

    id: int | None = columns.identity()
    tenant: str = Field(max_length=64)
    dispatch_id: UUID = Field(foreign_key="dispatches.id", unique=True)
    endpoint_id: UUID
    # 0 first attempt of what is urgent, 1 of anything else; 2 and 3 retries, likewise; 4 a replay.
    priority: int = Field(sa_type=sa.SmallInteger)
    run_at: datetime
    leased: bool = False
    attempt: int = Field(default=0, sa_type=sa.Integer)
    # Hash of case, target and endpoint: a lift must not overtake its freeze.
    order_key: int | None = Field(default=None, sa_type=sa.BigInteger)
    lease_id: UUID | None = None
    node: str | None = Field(default=None, max_length=80)
    lease_until: datetime | None = None
