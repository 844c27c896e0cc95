"""The vocabulary of coming in: by which way a person signed in, and why a session ended before its time."""

from enum import StrEnum


class Way(StrEnum):
    """By what a person signed in."""

    LINK = "link"
    PROVIDER = "provider"
    PASSKEY = "passkey"


class SessionEnd(StrEnum):
    """Why a session ended before its time was over."""

    LEFT = "left"
    REVOKED = "revoked"
    MOVED = "moved"
    REPLACED = "replaced"
    PROVIDER = "provider"
    SENT_HOME = "sent_home"
