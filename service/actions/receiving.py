"""What all business messages share that are taken: each is known by its id, a bad signature is kept as a fact."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.iso20022.parse import Received
from service import audit, errors
from service.actions import idempotency, signing
from service.audit import Log
from service.engine.hub import Hub
from service.security.principals import Principal
from service.security.signatures import SignatureRefused


async def earlier(
    conn: AsyncConnection, principal: Principal, received: Received, digest: str
) -> dict[str, Any] | None:
    """Return what this very message was answered before. Raises ``InvalidInput`` for another one under its id."""
    try:
        return await idempotency.earlier(conn, principal, _key(received), digest)
    except errors.InvalidInput:
        raise reused() from None


async def remember(
    conn: AsyncConnection, principal: Principal, received: Received, digest: str, answer: dict[str, Any], log: Log
) -> None:
    """Keep the answer to a message. Raises ``idempotency.Raced`` when another one under its id was just taken."""
    await idempotency.remember(conn, principal, _key(received), digest, answer, log.at)


def reused() -> errors.InvalidInput:
    """Return the error of a second message under one id."""
    return errors.InvalidInput.of("/AppHdr/BizMsgIdr", "xml.reused")


async def refuse(hub: Hub, principal: Principal, reason: str, **about: Any) -> errors.Forbidden:
    """Keep an answer whose signature is not good as a fact of its participant, and return the error to raise."""
    chain = audit.tenant_chain(principal.tenant)
    return await signing.refuse(hub, principal, SignatureRefused(reason), chain, **about)


def _key(received: Received) -> str:
    # Beside the keys that clients choose, which a message's id is none of.
    return f"iso20022:{received.id}"
