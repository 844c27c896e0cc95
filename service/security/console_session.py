"""The console's sign-in as pure values: links, sessions, displays, the token against forged forms, a hidden search."""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LINK_LIFETIME = timedelta(minutes=15)
SESSION_LIFETIME = timedelta(hours=8)
SESSION_IDLE = timedelta(minutes=30)
# The code is typed at the screen by somebody who stands there; the screen then hangs for a month.
CODE_LIFETIME = timedelta(minutes=10)
DISPLAY_LIFETIME = timedelta(days=30)
# Crockford's base 32 without what is read as something else: 40 random bits in two groups of four.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 8
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})
# What somebody searches for is kept so long: somebody's name or number may be in it.
SEARCH_LIFETIME = timedelta(minutes=30)
_SECOND = timedelta(seconds=1)  # the instant is kept in whole ones
_NONCE = 12

LinkToken = NewType("LinkToken", str)
SessionToken = NewType("SessionToken", str)
Digest = NewType("Digest", str)
"""SHA-256 in hex: the only form of a link or a session that is stored, so that a copied table opens nothing."""


def new_link_token() -> tuple[LinkToken, Digest]:
    """Make a sign-in link's token (256 random bits) and the digest to store. The caller spends it once."""
    token = LinkToken(secrets.token_urlsafe(32))
    return token, link_digest(token)


def new_session_token() -> tuple[SessionToken, Digest]:
    """Make a session's token (256 random bits, for the cookie) and the digest to store."""
    token = SessionToken(secrets.token_urlsafe(32))
    return token, session_digest(token)


def link_digest(presented: str) -> Digest:
    """Return the digest by which to look up a link as it was presented, whatever text that is."""
    return _digest(b"link", presented)


def session_digest(presented: str) -> Digest:
    """Return the digest by which to look up a session cookie as it was presented, whatever text that is."""
    return _digest(b"session", presented)


def new_code() -> tuple[str, Digest]:
    """Make the code that pairs a display, as it is shown, and the digest to store. The caller spends it once."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}", code_digest(letters)


def code_digest(presented: str) -> Digest:
    """Return the digest by which to look up a code as somebody typed it: case, blanks and hyphens do not count."""
    typed = "".join(presented.upper().split()).replace("-", "").translate(_MISREAD)
    return _digest(b"display code", typed)


def new_display_token() -> tuple[str, Digest]:
    """Make a display's token (256 random bits, for its cookie) and the digest to store."""
    token = secrets.token_urlsafe(32)
    return token, display_digest(token)


def display_digest(presented: str) -> Digest:
    """Return the digest by which to look up a display's cookie as it was presented, whatever text that is."""
    return _digest(b"display", presented)


def ends_at(started_at: datetime, seen_at: datetime) -> datetime:
    """Return when a session ends if nobody moves any more."""
    return min(started_at + SESSION_LIFETIME, seen_at + SESSION_IDLE)


def link_is_alive(made_at: datetime, now: datetime) -> bool:
    """Tell whether a link that nobody has used yet may still be used."""
    return now - made_at < LINK_LIFETIME


def session_is_alive(started_at: datetime, seen_at: datetime, now: datetime) -> bool:
    """Tell whether a session is neither too old nor idle for too long."""
    return now - started_at < SESSION_LIFETIME and now - seen_at < SESSION_IDLE


def csrf_token(session: SessionToken) -> str:
    """Derive the token that each form of this session carries; it needs no storage and dies with the session."""
    mac = hmac.new(_bytes(session), b"hoatoc console csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def csrf_matches(session: SessionToken, presented: str) -> bool:
    """Compare a form's token with the session's, in constant time; any text may be presented."""
    return hmac.compare_digest(_bytes(csrf_token(session)), _bytes(presented))


def hide(session: SessionToken, text: str, now: datetime) -> str:
    """Return what a person searches for as a cookie keeps it: nobody reads it without this session's own cookie."""
    nonce = secrets.token_bytes(_NONCE)
    plain = int(now.timestamp()).to_bytes(8, "big") + text.encode()
    return base64.urlsafe_b64encode(nonce + AESGCM(_key(session)).encrypt(nonce, plain, None)).rstrip(b"=").decode()


def reveal(session: SessionToken, hidden: str, now: datetime) -> str:
    """Return what ``hide`` kept, or an empty text once it is over, of another session, or anything else."""
    try:
        sealed = base64.urlsafe_b64decode(hidden + "=" * (-len(hidden) % 4))
        plain = AESGCM(_key(session)).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        kept_at = datetime.fromtimestamp(int.from_bytes(plain[:8], "big"), UTC)
        return plain[8:].decode() if timedelta() <= now - kept_at + _SECOND < SEARCH_LIFETIME else ""
    except (ValueError, InvalidTag):
        return ""


def _key(session: SessionToken) -> bytes:
    return hmac.new(_bytes(session), b"hoatoc console search", hashlib.sha256).digest()


def _digest(use: bytes, presented: str) -> Digest:
    # The use is hashed too: a link's token can never pass for a session's.
    return Digest(hashlib.sha256(b"hoatoc console " + use + b"\x00" + _bytes(presented)).hexdigest())


def _bytes(text: str) -> bytes:
    # Cookies and forms are anybody's text, lone surrogates included; hashing must not fail on them.
    return text.encode("utf-8", "surrogatepass")
