"""What all messages share that bring answers in another standard: each is taken once, under the id it has itself."""

import dataclasses
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import idempotency, signing, standing
from service.actions.idempotency import Once
from service.db import Unit
from service.engine.hub import Hub
from service.security.principals import Principal
from service.security.signatures import SignatureRefused

T = TypeVar("T")


async def earlier(conn: AsyncConnection, principal: Principal, once: Once) -> dict[str, Any] | None:
    """Return what this very message was answered before, whichever system of its sender brought it.

    Raises ``InvalidInput`` for another message under its id.
    """
    return await idempotency.earlier(conn, _sender(principal), once)


async def remember(
    conn: AsyncConnection, principal: Principal, once: Once, answer: dict[str, Any], at: datetime
) -> None:
    """Keep the answer to a message. Raises ``idempotency.Raced`` when another one under its id was just taken."""
    await idempotency.remember(conn, _sender(principal), once, answer, at)


async def run(hub: Hub, principal: Principal, unit: Unit[T]) -> T:
    """Run a unit as ``standing.run``; where the id was used at this very instant, once more: now it is found."""
    try:
        return await standing.run(hub, principal, unit)
    except idempotency.Raced:
        return await standing.run(hub, principal, unit)


async def refuse(hub: Hub, principal: Principal, reason: str, **about: Any) -> errors.Forbidden:
    """Keep an answer whose signature is not good as a fact of its participant, and return the error to raise."""
    chain = audit.tenant_chain(principal.tenant)
    return await signing.refuse(hub, principal, SignatureRefused(reason), chain, **about)


def _sender(principal: Principal) -> Principal:
    """Return the caller as all systems of its member: the id of a message is its sender's and not one system's."""
    return dataclasses.replace(principal, client_id=principal.tenant)
