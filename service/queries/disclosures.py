"""What participants disclosed about the targets of a request, opened for the agency that asked and for nobody else."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, table_of
from service.queries import told, visibility
from service.schemas.disclosures import Disclosed, DisclosureAnswer, DisclosureList
from service.security.principals import Principal
from service.vault import Vault, subjects
from workflows.terms import Action, Datum

_REQUESTS = table_of(ActionRequest)


async def of_request(
    conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID
) -> DisclosureList | None:
    """Return the disclosures, or None where there is no such request, it asks for none, or it is not the caller's."""
    query = sa.select(_REQUESTS.c.asked).where(
        _REQUESTS.c.id == request_id, _REQUESTS.c.action == Action.DISCLOSE, visibility.disclosures(principal)
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    asked = [Datum(name) for name in row.asked]
    keys = await subjects.by_id(conn, [request_id])
    if vault.is_erased(keys.get(request_id)):
        return DisclosureList(request_id=request_id, asked=asked, items=[], erased=True)
    items = []
    for each, said in await told.executed(conn, vault, keys, request_id):
        disclosed = Disclosed.model_validate(said["disclosed"])
        items.append(
            DisclosureAnswer(
                order_id=each.order_id,
                participant_id=each.participant_id,
                target=each.target,
                received_at=each.received_at,
                disclosed=disclosed,
                not_held=[datum for datum in asked if datum not in disclosed.given],
            )
        )
    return DisclosureList(request_id=request_id, asked=asked, items=items, erased=False)
