"""What a drill's hub knows of the real one: by digests alone, the addresses at which nothing of a drill may arrive."""

import hashlib
import posixpath
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters import targets
from adapters.targets import UrlRefused
from service.models import Installation, table_of

_INSTALLATIONS = table_of(Installation)


def digest(url: str) -> str:
    """Return what a live address is known by in a drill: it can be recognised there, and not be called.

    It is where the URL leads, however it is spelled: host, port and path, without escapes, empty and dotted segments,
    letter case and query. Another name of the same machine is another address.
    """
    return hashlib.sha256(_led_to(url.strip()).lower().encode()).hexdigest()


async def live(conn: AsyncConnection) -> frozenset[str]:
    """Return the digests of the real hub's addresses, as they were when the drill was prepared; none at a real hub."""
    found = (await conn.execute(sa.select(_INSTALLATIONS.c.live_sha256))).scalars()
    return frozenset(each for listed in found for each in listed)


def _led_to(url: str) -> str:
    try:
        target = targets.parse(url)
    except UrlRefused:
        # An earlier build registered spellings that this one does not take: each is known by itself.
        return url
    path = posixpath.normpath("/" + unquote(target.path.partition("?")[0]).lstrip("/"))
    return f"{target.host}:{target.port}{path}"
