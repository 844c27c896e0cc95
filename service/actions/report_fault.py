"""A participant's system says that it cannot tell what becomes of an order: a coordinator asks, nothing else moves."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.actions import answering, receiving, signing, standing
from service.actions.idempotency import Once
from service.actions.signing import Owner
from service.engine import dossier, writer
from service.engine.hub import Hub
from service.models import Order, table_of
from service.security import signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from workflows.terms import TaskKind

_ORDERS = table_of(Order)
_SAID = "error"


async def report(hub: Hub, principal: Principal, order_id: UUID, raw: bytes, signature: str | None, once: Once) -> None:
    """Open a task about an order of the caller's; its clocks go on, because nobody has done anything.

    It ends no matter and need not be signed; a signature that comes along is checked. The same message again does
    nothing. Raises ``NotFound``, ``InvalidInput`` (the number of the message was used with other content),
    ``Forbidden`` (``signature.<reason>``) and ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.ORDERS_ANSWER)

    async def unit(conn: AsyncConnection) -> None:
        order = await answering.answerable(conn, principal, order_id)
        # The task and its fact are the agency's.
        await db.extend(conn, db.HUB)
        log = await writer.lock(conn, {audit.request_chain(order["request_id"])})
        await standing.check(conn, principal)
        if await receiving.earlier(conn, principal, once) is not None:
            return
        if signature is not None:
            await signing.check(
                conn,
                signature,
                kind=Kind.ANSWER,
                payload=signatures.canonical(raw),
                owner=Owner("participant", principal.tenant, principal.tenant),
                about=str(order_id),
                audience=hub.settings.address,
                now=log.at,
            )
        order = await answering.answerable(conn, principal, order_id)
        about = (await dossier.load(conn, [order["request_id"]]))[order["request_id"]]
        await answering.ask(conn, hub, log, about, order, TaskKind.CONTRADICTING_ANSWER, _SAID)
        await receiving.remember(conn, principal, once, {"outcome": _SAID}, log.at)
        await log.flush()

    try:
        await receiving.run(hub, principal, unit)
    except SignatureRefused as refused:
        raise await receiving.refuse(hub, principal, refused.reason, order_id=str(order_id), outcome=_SAID) from None
