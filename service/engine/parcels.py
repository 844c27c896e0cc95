"""What goes out in one call: one dispatch, or a batch of first attempts to an endpoint that declared batches."""

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
    does the probe of an open breaker. No two messages of one order key are ever claimed together.
    """
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
            if left[row.endpoint_id] <= 0:
                over.append(row)
                continue
            left[row.endpoint_id] -= 1
        parcels.append([row])
        if is_batched:
            open_ones[row.endpoint_id] = parcels[-1], size
    return [tuple(parcel) for parcel in parcels], over
