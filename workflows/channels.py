"""Channels in order: when a participant's endpoint is passed over, and which of its endpoints comes next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from workflows.terms import Channel, PassedOver


@dataclass(frozen=True, slots=True)
class Way:
    """One endpoint for orders: ``works`` as long as it is in use, in force and its breaker is closed.

    ``is_served`` is False during a maintenance that the participant announced.
    """

    endpoint_id: UUID
    channel: Channel
    works: bool
    is_served: bool = True


def passed_over(
    endpoint_id: UUID, ways: Sequence[Way], tried_at: datetime, within: timedelta | None, now: datetime
) -> PassedOver | None:
    """Return why the endpoint that an order was given to at ``tried_at`` is passed over, or None while it is not.

    ``within`` is the time that the participant has for the receipt: each of its endpoints has as long, and no
    maintenance takes anything from it.
    """
    here = [way for way in ways if way.endpoint_id == endpoint_id]
    if not any(way.works for way in here):
        return PassedOver.UNREACHABLE
    if within is not None and now >= tried_at + within:
        return PassedOver.NOT_RECEIVED
    return None if any(way.is_served for way in here) else PassedOver.MAINTENANCE


def following(ways: Sequence[Way], tried: Collection[UUID], why: PassedOver | None = None) -> Way | None:
    """Return the first endpoint, in the participant's own order, that works and was not tried, or None.

    One in maintenance comes behind those that are served; to it nothing is passed on for a maintenance alone.
    """
    left = [way for way in ways if way.works and way.endpoint_id not in tried]
    served = next((way for way in left if way.is_served), None)
    return served or (None if why is PassedOver.MAINTENANCE else next(iter(left), None))
