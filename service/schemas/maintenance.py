"""The shapes of maintenance windows: announced by a participant's own system or for it by a coordinator, and ended."""

from uuid import UUID

from pydantic import Field

from service.schemas.common import Answer, Instant, Shape
from workflows.maintenance import MaintenanceReason


class NewMaintenance(Shape):
    """A time in which an endpoint, or none of them, is served. No deadline waits for it."""

    endpoint_id: UUID | None = Field(default=None, description="one endpoint; absent: all of the participant's")
    starts_at: Instant | None = Field(default=None, description="absent: from now on; at most 60 days ahead")
    ends_at: Instant = Field(description="at most 12 hours after the start")
    reason: MaintenanceReason


class MaintenanceEnd(Shape):
    """The window that is over before its time, or does not take place."""

    window_id: UUID


class MaintenanceAnswer(Answer):
    """A window as it is announced."""

    id: UUID
    endpoint_id: UUID | None
    starts_at: Instant
    ends_at: Instant
    reason: MaintenanceReason
    announced_at: Instant
    ended_at: Instant | None = Field(description="when it was called off or ended early")


class MaintenanceList(Answer):
    """The windows of a participant that are not over, in the order of their beginnings."""

    items: list[MaintenanceAnswer]
