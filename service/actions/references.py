"""The references that people read, say and type: a prefix, the day in Vietnam, and letters that nobody can guess."""

import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows import working_hours

# Crockford's alphabet: no letter that a tired eye takes for a digit.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def drawn(prefix: str, letters: int, now: datetime) -> str:
    """Return a reference, as HT-261124-7K3MQ9, that somebody may have already."""
    letters_drawn = "".join(secrets.choice(ALPHABET) for _ in range(letters))
    return f"{prefix}-{now.astimezone(working_hours.VIETNAM):%y%m%d}-{letters_drawn}"


async def draw(conn: AsyncConnection, taken: sa.Column[str], prefix: str, letters: int, now: datetime) -> str:
    """Return a reference that no row has in the column ``taken`` yet."""
    while True:
        reference = drawn(prefix, letters, now)
        if (await conn.execute(sa.select(taken).where(taken == reference))).first() is None:
            return reference
