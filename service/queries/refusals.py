"""Why orders were refused, by the answer that moved each of them."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.models import Acknowledgement, table_of
from workflows.terms import Outcome, RefusalCode

_ACKNOWLEDGEMENTS = table_of(Acknowledgement)


async def of_orders(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, RefusalCode]:
    """Return the coded reason of each of these orders that was refused, "not mine" among them."""
    query = (
        sa.select(_ACKNOWLEDGEMENTS.c.order_id, _ACKNOWLEDGEMENTS.c.refusal_code)
        .where(
            among.of(conn, _ACKNOWLEDGEMENTS.c.order_id, ids),
            _ACKNOWLEDGEMENTS.c.outcome.in_((Outcome.REFUSED, Outcome.NOT_MINE)),
            _ACKNOWLEDGEMENTS.c.refusal_code.is_not(None),
            _ACKNOWLEDGEMENTS.c.contradicts.is_(sa.false()),
        )
        # The one that moved the order was the first, and stands last here.
        .order_by(_ACKNOWLEDGEMENTS.c.received_at.desc(), _ACKNOWLEDGEMENTS.c.id.desc())
    )
    return {row.order_id: row.refusal_code for row in (await conn.execute(query)).all()} if ids else {}
