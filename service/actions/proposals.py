"""How the definition of an endpoint that the hub calls is proposed and looked up, for whoever registers or decides."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from service import clock, errors
from service.actions import endpoints
from service.actions.changes import Change
from service.engine import definitions
from service.models import EndpointProposal, table_of
from service.queries import proposals
from service.schemas.endpoints import ProposalAnswer
from service.security.principals import Principal
from workflows.terms import CALLED, ProposalState

TABLE = table_of(EndpointProposal)


async def propose(
    change: Change, principal: Principal, endpoint: Mapping[str, Any], definition: Mapping[str, Any]
) -> ProposalAnswer:
    """Write what an endpoint, given as its row, shall be; what was proposed for it before is superseded."""
    open_one = (TABLE.c.endpoint_id == endpoint["id"], TABLE.c.state == ProposalState.PROPOSED)
    superseded = {"state": ProposalState.SUPERSEDED, "decided_by": principal.client_id, "decided_at": change.at}
    await change.conn.execute(sa.update(TABLE).where(*open_one).values(superseded))
    row = {
        **{name: definition[name] for name in definitions.CHANGEABLE},
        "id": clock.new_id(),
        "tenant": change.tenant,
        "endpoint_id": endpoint["id"],
        "sha256": definitions.digest({**endpoint, **definition}),
        "state": ProposalState.PROPOSED,
        "proposed_by": principal.client_id,
        "proposed_for": principal.tenant,
        "proposed_key": principal.jkt,
        "proposed_at": change.at,
        "decided_by": None,
        "decided_at": None,
    }
    await change.conn.execute(sa.insert(TABLE).values(row))
    change.note(
        "endpoint.proposed",
        endpoint_id=str(endpoint["id"]),
        purpose=str(endpoint["purpose"]),
        network=row["network"],
        port=row["port"],
        sha256=row["sha256"],
    )
    return proposals.show({**row, "purpose": endpoint["purpose"]})


async def called(change: Change, endpoint_id: UUID) -> Mapping[str, Any]:
    """Return the row of an endpoint that the hub calls, kept to the end. Raises ``NotFound`` and ``Conflict``."""
    table = endpoints.TABLE
    query = sa.select(table).where(table.c.id == endpoint_id, table.c.tenant == change.tenant).with_for_update()
    row = (await change.conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    if row.channel not in CALLED:
        raise errors.Conflict("endpoint.not_proposed")
    return dict(row._mapping)


async def opened(change: Change, endpoint: Mapping[str, Any], sha256: str) -> Mapping[str, Any]:
    """Return the open proposal for an endpoint, if it is the one with this digest.

    The digest is taken anew from what would come into force. Raises ``Conflict``.
    """
    query = sa.select(TABLE).where(TABLE.c.endpoint_id == endpoint["id"], TABLE.c.state == ProposalState.PROPOSED)
    found = (await change.conn.execute(query.with_for_update())).one_or_none()
    if found is None:
        raise errors.Conflict("endpoint.not_proposed")
    row = dict(found._mapping)
    taken = definitions.digest({**endpoint, **{name: row[name] for name in definitions.CHANGEABLE}})
    if not sha256 == row["sha256"] == taken:
        raise errors.Conflict("endpoint.other_definition")
    return row
