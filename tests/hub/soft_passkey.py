"""An authenticator and its browser: makes a passkey's signature, and each way in which one can be wrong."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc.jwk import ECKey

from service.security import passkeys, signatures
from service.security.signatures import Kind

PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED, EXTENDED = (1 << bit for bit in (0, 2, 3, 4, 6, 7))


def encode(raw: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Passkey:
    """A key in a device, for one site."""

    origin: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    credential_id: str = field(default_factory=lambda: encode(secrets.token_bytes(16)))

    @property
    def public(self) -> dict[str, str]:
        """The public half, as it is registered."""
        members = self.key.as_dict(private=False)
        return {name: str(members[name]) for name in ("kty", "crv", "x", "y")}

    def sign(
        self,
        kind: Kind,
        payload: bytes,
        at: datetime,
        about: object,
        *,
        hub: str | None = None,
        header: dict[str, Any] | None = None,
        **wrong: Any,
    ) -> str:
        """Sign for the hub of its site as a browser and its authenticator do; ``wrong`` replaces a part below."""
        members = {"alg": passkeys.ALGORITHM, "typ": str(kind), "kid": self.key.thumbprint()}
        members |= {"iat": int(at.timestamp()), "jti": secrets.token_urlsafe(16), "sub": str(about)}
        members |= {"aud": hub or self.origin, **(header or {})}
        first = encode(json.dumps(members).encode())
        origin = wrong.get("origin", self.origin)
        said: dict[str, Any] = {
            "type": "webauthn.get",
            "challenge": passkeys.challenge(signatures.signing_input(first, payload)),
            "origin": origin,
            "crossOrigin": False,
            **wrong.get("said", {}),
        }
        client_data = wrong.get("raw") or json.dumps(said).encode()
        site = wrong.get("site", urlsplit(origin).hostname or "")
        flags = bytes([wrong.get("flags", PRESENT | VERIFIED)])
        data = wrong.get("data") or hashlib.sha256(site.encode()).digest() + flags + bytes(4)
        private: Any = self.key.private_key
        der = private.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        half = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{first}..{encode(wrong.get('half', half) + data + client_data)}"
