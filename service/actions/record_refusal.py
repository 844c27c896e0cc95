"""Keep what was refused at the doors: each token with its reason, and what came beyond a budget as one count."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.audit import Log
from service.engine.hub import Hub
from workflows.terms import Fact


class Keep(Protocol):
    """How a door keeps a refusal: as ``record`` and ``record_sign_in`` do, or within a budget of its own."""

    def __call__(self, hub: Hub, reason: str, client_id: str | None = None) -> Awaitable[None]:
        """Keep it."""


async def record(hub: Hub, reason: str, client_id: str | None = None) -> None:
    """Keep a refused token or proof as a fact of this node, with its reason and without the token.

    ``client_id`` names whose it was, where the token itself was good: what an unverified one says is nobody's name.
    """
    await _record(hub, Fact.TOKEN_REFUSED, reason=reason, client_id=client_id)


async def record_sign_in(hub: Hub, reason: str, client_id: str | None = None) -> None:
    """Keep a refused sign-in link as a fact of this node, with its reason and without the link; no client has one."""
    assert client_id is None
    await _record(hub, Fact.SIGN_IN_REFUSED, reason=reason)


async def record_counted(hub: Hub, reasons: Mapping[str, int]) -> None:
    """Keep refusals beyond a budget as one fact: how many, and how many for each reason."""
    await _record(hub, Fact.REFUSALS_COUNTED, count=sum(reasons.values()), reasons=dict(sorted(reasons.items())))


async def _record(hub: Hub, code: Fact, **data: Any) -> None:
    chain = audit.node_chain(hub.settings.node)

    async def unit(conn: AsyncConnection) -> None:
        log = await Log.open(conn, None, [chain])
        log.record(chain, code, hub.actor, hub.actor.tenant, **data)
        await log.flush()

    await hub.writer.run(unit, reach=db.HUB)
