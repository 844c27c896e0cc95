"""Which dispatches a selection means: those that still say what holds, the oldest first."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.engine import definitions
from service.models import Dispatch, Endpoint, Order, table_of
from service.schemas.replays import ReplayCount, ReplayPreview, ReplaySelection
from service.vault import subjects
from workflows import replay
from workflows.replay import Replayed
from workflows.terms import DispatchState

PAGE = 1_000

_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)
_ENDPOINTS = table_of(Endpoint)
_STATES = {Replayed.DEAD: DispatchState.DEAD, Replayed.DELIVERED: DispatchState.DELIVERED}
_ROWS = (
    sa.select(
        _DISPATCHES,
        _ORDERS.c.action,
        _ORDERS.c.state.label("order_state"),
        _ORDERS.c.lift_ordered,
        _ORDERS.c.target_id,
        definitions.may_be_used().label("in_use"),
        subjects.SUBJECTS.c.id.is_not(None).label("opens"),
    )
    .join(_ENDPOINTS, _ENDPOINTS.c.id == _DISPATCHES.c.endpoint_id)
    .outerjoin(_ORDERS, _ORDERS.c.id == _DISPATCHES.c.order_id)
    .outerjoin(subjects.SUBJECTS, subjects.SUBJECTS.c.id == _DISPATCHES.c.request_id)
    .order_by(_DISPATCHES.c.created_at, _DISPATCHES.c.id)
)

Row = Mapping[str, Any]


async def preview(conn: AsyncConnection, selection: ReplaySelection) -> ReplayPreview:
    """Count what a replay would send, by endpoint, and what it would leave out."""
    ready: Counter[tuple[str, UUID, Any]] = Counter()
    left_out = 0
    async for rows in pages(conn, selection):
        for row in rows:
            if may_go(row):
                ready[row["participant_id"], row["endpoint_id"], row["channel"]] += 1
            else:
                left_out += 1
    counts = [
        ReplayCount(participant_id=participant, endpoint_id=endpoint, channel=channel, count=count)
        for (participant, endpoint, channel), count in sorted(ready.items(), key=lambda one: (-one[1], one[0][0]))
    ]
    return ReplayPreview(count=ready.total(), left_out=left_out, endpoints=counts)


async def pages(conn: AsyncConnection, selection: ReplaySelection) -> AsyncIterator[list[Row]]:
    """Give what fits the selection, a page at a time, the oldest first."""
    query = _ROWS.where(*_conditions(selection)).limit(PAGE)
    rows = await _read(conn, query)
    while rows:
        yield rows
        if len(rows) < PAGE:
            return
        at, last = rows[-1]["created_at"], rows[-1]["id"]
        later = sa.or_(_DISPATCHES.c.created_at > at, sa.and_(_DISPATCHES.c.created_at == at, _DISPATCHES.c.id > last))
        rows = await _read(conn, query.where(later))


async def again(conn: AsyncConnection, selection: ReplaySelection, ids: Collection[UUID]) -> list[Row]:
    """Read some of them again, once their chains are locked; what does not fit any more is missing."""
    rows = await _read(conn, _ROWS.where(*_conditions(selection), _DISPATCHES.c.id.in_(ids)))
    return [row for row in rows if may_go(row)]


def may_go(row: Row) -> bool:
    """Tell whether one of them may be sent once more."""
    if not row["in_use"] or row["reduced_at"] is not None or (row["request_id"] is not None and not row["opens"]):
        return False
    return replay.may_go_again(
        row["kind"],
        row["state"],
        row["action"],
        row["order_state"],
        message_type=row["message_type"],
        lift_ordered=bool(row["lift_ordered"]),
    )


def _conditions(selection: ReplaySelection) -> list[sa.ColumnElement[bool]]:
    asked = [
        # Written out, for the partial index of what was given up.
        _DISPATCHES.c.state == sa.literal(_STATES[selection.which], _DISPATCHES.c.state.type, literal_execute=True),
        _DISPATCHES.c.created_at < selection.until,
        sa.or_(_DISPATCHES.c.replayed_at.is_(None), _DISPATCHES.c.replayed_at < selection.until),
    ]
    if selection.since is not None:
        asked.append(_DISPATCHES.c.created_at >= selection.since)
    for column, wanted in (
        (_DISPATCHES.c.order_id, selection.order_id),
        (_DISPATCHES.c.endpoint_id, selection.endpoint_id),
        (_DISPATCHES.c.participant_id, selection.participant_id),
    ):
        if wanted is not None:
            asked.append(column == wanted)
    return asked


async def _read(conn: AsyncConnection, query: sa.Select[Any]) -> list[Row]:
    return [dict(row._mapping) for row in (await conn.execute(query)).all()]
