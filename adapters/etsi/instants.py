"""Instants as TS 103 280 writes them: to the second in objects, to the microsecond in headers."""

from datetime import UTC, datetime


def qualified(text: str) -> str:
    """Return an RFC 3339 instant as QualifiedDateTime in UTC; fractions are cut, so a deadline never moves later.

    Raises ``ValueError`` for what is no instant or has no zone.
    """
    return _utc(datetime.fromisoformat(text)).strftime("%Y-%m-%dT%H:%M:%SZ")


def microseconds(at: datetime) -> str:
    """Return an aware instant as QualifiedMicrosecondDateTime in UTC; raises ``ValueError`` for a naive one."""
    return _utc(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return at.astimezone(UTC)
