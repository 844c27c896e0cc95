"""The shapes of the token endpoint and its metadata (RFC 6749, RFC 8414)."""

from typing import Literal

from pydantic import Field

from service.schemas.common import Answer, Instant


class TokenAnswer(Answer):
    """An access token, bound to the key that signed the assertion, and how long it lasts, in seconds."""

    access_token: str
    token_type: Literal["DPoP"] = "DPoP"  # noqa: S105 - the scheme's name
    expires_in: int
    scope: str


class Metadata(Answer):
    """What a client needs to know of the authorization server (RFC 8414)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    scopes_supported: list[str]
    response_types_supported: list[str]


class KeySet(Answer):
    """Public keys (RFC 7517): the current one and the next."""

    keys: list[dict[str, str]]


class HubKey(Answer):
    """A key under the hub's orders: a public JWK with its validity. Only what it signed while it was valid counts."""

    kty: Literal["EC"] = "EC"
    crv: Literal["P-256"] = "P-256"
    x: str
    y: str
    kid: str = Field(description="its RFC 7638 thumbprint, which the signature's header names")
    use: Literal["sig"] = "sig"
    alg: Literal["ES256"] = "ES256"
    state: Literal["current", "next", "past"]
    not_before: Instant
    not_after: Instant
    revoked_at: Instant | None


class HubKeys(Answer):
    """All keys that sign, will sign or once signed the hub's orders (a JWK set, RFC 7517)."""

    keys: list[HubKey]
