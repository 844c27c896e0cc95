"""Maintenance windows: how long and how far ahead a participant may announce one; no deadline ever waits for it.

The law's clock does not pause for a bank's maintenance. A window has the next channel tried at once as well, and
changes what people are told; the endpoint itself gets each order too, for an announcement may be wrong.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

HOUR = timedelta(hours=1)
# All assumed: a night's work is shorter, and what lies further ahead is announced again when its day is known.
LONGEST = timedelta(hours=12)
AHEAD = timedelta(days=60)
# How many a participant may have before it: every second one a typing mistake, and there are still enough.
MOST = 50


class MaintenanceReason(StrEnum):
    """Why an endpoint is not served for a while."""

    UPGRADE = "upgrade"
    INFRASTRUCTURE = "infrastructure"
    NETWORK = "network"
    KEYS = "keys"
    SECURITY = "security"
    DRILL = "drill"


class Amiss(StrEnum):
    """What is wrong with a window; its text is the field's code behind ``maintenance.``."""

    PAST = "past"
    NO_TIME = "no_time"
    TOO_LONG = "too_long"
    TOO_FAR = "too_far"


@dataclass(frozen=True, slots=True)
class Wrong:
    """The field of a window that is wrong, and why."""

    field: str
    why: Amiss


def check(starts_at: datetime, ends_at: datetime, now: datetime) -> Wrong | None:
    """Return what is wrong with a window that is announced now, or None.

    Who writes the current minute means now: a form of day and time knows no seconds.
    """
    if starts_at < now.replace(second=0, microsecond=0):
        return Wrong("starts_at", Amiss.PAST)
    if starts_at > now + AHEAD:
        return Wrong("starts_at", Amiss.TOO_FAR)
    if ends_at <= starts_at:
        return Wrong("ends_at", Amiss.NO_TIME)
    return Wrong("ends_at", Amiss.TOO_LONG) if ends_at - starts_at > LONGEST else None


def rests_until(endpoints: Collection[UUID], ends: Mapping[UUID | None, datetime]) -> datetime | None:
    """Return until when none of a participant's endpoints is served; None while orders reach one that is.

    ``ends`` tells until when each of them rests, and under None until when all do.
    """
    if not endpoints:
        return ends.get(None)
    resting = [max(ends[of] for of in (None, each) if of in ends) for each in endpoints if {None, each} & ends.keys()]
    return min(resting) if len(resting) == len(endpoints) else None
