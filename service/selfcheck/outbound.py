"""Names where this hub connects to besides participants: the database, mail relay and identity provider."""

from collections.abc import Iterator

import sqlalchemy as sa

from service.selfcheck.check import Check, ok
from service.settings import Settings


def look(chosen: Settings) -> Iterator[Check]:
    """Name them, without users and passwords."""
    url = sa.make_url(chosen.url)
    where = url.database if chosen.embedded else f"{url.host}:{url.port or 5432}"
    yield ok("outbound", "database", where=where)
    if chosen.smtp_host is not None:
        yield ok("outbound", "mail", where=f"{chosen.smtp_host}:{chosen.smtp_port}")
    if chosen.oidc_issuer is not None:
        yield ok("outbound", "provider", where=f"{chosen.oidc_issuer} ({chosen.oidc_network})")
