"""A time in which a participant does not serve an endpoint, or any of them, as it announced."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.maintenance import MaintenanceReason


class MaintenanceWindow(SQLModel, table=True):
    """A time in which a participant does not serve an endpoint, or any of them, as it announced."""

    __tablename__ = "maintenance_windows"

    # Who announced it and who ended it is in the facts: the row names no person.
    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    # Null: all of the participant's endpoints.
    endpoint_id: UUID | None = Field(default=None, foreign_key="endpoints.id")
    starts_at: datetime
    ends_at: datetime = Field(index=True)
    reason: MaintenanceReason = columns.code(MaintenanceReason)
    announced_at: datetime
    # Called off, or done earlier than announced.
    ended_at: datetime | None = None
