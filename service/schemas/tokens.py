"""The shapes of the token endpoint and its metadata (RFC 6749, RFC 8414)."""

from typing import Literal

from service.schemas.common import Answer


class TokenAnswer(Answer):
    """An access token and how long it lasts, in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name
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
    scopes_supported: list[str]
    response_types_supported: list[str]


class KeySet(Answer):
    """Public keys (RFC 7517): the current one and the next."""

    keys: list[dict[str, str]]
