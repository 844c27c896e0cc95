"""The door by which two officers of an agency end the silence that its disclosure asked for."""

from uuid import UUID

from fastapi import APIRouter

from service.actions import end_silence
from service.schemas.silence_ends import NewSilenceEnd, SilenceEnded
from service.web.doors import Caller, HubDep, RawBody, Signature

router = APIRouter(prefix="/v1/requests", tags=["requests"])


@router.post("/{request_id}/silence-ends", operation_id="endSilence", status_code=201)
async def end(
    hub: HubDep, principal: Caller, request_id: UUID, body: NewSilenceEnd, raw: RawBody, signature: Signature = None
) -> SilenceEnded:
    """End the silence of a disclosure, by two officers: each participant that has it is told that it is over."""
    return await end_silence.end(hub, principal, request_id, body, raw, signature)
