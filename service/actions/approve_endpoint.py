"""A second administrator lets pass exactly what the first one proposed, and from then on the hub sends there."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from service import errors
from service.actions import certified, changes, endpoints, proposals
from service.actions.changes import Change
from service.engine import definitions
from service.engine.hub import Hub
from service.queries import clients
from service.schemas.endpoints import EndpointAnswer, NewDefinition
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import ProposalState


async def approve(
    hub: Hub, principal: Principal, participant_id: str, endpoint_id: UUID, sha256: str
) -> EndpointAnswer:
    """Put the open proposal for an endpoint in force; ``sha256`` names what the approver has read.

    It takes an administrator's system with a key of its own, different from the proposer and his key. Raises
    ``Forbidden`` for anybody else, ``NotFound``, and ``Conflict`` where nothing, or something else, is proposed, where
    the proposer was stopped meanwhile, where the rules of today do not let it pass, and where this hub asks for a
    certification and there is none that fits.
    """
    principal.require(Scope.REGISTRY_WRITE)
    if principal.jkt is None:
        raise errors.Forbidden("endpoint.key_needed")

    async def work(change: Change) -> EndpointAnswer:
        endpoint = await proposals.called(change, endpoint_id)
        proposal = await proposals.opened(change, endpoint, sha256)
        if principal.client_id == proposal["proposed_by"] or principal.jkt == proposal["proposed_key"]:
            raise errors.Forbidden("endpoint.same_person")
        await _check_proposer(change, proposal)
        defined = {name: proposal[name] for name in definitions.CHANGEABLE}
        try:
            endpoints.definition(hub.settings, NewDefinition(channel=endpoint["channel"], **defined))
            await endpoints.refuse_live(change.conn, defined["url"])
        except errors.InvalidInput as invalid:
            # The rules, or the hub's own networks, are others by now; or this node lacks the client key.
            raise errors.Conflict("endpoint.not_allowed_now", reason=invalid.fields[0].code) from None
        await certified.check(change, hub, {**endpoint, **defined}, sha256)
        decided = {
            "state": ProposalState.APPROVED,
            "decided_by": principal.client_id,
            "decided_key": principal.jkt,
            "decided_at": change.at,
        }
        await change.conn.execute(
            sa.update(proposals.TABLE).where(proposals.TABLE.c.id == proposal["id"]).values(decided)
        )
        in_force = {
            **defined,
            "approved_sha256": sha256,
            "proposed_by": proposal["proposed_by"],
            "approved_by": principal.client_id,
            "approved_at": change.at,
        }
        table = endpoints.TABLE
        await change.conn.execute(sa.update(table).where(table.c.id == endpoint_id).values(in_force))
        change.note(
            "endpoint.approved", endpoint_id=str(endpoint_id), sha256=sha256, proposed_by=proposal["proposed_by"]
        )
        return endpoints.show({**endpoint, **in_force})

    return await changes.run(hub, principal, participant_id, work)


async def _check_proposer(change: Change, proposal: Mapping[str, Any]) -> None:
    """Refuse what somebody proposed whose key may be another's by now. A person at the machine itself has none."""
    if proposal["proposed_key"] is None:
        return
    proposer = await clients.find(change.conn, proposal["proposed_by"], key=proposal["proposed_key"], keep=True)
    if proposer is None or proposer.tenant != proposal["proposed_for"]:
        raise errors.Conflict("endpoint.proposer_gone")
