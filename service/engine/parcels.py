"""What goes out in one call: one dispatch, or a batch of first attempts to an endpoint that declared batches."""

import random
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from service.engine.store import Claimed

Parcel = tuple[Claimed, ...]

# A webhook's batch: so many messages, or so many bytes, whichever comes first. The adapter measures exactly.
MOST = 100
_BELOW = 20_000
# What an event has beside the message that was sealed; the sealing itself is counted too.
_MORE = 256


def pack(
    claimed: Sequence[Claimed], calls: Mapping[UUID, int], probed: Collection[UUID]
) -> tuple[list[Parcel], list[Claimed]]:
    """Return what goes together, in the order of ``claimed``, and what there is no call left for.

    ``calls`` says how many calls may begin now to each endpoint that takes batches; any other gets one message a call.
    A retry goes alone, so that one message that a receiver will not have does not hold those beside it for ever; so
    does the probe of an open breaker. One call is kept for a retry, where there is one, and where there is but one
    call, one time in four. No two messages of one order key are ever claimed together.
    """
    kept = _kept(claimed, calls, probed)
    parcels: list[list[Claimed]] = []
    open_ones: dict[UUID, tuple[list[Claimed], int]] = {}
    left = dict(calls)
    over: list[Claimed] = []
    for row in claimed:
        size = len(row.message_sealed) + _MORE
        is_batched = row.endpoint_id in calls and row.attempt == 1 and row.endpoint_id not in probed
        parcel, filled = open_ones.get(row.endpoint_id, ([], 0))
        if is_batched and parcel and len(parcel) < MOST and filled + size < _BELOW:
            parcel.append(row)
            open_ones[row.endpoint_id] = parcel, filled + size
            continue
        if row.endpoint_id in calls and row.endpoint_id not in probed:
            if not is_batched:
                kept.discard(row.endpoint_id)
            if left[row.endpoint_id] <= (row.endpoint_id in kept):
                over.append(row)
                continue
            left[row.endpoint_id] -= 1
        parcels.append([row])
        if is_batched:
            open_ones[row.endpoint_id] = parcels[-1], size
    return [tuple(parcel) for parcel in parcels], over


def is_turn_of_retries() -> bool:
    """Draw whether the only place there is goes to what was tried before: one time in four, as at the doors."""
    return random.random() < 1 / 4  # noqa: S311 - a turn, not a secret


def _kept(claimed: Sequence[Claimed], calls: Mapping[UUID, int], probed: Collection[UUID]) -> set[UUID]:
    """Return the endpoints of which one call is kept for a retry."""
    tried = {row.endpoint_id for row in claimed if row.attempt > 1} & calls.keys() - probed
    return {endpoint for endpoint in tried if calls[endpoint] > 1 or is_turn_of_retries()}
