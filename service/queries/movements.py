"""What participants answered to a trace, opened for the agency that asked and for nobody else."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, table_of
from service.queries import told, visibility
from service.schemas.demands import Window
from service.schemas.movements import Movement, MovementList, Total, TraceAnswer, Traced
from service.security.principals import Principal
from service.vault import Vault, subjects
from workflows.terms import Action, Direction

_REQUESTS = table_of(ActionRequest)


async def of_request(
    conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID
) -> MovementList | None:
    """Return the movements, or None where there is no such request, it is no trace, or it is not the caller's."""
    query = sa.select(_REQUESTS.c.window_since, _REQUESTS.c.window_until).where(
        _REQUESTS.c.id == request_id, _REQUESTS.c.action == Action.TRACE, visibility.disclosures(principal)
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    window = Window(since=row.window_since, until=row.window_until)
    keys = await subjects.by_id(conn, [request_id])
    if vault.is_erased(keys.get(request_id)):
        return MovementList(request_id=request_id, window=window, items=[], erased=True)
    items = []
    for each, said in await told.executed(conn, vault, keys, request_id):
        traced = Traced.model_validate(said["traced"])
        items.append(
            TraceAnswer(
                order_id=each.order_id,
                participant_id=each.participant_id,
                received_at=each.received_at,
                movements=traced.movements,
                has_more=traced.has_more,
                totals=totals(traced.movements),
            )
        )
    return MovementList(request_id=request_id, window=window, items=items, erased=False)


def totals(movements: Sequence[Movement]) -> list[Total]:
    """Return how many movements went each way and what they come to; a way that none went is left out."""
    return [
        Total(direction=direction, count=len(sums), value=str(sum(sums)))
        for direction in Direction
        if (sums := [each.amount.minor_units for each in movements if each.direction is direction])
    ]
