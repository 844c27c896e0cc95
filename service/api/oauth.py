"""The token endpoint, its metadata and the hub's public keys."""

import functools

from fastapi import APIRouter, Request

from service import clock, errors
from service.actions import issue_token
from service.schemas.tokens import KeySet, Metadata, TokenAnswer
from service.security import keyring, scopes
from service.web import refusals
from service.web.bodies import read_form
from service.web.doors import HubDep, RawBody

router = APIRouter(tags=["tokens"])

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "client_assertion_type", "client_assertion"],
                    "additionalProperties": False,
                    "properties": {
                        "grant_type": {"type": "string", "const": "client_credentials"},
                        "client_assertion_type": {"type": "string", "const": _ASSERTION},
                        "client_assertion": {"type": "string", "maxLength": 4096},
                    },
                }
            }
        },
    }
}


@router.post("/oauth/token", operation_id="issueToken", openapi_extra=_FORM)
async def issue(request: Request, hub: HubDep, raw: RawBody) -> TokenAnswer:
    """Exchange a signed assertion (`private_key_jwt`, ES256) for an access token of five minutes at most."""
    form = read_form(raw)
    if form.get("grant_type") != "client_credentials":
        raise errors.MalformedInput("oauth.unsupported_grant_type")
    if form.get("client_assertion_type") != _ASSERTION or "client_assertion" not in form:
        raise errors.MalformedInput("oauth.invalid_request")
    keep = functools.partial(refusals.token, request)
    issued = await issue_token.issue(hub, form["client_assertion"], keep)
    seconds = int((issued.expires_at - clock.utc_now()).total_seconds())
    return TokenAnswer(access_token=issued.token, expires_in=max(seconds, 0), scope=issued.scope)


@router.get("/.well-known/oauth-authorization-server", operation_id="getTokenMetadata")
async def metadata(hub: HubDep) -> Metadata:
    """Describe the token endpoint (RFC 8414)."""
    address = hub.settings.address
    return Metadata(
        issuer=address,
        token_endpoint=f"{address}/oauth/token",
        jwks_uri=f"{address}/oauth/jwks",
        grant_types_supported=["client_credentials"],
        token_endpoint_auth_methods_supported=["private_key_jwt"],
        token_endpoint_auth_signing_alg_values_supported=["ES256"],
        dpop_signing_alg_values_supported=["ES256"],
        scopes_supported=sorted(scope.value for scope in scopes.Scope),
        response_types_supported=[],
    )


@router.get("/oauth/jwks", operation_id="getKeys")
async def keys(hub: HubDep) -> KeySet:
    """Return the hub's public keys; cache them for 20 minutes at most, and ask once more on an unknown `kid`."""
    return KeySet.model_validate(keyring.jwks(hub.signing))
