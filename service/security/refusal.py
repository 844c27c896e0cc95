"""Why a token is refused: stable codes for the audit and the metrics, never shown to the caller."""

from enum import StrEnum


class Reason(StrEnum):
    """One code per check; codes are stored in audit entries, so they are added to but never renamed."""

    SCHEME = "form.scheme"
    TOO_LONG = "form.too_long"
    SEGMENTS = "form.segments"
    ALPHABET = "form.alphabet"
    BASE64 = "form.base64"
    SIGNATURE_LENGTH = "form.signature_length"
    JSON = "json.malformed"
    JSON_DUPLICATE = "json.duplicate_key"
    JSON_DEPTH = "json.depth"
    HEADER_MEMBERS = "header.members"
    ALGORITHM = "header.alg"
    TYPE = "header.typ"
    KEY_ID = "header.kid"
    KEY_UNKNOWN = "key.unknown"
    KEY_PURPOSE = "key.purpose"
    KEY_NOT_YET_VALID = "key.not_yet_valid"
    KEY_EXPIRED = "key.expired"
    SIGNATURE = "signature.invalid"
    CLAIM_MISSING = "claim.missing"
    CLAIM_UNEXPECTED = "claim.unexpected"
    CLAIM_TYPE = "claim.type"
    ISSUER = "claim.issuer"
    SUBJECT = "claim.subject"
    AUDIENCE = "claim.audience"
    SCOPE = "claim.scope"
    CONFIRMATION = "claim.confirmation"
    ISSUED_IN_FUTURE = "time.issued_in_future"
    NOT_YET_VALID = "time.not_yet_valid"
    EXPIRED = "time.expired"
    LIFETIME = "time.lifetime"
    TOO_OLD = "time.too_old"
    PROOF_MISSING = "proof.missing"
    PROOF_REPEATED = "proof.repeated"
    PROOF_KEY = "proof.key"
    PROOF_BINDING = "proof.binding"
    PROOF_METHOD = "proof.method"
    PROOF_TARGET = "proof.target"
    PROOF_QUERY = "proof.query"
    PROOF_TOKEN = "proof.token"  # noqa: S105 - the name of a check, not a secret
    PROOF_BODY = "proof.body"


class TokenRefused(Exception):
    """A token failed a check; carries the ``reason`` alone, so neither a log nor a trace line can hold the token.

    The caller answers 401 with one generic body whatever the reason is, and records the reason.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
