"""Whether a participant may get orders at an endpoint: its system was seen to pass, there, not too long ago."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from service import errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.queries import certifications
from workflows.terms import Purpose


async def check(change: Change, hub: Hub, endpoint: Mapping[str, Any], sha256: str | None = None) -> None:
    """Return if an endpoint, given as the row that comes into force, is certified where this hub asks for it.

    ``sha256`` is the digest of its definition: a report that names another one is of something else. Raises
    ``Conflict`` ``endpoint.not_certified``. What receives no orders needs no certification.
    """
    if not hub.settings.certification_required or endpoint["purpose"] is not Purpose.ORDERS:
        return
    owner = await changes.participant(change)
    address = urlsplit(endpoint["url"])
    found = await certifications.fitting(
        change.conn,
        change.tenant,
        owner.sector,
        endpoint["channel"],
        (address.hostname, endpoint["port"]),
        change.at,
        timedelta(days=hub.settings.certification_days),
    )
    if not any(row.definition_sha256 in (None, sha256) for row in found):
        raise errors.Conflict("endpoint.not_certified")
