"""A strict reader of compact JWS tokens: one spelling per token, and nothing in it that its profile does not name."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType, NoReturn

from service.security.profiles import Profile
from service.security.refusal import Reason, TokenRefused

ALGORITHM = "ES256"
LONGEST_TOKEN = 4096
DEEPEST_JSON = 2  # an object, and one object in it (cnf, later a proof's jwk)
SIGNATURE_BYTES = 64  # r and s of P-256, RFC 7518 section 3.4; a DER signature has another length

UnverifiedHeader = NewType("UnverifiedHeader", Mapping[str, object])
UnverifiedClaims = NewType("UnverifiedClaims", Mapping[str, object])
VerifiedClaims = NewType("VerifiedClaims", Mapping[str, object])

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
# Possessive, and the closing quote optional: one pass, however the text was made to be slow.
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
# Identifiers end up in table rows and log lines: visible ASCII without quote and backslash (RFC 6749, NQCHAR).
_IDENTIFIER = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token whose form is right and whose signature nobody has checked yet."""

    text: str = field(repr=False)
    profile: Profile
    header: UnverifiedHeader
    claims: UnverifiedClaims


class _DuplicateKey(ValueError):
    """An object names one member twice; readers differ on which of the two counts."""


def parse(token: str, profile: Profile) -> Unverified:
    """Read a token by its profile, without trusting it.

    In: the token as it came, and the profile it must follow. Out: header and claims, still unverified.
    Raises TokenRefused with a ``form``, ``json``, ``header`` or ``claim`` reason.
    """
    if len(token) > LONGEST_TOKEN:
        raise TokenRefused(Reason.TOO_LONG)
    segments = token.split(".")
    if len(segments) != 3:
        raise TokenRefused(Reason.SEGMENTS)
    header_bytes, claims_bytes, signature = (_decoded(segment) for segment in segments)
    header = strict_json(header_bytes)
    _check_header(header, profile)
    if len(signature) != SIGNATURE_BYTES:
        raise TokenRefused(Reason.SIGNATURE_LENGTH)
    claims = strict_json(claims_bytes)
    if profile.required - claims.keys():
        raise TokenRefused(Reason.CLAIM_MISSING)
    if claims.keys() - profile.required - profile.optional:
        raise TokenRefused(Reason.CLAIM_UNEXPECTED)
    return Unverified(token, profile, UnverifiedHeader(header), UnverifiedClaims(claims))


def strict_json(raw: bytes) -> dict[str, Any]:
    """Parse one JSON object: UTF-8, no member twice, no NaN or Infinity, at most ``DEEPEST_JSON`` levels.

    Raises TokenRefused with a ``json`` reason.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise TokenRefused(Reason.JSON) from None
    _check_depth(text)  # before the parser, which recurses
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_not_a_number)
    except _DuplicateKey:
        raise TokenRefused(Reason.JSON_DUPLICATE) from None
    except ValueError:
        raise TokenRefused(Reason.JSON) from None
    if not isinstance(value, dict):
        raise TokenRefused(Reason.JSON)
    return value


def identifier(members: Mapping[str, object], name: str) -> str:
    """Return a member that is an identifier: 1 to 200 visible ASCII characters. Raises TokenRefused otherwise."""
    value = members[name]
    if not isinstance(value, str) or not is_identifier(value):
        raise TokenRefused(Reason.CLAIM_TYPE)
    return value


def is_identifier(text: str) -> bool:
    """Tell whether a text is an identifier: 1 to 200 visible ASCII characters without quote and backslash."""
    return _IDENTIFIER.fullmatch(text) is not None


def seconds(members: Mapping[str, object], name: str) -> int:
    """Return a member that is a whole number of seconds since 1970; ``true`` and ``1.0`` are none."""
    value = members[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TokenRefused(Reason.CLAIM_TYPE)
    return value


def canonical_base64url(text: str) -> bytes | None:
    """Decode unpadded base64url, or None where the text is not the one spelling of its bytes (RFC 7515 section 2)."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    # Decoders ignore the unused low bits of the last character and skip foreign ones: two texts, the same bytes.
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == text.encode() else None


def _decoded(segment: str) -> bytes:
    if not _SEGMENT.fullmatch(segment):
        raise TokenRefused(Reason.ALPHABET)
    raw = canonical_base64url(segment)
    if raw is None:
        raise TokenRefused(Reason.BASE64)
    return raw


def _check_header(header: Mapping[str, object], profile: Profile) -> None:
    # The algorithm first, so that a confused or unsigned token is recorded as what it is.
    if header.get("alg") != ALGORITHM:
        raise TokenRefused(Reason.ALGORITHM)
    if header.keys() != profile.header:
        raise TokenRefused(Reason.HEADER_MEMBERS)
    kind = header["typ"]
    if not isinstance(kind, str) or kind not in profile.types:
        raise TokenRefused(Reason.TYPE)
    if "kid" in profile.header:
        kid = header["kid"]
        if not isinstance(kid, str) or not is_identifier(kid):
            raise TokenRefused(Reason.KEY_ID)


def _check_depth(text: str) -> None:
    depth = 0
    for character in _JSON_STRING.sub("", text):
        if character in "[{":
            depth += 1
            if depth > DEEPEST_JSON:
                raise TokenRefused(Reason.JSON_DEPTH)
        elif character in "]}":
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(constant)
