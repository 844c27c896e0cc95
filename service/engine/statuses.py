"""What the agency is told, over the webhook it registered, when something becomes of its request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.engine import messages, outbox, reach
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from workflows.terms import DispatchKind, Fact


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened to a request or an order, as codes and numbers."""

    dossier: Dossier
    fact: Fact
    state: str
    order_id: UUID | None = None
    participant_id: str | None = None
    amount_held: int | None = None
    refusal_code: str | None = None
    appeal_id: UUID | None = None
    amount_returned: int | None = None


async def tell(conn: AsyncConnection, hub: Hub, at: datetime, news: Sequence[News]) -> None:
    """Enqueue one status dispatch per piece of news and status endpoint of the agency concerned."""
    outgoing: list[outbox.Outgoing] = []
    endpoints = {
        tenant: await reach.status_endpoints(conn, tenant) for tenant in {item.dossier.tenant for item in news}
    }
    for item in news:
        about = "order" if item.order_id else "request"
        outgoing += [
            outbox.Outgoing(
                tenant=item.dossier.tenant,
                participant_id=item.dossier.tenant,
                kind=DispatchKind.STATUS,
                endpoint_id=endpoint.id,
                channel=endpoint.channel,
                message_type=f"{messages.PREFIX}.status.{about}",
                subject=str(item.order_id or item.dossier.id),
                sequence=1,
                body=messages.marked(_body(item, at), drill=hub.settings.drill),
                request_id=item.dossier.id,
                key=item.dossier.keys.get(item.dossier.id),
                order_id=item.order_id,
                order_key=reach.order_key(item.dossier.id, item.dossier.id.bytes, endpoint.id),
            )
            for endpoint in endpoints[item.dossier.tenant]
        ]
    await outbox.enqueue(conn, hub.vault, at, outgoing)


def _body(item: News, at: datetime) -> dict[str, Any]:
    body = {
        "request_id": str(item.dossier.id),
        "reference": item.dossier.request["reference"],
        "case_number": item.dossier.case_number,
        "fact": str(item.fact),
        "state": item.state,
        "order_id": str(item.order_id) if item.order_id else None,
        "participant_id": item.participant_id,
        "amount_held": messages.money(item.amount_held),
        "amount_returned": messages.money(item.amount_returned),
        "refusal_code": item.refusal_code,
        "appeal_id": str(item.appeal_id) if item.appeal_id else None,
        "occurred_at": messages.instant(at),
    }
    return {key: value for key, value in body.items() if value is not None}
