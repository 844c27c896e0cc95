"""The end of a silence as tests bring it about: two officers sign for a disclosure that was answered."""

import json
from typing import Any

import steps
from world import World

from service.actions import end_silence
from service.schemas.silence_ends import NewSilenceEnd, SilenceEnded
from service.security.signatures import Kind

ENDS = {"officer_id": "approver", "second_officer_id": "second", "reason": "proceedings_ended"}
SOME = {"holder_name": "NGUYEN VAN MAU"}


async def disclosed(world: World, *targets: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """A disclosure whose participants have answered; its orders."""
    orders = await steps.asked(world, *targets, **changes)
    for order in orders:
        await world.answer(order, outcome="executed", disclosed=SOME)
    return orders


async def end(world: World, request_id: Any) -> SilenceEnded:
    """End the silence of a disclosure, without a door in between."""
    raw = json.dumps(ENDS).encode()
    first, second = (world.sign(Kind.SILENCE, raw, officer, request_id) for officer in ("approver", "second"))
    body = NewSilenceEnd.model_validate({**ENDS, "second_signature": second})
    return await end_silence.end(world.hub, world.police, request_id, body, raw, first)


async def ended(world: World) -> dict[str, Any]:
    """A disclosure that was answered and whose silence has ended; its order."""
    (order,) = await disclosed(world)
    await end(world, order["request_id"])
    return order
