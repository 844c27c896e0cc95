"""The outbox: dispatches are written in the transaction of what causes them, and queued or laid into a pull inbox."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, clock, db
from service.engine import doorbell, messages, store
from service.inserting import Rows
from service.models import Attempt, Dispatch, Endpoint, Order, QueueItem, table_of
from service.vault import KeyRow, Vault, subjects
from workflows import lift
from workflows.terms import Action, Channel, DispatchKind, DispatchState

_ATTEMPTS = table_of(Attempt)
_DISPATCHES = table_of(Dispatch)
_QUEUE = table_of(QueueItem)
_ENDPOINTS = table_of(Endpoint)
_ORDERS = table_of(Order)
# What an order says before its lift does.
_ORDERING = tuple(messages.order_type(action) for action in Action if action is not Action.LIFT)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One thing to send: to which endpoint, about which request or order, with which body.

    ``order_key`` keeps what concerns one case, target and endpoint in order; None for what may overtake. ``signature``
    is the hub's own over the body of an order. ``key`` is the request's, where it has been read already.
    ``identity`` names what of its own is sent only once: the same names give the same id, so that a receiver knows
    again what a restored hub sends once more. ``first_id`` and ``occurred_at`` are those of the message, where another
    endpoint of the participant was to take it before: it stays the same message.
    """

    tenant: str
    participant_id: str
    kind: DispatchKind
    endpoint_id: UUID
    channel: Channel
    message_type: str
    subject: str
    sequence: int
    body: Mapping[str, Any]
    request_id: UUID | None = None
    order_id: UUID | None = None
    urgent: bool = False
    order_key: int | None = None
    deadline_at: datetime | None = None
    signature: str | None = None
    key: KeyRow | None = None
    identity: tuple[object, ...] = ()
    first_id: UUID | None = None
    occurred_at: datetime | None = None


async def enqueue(
    conn: AsyncConnection, vault: Vault, at: datetime, items: Sequence[Outgoing], *with_them: Rows
) -> list[UUID]:
    """Write the dispatches and their work items; return the dispatches' ids in the order of ``items``.

    ``with_them`` are the rows that the dispatches are about: one statement writes both.
    """
    inboxes = [(item.participant_id, item.endpoint_id) for item in items if item.channel is Channel.PULL]
    positions = await inbox_positions(conn, inboxes)
    keys = [item.key or await _key(conn, vault, item) for item in items]
    dispatches: list[dict[str, Any]] = []
    queue: list[dict[str, Any]] = []
    for item, key in zip(items, keys, strict=True):
        dispatch_id = clock.derived_id(*item.identity, item.endpoint_id) if item.identity else clock.new_id()
        pulled = item.channel is Channel.PULL
        dispatches.append(
            {
                "id": dispatch_id,
                "tenant": item.tenant,
                "participant_id": item.participant_id,
                "kind": item.kind,
                "channel": item.channel,
                "endpoint_id": item.endpoint_id,
                "request_id": item.request_id,
                "order_id": item.order_id,
                "message_type": item.message_type,
                "message_sealed": vault.seal(key, "dispatches", dispatch_id, _message(dispatch_id, item, at)),
                "state": DispatchState.PENDING,
                "urgent": item.urgent,
                "attempts": 0,
                "deadline_at": item.deadline_at,
                "first_id": item.first_id,
                "position": positions[item.endpoint_id].pop(0) if pulled else None,
                "created_at": at,
            }
        )
        if not pulled:
            queue.append(
                {
                    "tenant": item.tenant,
                    "dispatch_id": dispatch_id,
                    "endpoint_id": item.endpoint_id,
                    "priority": 0 if item.urgent else 1,
                    "run_at": at,
                    "leased": False,
                    "attempt": 0,
                    "order_key": item.order_key,
                }
            )
    await db.insert_all(conn, *with_them, Rows(_DISPATCHES, dispatches), Rows(_QUEUE, queue))
    await doorbell.announce(conn, {participant_id for participant_id, _ in inboxes})
    return [row["id"] for row in dispatches]


async def cancel(conn: AsyncConnection, at: datetime, order_ids: Sequence[UUID]) -> set[UUID]:
    """Cancel what was not delivered yet of these orders; return those that may have arrived all the same.

    An attempt that is under way, or that broke off, may have reached the participant: nobody can tell over HTTP. So may
    what lies in an inbox: who has read it is known only once it is confirmed. Nor is what was given up after such an
    attempt known not to have arrived.
    """
    if not order_ids:
        return set()
    given_up = await _given_up(conn, order_ids)
    cancelled = (
        sa.update(_DISPATCHES)
        .where(
            _DISPATCHES.c.order_id.in_(order_ids),
            # What the agency is told about an order stays true.
            _DISPATCHES.c.kind == DispatchKind.ORDER,
            _DISPATCHES.c.state == DispatchState.PENDING,
        )
        .values(state=DispatchState.CANCELLED, settled_at=at)
        .returning(_DISPATCHES.c.id, _DISPATCHES.c.order_id, _DISPATCHES.c.channel)
    )
    ended = (await conn.execute(cancelled)).all()
    if not ended:
        return given_up
    orders = {row.id: row.order_id for row in ended}
    shown = {row.order_id for row in ended if row.channel is Channel.PULL}
    return given_up | shown | {orders[each] for each in await store.cancel(conn, list(orders))}


async def _given_up(conn: AsyncConnection, order_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these orders were given up after an attempt that may have brought them."""
    tried = (
        sa.select(_DISPATCHES.c.order_id, _ATTEMPTS.c.error)
        .join(_ATTEMPTS, _ATTEMPTS.c.dispatch_id == _DISPATCHES.c.id)
        .where(
            _DISPATCHES.c.order_id.in_(order_ids),
            _DISPATCHES.c.kind == DispatchKind.ORDER,
            _DISPATCHES.c.message_type.in_(_ORDERING),
            _DISPATCHES.c.state == DispatchState.DEAD,
        )
        .distinct()
    )
    return {row.order_id for row in (await conn.execute(tried)).all() if lift.may_have_arrived(row.error)}


async def cancel_over(conn: AsyncConnection, at: datetime, order_ids: Sequence[UUID]) -> None:
    """Cancel what would still order holds that are over, as of these orders or of what prolonged them.

    That is what a person had sent once more, what another endpoint was to bring as well, and what was answered before
    anybody called with it. Else a lift waited behind it, or the participant got the order of a hold that has ended.
    """
    prolonging = sa.select(_ORDERS.c.id).where(_ORDERS.c.original_id.in_(order_ids))
    about = sa.or_(_DISPATCHES.c.order_id.in_(order_ids), _DISPATCHES.c.order_id.in_(prolonging))
    over = (
        sa.update(_DISPATCHES)
        .where(
            about,
            _DISPATCHES.c.kind == DispatchKind.ORDER,
            # A lift still holds, and so does the end of a silence.
            _DISPATCHES.c.message_type.in_(_ORDERING),
            _DISPATCHES.c.state == DispatchState.PENDING,
        )
        .values(state=DispatchState.CANCELLED, settled_at=at)
        .returning(_DISPATCHES.c.id)
    )
    cancelled = list((await conn.execute(over)).scalars()) if order_ids else []
    await store.cancel(conn, cancelled)


async def received(conn: AsyncConnection, at: datetime, messages: Collection[UUID]) -> None:
    """Cancel what would bring messages once more that their participant has; each is named by its first dispatch."""
    family = sa.or_(among.of(conn, _DISPATCHES.c.id, messages), among.of(conn, _DISPATCHES.c.first_id, messages))
    again = (
        sa.update(_DISPATCHES)
        .where(family, _DISPATCHES.c.state == DispatchState.PENDING)
        .values(state=DispatchState.CANCELLED, settled_at=at)
        .returning(_DISPATCHES.c.id)
    )
    cancelled = list((await conn.execute(again)).scalars()) if messages else []
    await store.cancel(conn, cancelled)


async def _key(conn: AsyncConnection, vault: Vault, item: Outgoing) -> KeyRow:
    if item.request_id is None:
        return await subjects.of_house(conn, vault, item.tenant)
    return await subjects.of_request(conn, vault, item.tenant, item.request_id)


async def inbox_positions(conn: AsyncConnection, wanted: Sequence[tuple[str, UUID]]) -> dict[UUID, list[int]]:
    """Take the next places in pull inboxes, one for each participant and endpoint named; return them by endpoint.

    A participant comes with one cursor, so all its inboxes, one after the other or side by side, share one count. The
    row locks are held to the commit: positions become visible in their order and no cursor passes one by.
    """
    positions: dict[UUID, list[int]] = {}
    for (participant_id, endpoint_id), count in sorted(Counter(wanted).items()):
        theirs = sa.select(_ENDPOINTS.c.inbox_position).where(_ENDPOINTS.c.tenant == participant_id)
        locked = theirs.order_by(_ENDPOINTS.c.id).with_for_update(key_share=True)
        last = max((await conn.execute(locked)).scalars())
        positions[endpoint_id] = list(range(last + 1, last + count + 1))
        raised = sa.update(_ENDPOINTS).where(_ENDPOINTS.c.id == endpoint_id)
        await conn.execute(raised.values(inbox_position=last + count))
    return positions


def _message(dispatch_id: UUID, item: Outgoing, at: datetime) -> str:
    message = {
        "id": f"msg_{(item.first_id or dispatch_id).hex}",
        "type": item.message_type,
        "kind": str(item.kind),
        "subject": item.subject,
        "occurred_at": (item.occurred_at or at).isoformat(),
        "sequence": item.sequence,
        "body": item.body,
        "signature": item.signature,
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
