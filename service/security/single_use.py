"""A single-use identifier as a value: it may have one effect, on any node, until what carried it has expired."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class SingleUse:
    """The ``jti`` of a token, a proof or a signature; ``issuer`` says whose and of which kind it is.

    Kept until ``expires_at``, which lies a minute behind the last instant at which any clock could still take it.
    """

    issuer: str
    identifier: str
    expires_at: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of the identifier in hex: what is stored has one length, whatever a client chose to write."""
        return hashlib.sha256(self.identifier.encode()).hexdigest()

    def row(self) -> dict[str, Any]:
        """Return the row that spends it."""
        return {"issuer": self.issuer, "identifier": self.digest, "expires_at": self.expires_at}
