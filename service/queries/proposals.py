"""What waits for a second administrator: the definitions of webhooks that one proposed."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Endpoint, EndpointProposal, table_of
from service.schemas.endpoints import ProposalAnswer, ProposalList
from workflows.terms import ProposalState

_PROPOSALS = table_of(EndpointProposal)
_ENDPOINTS = table_of(Endpoint)


def show(row: Mapping[str, Any]) -> ProposalAnswer:
    """Return a proposal's row, with its endpoint's purpose, in the form in which administrators read it."""
    values = {name: row[name] for name in ProposalAnswer.model_fields if name != "participant_id"}
    return ProposalAnswer(participant_id=row["tenant"], **values)


async def waiting(conn: AsyncConnection) -> ProposalList:
    """Return the open proposals of all participants, oldest first."""
    query = (
        sa.select(_PROPOSALS, _ENDPOINTS.c.purpose)
        .join(_ENDPOINTS, _ENDPOINTS.c.id == _PROPOSALS.c.endpoint_id)
        .where(_PROPOSALS.c.state == ProposalState.PROPOSED)
        .order_by(_PROPOSALS.c.proposed_at, _PROPOSALS.c.id)
    )
    return ProposalList(items=[show(dict(row._mapping)) for row in (await conn.execute(query)).all()])
