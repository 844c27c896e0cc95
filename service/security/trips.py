"""A browser's way to a sign-in and back: one secret in its cookie, from which all else that must match is derived."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from service.security.single_use import SingleUse

LIFETIME = timedelta(minutes=10)
_KEPT = timedelta(minutes=1)
_FORM = re.compile(r"([0-9]{10})\.([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Trip:
    """What a browser began; nothing of it is stored before it comes back, and then only that it did.

    ``cookie`` is the value for the browser. What a provider or an authenticator is given is derived from it and does
    not lead back to it, so that only the browser that began can finish, once (RFC 6749, 10.12: login CSRF).
    """

    cookie: str = field(repr=False)
    began_at: datetime

    @classmethod
    def begin(cls, now: datetime) -> "Trip":
        """Begin one, with 256 random bits."""
        began_at = now.replace(microsecond=0)
        return cls(f"{int(began_at.timestamp()):010}.{secrets.token_urlsafe(32)}", began_at)

    @classmethod
    def read(cls, presented: str, now: datetime) -> "Trip | None":
        """Return the trip of a cookie, or None for what is none and for one that began too long ago.

        The instant is part of what is derived from: whoever changes it has another trip.
        """
        found = _FORM.fullmatch(presented)
        if found is None:
            return None
        began_at = datetime.fromtimestamp(int(found[1]), UTC)
        return cls(presented, began_at) if timedelta(0) <= now - began_at + _KEPT < LIFETIME + _KEPT else None

    @property
    def state(self) -> str:
        """The ``state`` of an authorization request."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The ``nonce`` that the ID token must carry."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The ``code_verifier`` of PKCE (RFC 7636): 43 characters."""
        return self._derived("verifier")

    @property
    def challenge(self) -> bytes:
        """What a passkey signs the SHA-256 of."""
        return self._derived("passkey").encode()

    def is_of(self, state: str) -> bool:
        """Tell whether a ``state`` that came back is this trip's, in constant time; any text may be presented."""
        return hmac.compare_digest(self.state.encode(), state.encode("utf-8", "surrogatepass"))

    @property
    def single(self) -> SingleUse:
        """What is spent with the sign-in, so that nobody arrives twice."""
        return SingleUse("console.trip", self.state, self.began_at + LIFETIME + 2 * _KEPT)

    def _derived(self, use: str) -> str:
        mac = hmac.new(self.cookie.encode(), f"hoatoc trip {use}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
