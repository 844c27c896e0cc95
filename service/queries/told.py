"""What participants answered to a confidential question, opened answer by answer; who may read is asked before."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Acknowledgement, Order, Target, table_of
from service.security import answer_texts
from service.vault import Keys, Vault
from workflows.terms import Outcome

_ORDERS = table_of(Order)
_TARGETS = table_of(Target)
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)

Told = tuple[sa.Row[Any], Mapping[str, Any]]


async def executed(conn: AsyncConnection, vault: Vault, keys: Keys, request_id: UUID) -> Iterator[Told]:
    """Return the answers that say "executed", oldest first: the row, with the ``target``'s position, and what it says.

    Raises ``Erased`` while they are gone through, where the request's key is destroyed.
    """
    query = (
        sa.select(_ACKNOWLEDGEMENTS, _TARGETS.c.position.label("target"))
        .join(_ORDERS, _ORDERS.c.id == _ACKNOWLEDGEMENTS.c.order_id)
        .join(_TARGETS, _TARGETS.c.id == _ORDERS.c.target_id)
        .where(_ORDERS.c.request_id == request_id, _ACKNOWLEDGEMENTS.c.outcome == Outcome.EXECUTED)
        .order_by(_ACKNOWLEDGEMENTS.c.received_at, _ACKNOWLEDGEMENTS.c.id)
    )
    rows = (await conn.execute(query)).all()
    sealed = "acknowledgements"
    return ((row, answer_texts.read(vault.unseal(keys, sealed, row.id, row.tenant, row.body_sealed))) for row in rows)
