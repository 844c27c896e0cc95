"""JSON pointers (RFC 6901) that are safe to send back: a name that the caller made up never travels in an answer."""

import re
from collections.abc import Iterable

# Our own member names look like this; anything else is somebody's text, with personal data or worse in it. None has
# more than three digits, and payments, documents and accounts have.
_NAME = re.compile(r"(?!(?:[^0-9]*[0-9]){4})[A-Za-z_][A-Za-z0-9_.-]{0,63}")
HIDDEN = "*"


def build(parts: Iterable[str | int]) -> str:
    """Return the pointer to a value by the names and positions on the way to it; a strange name becomes ``*``."""
    return "".join(f"/{_safe(part)}" for part in parts)


def _safe(part: str | int) -> str:
    if isinstance(part, int) or _NAME.fullmatch(part):
        return str(part)
    return HIDDEN
