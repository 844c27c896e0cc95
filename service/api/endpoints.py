"""The administrators' door to where the hub sends: one proposes an endpoint, a different one lets it pass."""

from uuid import UUID

from fastapi import APIRouter

from service.actions import (
    approve_endpoint,
    propose_endpoint,
    record_certification,
    refuse_endpoint,
    register_endpoint,
    rotate_endpoint_secret,
)
from service.api.registry import ParticipantId
from service.queries import proposals
from service.schemas.certifications import CertificationAnswer, SignedReport
from service.schemas.endpoints import (
    EndpointAnswer,
    EndpointRegistered,
    EndpointSecret,
    NewDecision,
    NewDefinition,
    NewEndpoint,
    NewSecret,
    ProposalAnswer,
    ProposalList,
)
from service.security.scopes import Scope
from service.web.doors import Caller, HubDep, RawBody

router = APIRouter(prefix="/v1", tags=["registry"])

_ONE = "/participants/{participant_id}/endpoints/{endpoint_id}"


@router.post("/participants/{participant_id}/endpoints", operation_id="registerEndpoint", status_code=201)
async def post_endpoint(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewEndpoint
) -> EndpointRegistered:
    """Register where a participant receives; a webhook's secret is shown this once."""
    return await register_endpoint.register(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/certifications", operation_id="recordCertification", status_code=201)
async def post_certification(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, body: SignedReport, raw: RawBody
) -> CertificationAnswer:
    """Record the signed report of a passed examination: it lets an endpoint at that address be approved."""
    return await record_certification.record(hub, caller, participant_id, raw)


@router.get("/endpoint-proposals", operation_id="listEndpointProposals")
async def list_proposals(hub: HubDep, caller: Caller) -> ProposalList:
    """List the definitions of webhooks that wait for a second administrator."""
    caller.require(Scope.REGISTRY_WRITE)
    async with hub.database.read(caller.reach) as conn:
        return await proposals.waiting(conn)


@router.post(f"{_ONE}/proposals", operation_id="proposeEndpoint", status_code=201)
async def post_proposal(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, endpoint_id: UUID, body: NewDefinition
) -> ProposalAnswer:
    """Propose what a webhook shall be; the definition in force stays until this one is approved."""
    return await propose_endpoint.propose(hub, caller, participant_id, endpoint_id, body)


@router.post(f"{_ONE}/approvals", operation_id="approveEndpoint", status_code=201)
async def post_approval(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, endpoint_id: UUID, body: NewDecision
) -> EndpointAnswer:
    """Let pass what a different administrator proposed: from now on the hub sends there."""
    return await approve_endpoint.approve(hub, caller, participant_id, endpoint_id, body.sha256)


@router.post(f"{_ONE}/refusals", operation_id="refuseEndpoint", status_code=201)
async def post_refusal(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, endpoint_id: UUID, body: NewDecision
) -> ProposalAnswer:
    """Refuse a proposal, or take back one's own."""
    return await refuse_endpoint.refuse(hub, caller, participant_id, endpoint_id, body.sha256)


@router.post(f"{_ONE}/secrets", operation_id="rotateEndpointSecret", status_code=201)
async def post_secret(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, endpoint_id: UUID, body: NewSecret
) -> EndpointSecret:
    """Make a new signing secret, shown this once; the one before signs too for 24 hours."""
    return await rotate_endpoint_secret.rotate(hub, caller, participant_id, endpoint_id)
