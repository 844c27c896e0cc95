"""Webhook signatures by the Standard Webhooks specification: sign, verify, rotate."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets as entropy
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
TOLERANCE = 300  # seconds either way; Standard Webhooks: a replay must be recent to pass
# The specification asks for 24 to 64 bytes of randomness.
_SHORTEST, _LONGEST, _NEW = 24, 64, 32
# An id with a dot could shift bytes between id and timestamp under one and the same signature.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class SignatureInvalid(Exception):
    """The headers do not prove that a holder of a secret sent this body just now.

    ``reason`` is one of ``headers_missing``, ``id_malformed``, ``timestamp_malformed``, ``timestamp_old``,
    ``timestamp_ahead`` and ``signature_unknown``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_secret() -> str:
    """Return a fresh secret: ``whsec_`` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(entropy.token_bytes(_NEW)).decode("ascii")


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` header: one signature a secret, so that a receiver may rotate in its own time.

    ``timestamp`` is in whole seconds since 1970. Raises ``ValueError`` for a malformed id or secret, or for no secret.
    """
    if not secrets:
        raise ValueError("a message without a secret cannot be signed")
    if not _ID.fullmatch(message_id):
        raise ValueError("the id of a signed message is letters, digits, _ and -")
    return " ".join(f"v1,{_mac(secret, message_id, str(timestamp), body)}" for secret in secrets)


def verify(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float, tolerance: int = TOLERANCE
) -> None:
    """Return if one of the secrets signed exactly these bytes within ``tolerance`` seconds of ``now``.

    ``now`` is in seconds since 1970. Raises ``SignatureInvalid`` otherwise, ``ValueError`` for a malformed secret.
    """
    folded = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, sent_at, signatures = (folded[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError:
        raise SignatureInvalid("headers_missing") from None
    if not _ID.fullmatch(message_id):
        raise SignatureInvalid("id_malformed")
    if not _TIMESTAMP.fullmatch(sent_at):
        raise SignatureInvalid("timestamp_malformed")
    if int(sent_at) < now - tolerance:
        raise SignatureInvalid("timestamp_old")
    if int(sent_at) > now + tolerance:
        raise SignatureInvalid("timestamp_ahead")
    expected = [f"v1,{_mac(secret, message_id, sent_at, body)}".encode() for secret in secrets]
    given = [signature.encode("utf-8", "replace") for signature in signatures.split(" ")]
    # Texts are compared, not decoded bytes: one signature has one spelling. No early exit, so nothing to time.
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
    if not any(matches):
        raise SignatureInvalid("signature_unknown")


def _mac(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode("ascii") + body
    return base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode("ascii")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError("a webhook secret is whsec_ and 24 to 64 bytes in base64")
    return key
