"""Cursors of lists: the sort key of the last row shown, opaque to clients."""

import base64
import binascii
from datetime import UTC, datetime
from uuid import UUID

from service import errors


def write(at: datetime, last: UUID) -> str:
    """Return the cursor of a row by its instant and id."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{last}".encode()).decode().rstrip("=")


def read(cursor: str) -> tuple[datetime, UUID]:
    """Return what ``write`` was given; raise ``InvalidInput`` on ``after`` for anything else."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, _, last = text.partition("|")
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None:
            raise ValueError(at)
        return instant.astimezone(UTC), UUID(last)
    except (ValueError, OverflowError, binascii.Error, UnicodeDecodeError):
        raise errors.InvalidInput.of("after", "cursor.invalid") from None
