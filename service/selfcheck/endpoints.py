"""Looks at what each webhook rests on: that two people let it pass, and certificates that are not about to end."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock
from service.engine import definitions
from service.models import Endpoint, Participant, table_of
from service.queries import certifications
from service.selfcheck.check import Check, failed, ok, warning
from workflows.terms import Channel, Purpose

_ENDPOINTS = table_of(Endpoint)
_PARTICIPANTS = table_of(Participant)

# Two administrators and another organisation's authority take part in each change.
ENDS_SOON = timedelta(days=30)
_CERTIFICATES = {"endpoint.ca": "ca_pem", "endpoint.client": "client_certificate"}


async def look(conn: AsyncConnection) -> list[Check]:
    """Name each webhook in use that waits for its approval, and each certificate of one that ends within 30 days."""
    columns = (_ENDPOINTS.c.tenant, _ENDPOINTS.c.url, _ENDPOINTS.c.approved_sha256)
    query = sa.select(*columns, *(_ENDPOINTS.c[name] for name in _CERTIFICATES.values()))
    query = query.where(_ENDPOINTS.c.active, _ENDPOINTS.c.channel == Channel.WEBHOOK)
    now, found = clock.utc_now(), []
    for row in await conn.execute(query.order_by(_ENDPOINTS.c.tenant, _ENDPOINTS.c.url)):
        about = {"participant": row.tenant, "url": row.url}
        is_approved = row.approved_sha256 is not None
        found.append(ok("endpoint.approval", **about) if is_approved else warning("endpoint.approval", "none", **about))
        for check, column in _CERTIFICATES.items():
            found.extend(_certificates(check, getattr(row, column), now, about))
    return found


async def certified(conn: AsyncConnection, *, lasts: timedelta) -> list[Check]:
    """Name each endpoint that gets orders, and until when the examination of its participant counts."""
    sector = _PARTICIPANTS.c.sector
    query = sa.select(_ENDPOINTS, sector).join(_PARTICIPANTS, _PARTICIPANTS.c.id == _ENDPOINTS.c.tenant)
    query = query.where(_ENDPOINTS.c.purpose == Purpose.ORDERS, definitions.may_be_used())
    now, found = clock.utc_now(), []
    for row in (await conn.execute(query.order_by(_ENDPOINTS.c.tenant, _ENDPOINTS.c.url))).all():
        address = (urlsplit(row.url).hostname, row.port)
        fitting = await certifications.fitting(conn, row.tenant, row.sector, row.channel, address, now, lasts)
        counting = [each for each in fitting if each.definition_sha256 in (None, row.approved_sha256)]
        about = {"participant": row.tenant, "address": row.url or str(row.channel)}
        if counting:
            found.append(ok("endpoint.certification", **about, end=(counting[0].ended_at + lasts).date().isoformat()))
        else:
            found.append(warning("endpoint.certification", "none", **about))
    return found


def _certificates(check: str, pem: str | None, now: datetime, about: dict[str, Any]) -> Iterator[Check]:
    if pem is None:
        return
    # Of several authorities each may be the one that the next certificate hangs on.
    for certificate in x509.load_pem_x509_certificates(pem.encode()):
        end = certificate.not_valid_after_utc
        said = {**about, "end": end.date().isoformat()}
        if end <= now:
            yield failed(check, "ended", **said)
        elif end - now < ENDS_SOON:
            yield warning(check, "ends", **said)
        else:
            yield ok(check, **said)
