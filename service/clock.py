"""The only place that reads the machine's clock and draws identifiers that carry it."""

import hashlib
import os
import time
from datetime import UTC, datetime
from uuid import UUID


def utc_now() -> datetime:
    """Return this machine's instant as aware UTC.

    Deadlines never use it (they ask the database: ``hub_now()``); tokens, logs and identifiers do.
    """
    return datetime.now(UTC)


def written(at: datetime) -> str:
    """Return an aware instant as every answer shows one: RFC 3339 in UTC, ending in ``Z``."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562, 5.7): 48 bits of milliseconds for index locality, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | ((random >> 68) & 0xFFF) << 64
    value |= 0b10 << 62 | (random & ((1 << 62) - 1))
    return UUID(int=value)


def derived_id(*names: object) -> UUID:
    """Return the UUID (version 8, RFC 9562, 5.8) that the same names always give, also on a restored database."""
    digest = hashlib.sha256("\x00".join(map(str, names)).encode()).digest()
    value = int.from_bytes(digest[:16], "big") & ~(0xF << 76 | 0b11 << 62)
    return UUID(int=value | 0x8 << 76 | 0b10 << 62)


def monotonic() -> float:
    """Return seconds that never go back; only differences mean anything."""
    return time.monotonic()
