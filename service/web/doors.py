"""What every route asks for: the hub, the caller behind the token and its proof, the raw body, one page's size."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError

from service import clock, db, errors
from service.engine.hub import Hub
from service.engine.writer import CallWriter, IdentifierSpent
from service.queries import clients
from service.security import principals, proofs, signatures, tokens
from service.security.principals import Principal, ScopeMissing
from service.security.proofs import Call
from service.security.refusal import Reason, TokenRefused
from service.security.tokens import AccessClaims
from service.web import refusals
from service.web.admission import Admission
from service.web.limits import Limits
from workflows import retry
from workflows.terms import Action, Sector, Urgency

# The ends of a call that its caller is told of. After an outage nobody knows what was spent, so nothing more is.
_ANSWERS = (errors.HubError, ScopeMissing, RequestValidationError)


async def call_writer(request: Request) -> CallWriter:
    """Return this call's own writer, which spends the call's proof with its effect."""
    return _shared(request).writer.for_call()


CallWriterDep = Annotated[CallWriter, Depends(call_writer)]


async def hub(request: Request, writer: CallWriterDep) -> Hub:
    """Return the hub that the application was made with, as this call writes to it."""
    return replace(_shared(request), writer=writer)


HubDep = Annotated[Hub, Depends(hub)]


async def caller(request: Request, writer: CallWriterDep) -> AsyncIterator[Principal]:
    """Give who is calling: a good token and proof of an active client of an active participant, its key in force.

    The proof of a call that changes something is spent in the transaction of the change; where there was none, it is
    spent before the answer leaves, so that a captured call has no later effect either. Raises ``Unauthenticated`` for
    everything else; why is kept as a fact, never told.
    """
    shared = _shared(request)
    token = await _presented(request, shared)
    claims = await _token_claims(request, shared, token)
    call = _call(request, shared)
    try:
        proof = proofs.verify(_proof(request), call, access_token=token, jkt=claims.jkt, now=clock.utc_now())
    except TokenRefused as refused:
        raise await _refusal(request, shared, refused.reason, claims) from None
    async with shared.database.read(db.HUB) as conn:
        client = await clients.find(conn, claims.client_id, key=claims.jkt)
    if client is None:
        raise await _refusal(request, shared, "client.not_in_force", claims)
    limits: dict[str, Limits] = request.app.state.limits
    limits["agency" if client.sector is Sector.AGENCY else "other"].take(client.tenant)
    writer.owe(proof)
    request.state.token_ends = claims.expires_at
    try:
        try:
            yield principals.of_client(claims, tenant=client.tenant, sector=client.sector, roles=client.roles)
        except _ANSWERS:
            await _settle(writer, call)
            raise
        await _settle(writer, call)
    except IdentifierSpent:
        raise await _refusal(request, shared, "jti.spent", claims) from None


async def raw_body(request: Request) -> bytes:
    """Return the body's bytes as they were received."""
    raw: bytes = request.scope["state"]["raw_body"]
    return raw


# In the function's scope: what a dependency does after the answer has left cannot change it any more.
Caller = Annotated[Principal, Depends(caller, scope="function")]


async def token_ends(request: Request, principal: Caller) -> datetime:
    """Return the instant at which the caller's token ends, for an answer that lasts."""
    ends: datetime = request.state.token_ends
    return ends


TokenEnds = Annotated[datetime, Depends(token_ends, scope="function")]
RawBody = Annotated[bytes, Depends(raw_body)]


async def admission(request: Request) -> Admission:
    """Return what bounds how much this node takes in at a time."""
    found: Admission = request.app.state.admission
    return found


AdmissionDep = Annotated[Admission, Depends(admission)]


async def filing(admission: AdmissionDep, raw: RawBody) -> AsyncIterator[None]:
    """Hold a place and a turn among the requests that this node files, before anything is asked of the database.

    Whether one can wait is what it says of itself: nobody has been believed yet, and whoever lies is told so next.
    Raises ``Unavailable``.
    """
    async with admission.filing(urgent=_is_urgent(raw)):
        yield


async def activating(admission: AdmissionDep) -> AsyncIterator[None]:
    """Hold a turn among the filings while a second signature or a call-back is taken in. Raises ``Unavailable``."""
    async with admission.activating():
        yield


async def answering(admission: AdmissionDep) -> AsyncIterator[None]:
    """Hold a turn among the answers that this node takes in. Raises ``Unavailable``."""
    async with admission.answering():
        yield


Filing, Answering = Depends(filing, scope="function"), Depends(answering, scope="function")
Activating = Depends(activating, scope="function")


def _is_urgent(raw: bytes) -> bool:
    """Tell whether a body says that it cannot wait; one that says neither is refused for that later, and can."""
    said = json.loads(raw)
    try:
        return retry.is_urgent(Action(said["action"]), Urgency(said["urgency"]))
    except (KeyError, TypeError, ValueError):
        return False


Signature = Annotated[
    str | None,
    Header(
        alias="Hoatoc-Signature",
        max_length=signatures.LONGEST,
        description="detached ES256 JWS over the RFC 8785 form of the body: `<header>..<signature>`; its header names"
        " the hub's issuer as `aud`",
    ),
]
PageSize = Annotated[int, Query(ge=1, le=200, description="how many items at most")]
After = Annotated[str | None, Query(max_length=200, description="the cursor `next` of the page before")]


def _shared(request: Request) -> Hub:
    found: Hub = request.app.state.hub
    return found


async def _presented(request: Request, shared: Hub) -> str:
    given = request.headers.getlist("authorization")
    scheme, _, token = "".join(given[:1]).partition(" ")
    if not token and len(given) < 2:
        raise errors.Unauthenticated("token.missing")
    if len(given) > 1 or scheme.lower() != "dpop":
        # Whoever holds one of our tokens without its key presents it like this: that is worth a fact.
        raise await _refusal(request, shared, Reason.SCHEME, None)
    return token


async def _token_claims(request: Request, shared: Hub, token: str) -> AccessClaims:
    address = shared.settings.address
    keys = {key.kid: key for key in shared.signing}
    try:
        return tokens.verify_access_token(
            token,
            key_of=lambda issuer, kid: keys[kid].verification_key(address) if kid in keys else None,
            issuer=address,
            audience=address,
            now=clock.utc_now(),
        )
    except TokenRefused as refused:
        raise await _refusal(request, shared, refused.reason, None) from None


def _call(request: Request, shared: Hub) -> Call:
    scope = request.scope
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return Call(
        method=scope["method"],
        target=shared.settings.address + path.decode("latin-1"),
        query=scope.get("query_string", b""),
        body=scope.get("state", {}).get("raw_body", b""),
    )


def _proof(request: Request) -> str:
    given = request.headers.getlist("dpop")
    if not given:
        raise TokenRefused(Reason.PROOF_MISSING)
    if len(given) > 1:
        raise TokenRefused(Reason.PROOF_REPEATED)
    return given[0]


async def _settle(writer: CallWriter, call: Call) -> None:
    if call.changes:
        await writer.settle()


async def _refusal(request: Request, shared: Hub, reason: str, claims: AccessClaims | None) -> errors.Unauthenticated:
    await refusals.token(request, shared, str(reason), claims.client_id if claims else None)
    return errors.Unauthenticated("token.refused")
