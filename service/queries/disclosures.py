"""What participants disclosed about the targets of a request, opened for the agency that asked and for nobody else."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Acknowledgement, ActionRequest, Order, Target, table_of
from service.queries import visibility
from service.schemas.disclosures import Disclosed, DisclosureAnswer, DisclosureList
from service.security import answer_texts
from service.security.principals import Principal
from service.vault import Vault, subjects
from workflows.terms import Action, Datum, Outcome

_REQUESTS = table_of(ActionRequest)
_ORDERS = table_of(Order)
_TARGETS = table_of(Target)
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)


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
    answers = (
        sa.select(_ACKNOWLEDGEMENTS, _TARGETS.c.position.label("target"))
        .join(_ORDERS, _ORDERS.c.id == _ACKNOWLEDGEMENTS.c.order_id)
        .join(_TARGETS, _TARGETS.c.id == _ORDERS.c.target_id)
        .where(_ORDERS.c.request_id == request_id, _ACKNOWLEDGEMENTS.c.outcome == Outcome.EXECUTED)
        .order_by(_ACKNOWLEDGEMENTS.c.received_at, _ACKNOWLEDGEMENTS.c.id)
    )
    items = []
    for each in (await conn.execute(answers)).all():
        text = vault.unseal(keys, "acknowledgements", each.id, each.tenant, each.body_sealed)
        disclosed = Disclosed.model_validate(answer_texts.read(text)["disclosed"])
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
