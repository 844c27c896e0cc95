"""Batches: only where two administrators let them pass, within their bounds, and nothing in one holds the rest."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from builders import AGENCY, SECRET, Builder, table
from rigs import FastForward, Rig

from adapters import signing
from adapters.base import DeliveryFailed, Endpoint, Receipt
from adapters.webhook import BATCH_TYPE, CONTENT_TYPE, Webhook
from service.engine import parcels
from service.engine.hub import Hub
from service.engine.store.rows import NORMAL_RETRY
from service.models import Attempt, Dispatch, EndpointState, QueueItem
from service.models import Endpoint as EndpointRow
from workflows.terms import Channel, DispatchKind, DispatchState, Sector

NOTICE: dict[str, Any] = {"kind": DispatchKind.NOTICE}


class Receiver:
    """A receiver at the end of the wire, and the adapter before it; ``poison`` is what it will not have."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[dict[str, Any]]]] = []
        self.poison: set[str] = set()
        self.status = 202

    def of(self, channel: Channel) -> Webhook:
        """Speak as the hub does."""
        return Webhook("https://hub.example")

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Take what comes, if it is genuine."""
        signing.verify([SECRET], headers, content, float(headers["webhook-timestamp"]))
        assert len(content) < 20_000
        told = json.loads(content)
        events = told if isinstance(told, list) else [told]
        self.calls.append((headers["Content-Type"], events))
        status = 422 if self.poison & {event["id"] for event in events} else self.status
        if status >= 400:
            raise DeliveryFailed(f"http.{status}", status=status)
        return Receipt(status, 0.01, b"", "203.0.113.5:443")

    @property
    def sizes(self) -> list[int]:
        """How many events came in each call."""
        return [len(events) for _, events in self.calls]


@pytest.fixture
def receiver(rig: Rig) -> Receiver:
    """The receiver to which the node's delivery speaks."""
    made = Receiver()
    rig.delivery._adapters, rig.delivery._transport = made, made
    return made


async def placed(build: Builder, endpoint: UUID, count: int, **values: Any) -> list[UUID]:
    """So many notices for an endpoint; returns their dispatches."""
    await build.participant(AGENCY, Sector.AGENCY)
    return [await build.dispatch("bank-a", endpoint, **{**NOTICE, **values}) for _ in range(count)]


async def test_without_the_declaration_each_message_goes_alone(build: Builder, rig: Rig, receiver: Receiver) -> None:
    endpoint = await build.endpoint("bank-a")
    await placed(build, endpoint, 3)
    assert await rig.round() == 3
    assert [kind for kind, _ in receiver.calls] == [CONTENT_TYPE] * 3


async def test_what_is_due_goes_together_and_is_settled_together(build: Builder, rig: Rig, receiver: Receiver) -> None:
    endpoint = await build.endpoint("bank-a", batch=True, max_in_flight=1)
    ids = await placed(build, endpoint, 5)
    assert await rig.round() == 5
    [(kind, events)] = receiver.calls
    assert kind == BATCH_TYPE
    assert [event["id"] for event in events] == [f"msg_{each.hex}" for each in ids]
    assert {row.state for row in await build.rows(Dispatch)} == {DispatchState.DELIVERED}
    assert [row.attempt for row in await build.rows(Attempt)] == [1] * 5
    assert await build.rows(QueueItem) == []
    # One that is due alone travels as it always did.
    await placed(build, endpoint, 1)
    assert await rig.round() == 1
    assert receiver.calls[-1][0] == CONTENT_TYPE


async def test_no_two_messages_of_one_order_key_are_in_one_batch(build: Builder, rig: Rig, receiver: Receiver) -> None:
    endpoint = await build.endpoint("bank-a", batch=True)
    first = await placed(build, endpoint, 2, order_key=7)
    other = await placed(build, endpoint, 1, order_key=8)
    assert await rig.round() == 2
    assert await rig.round() == 1
    came = [[event["id"] for event in events] for _, events in receiver.calls]
    assert came == [[f"msg_{first[0].hex}", f"msg_{other[0].hex}"], [f"msg_{first[1].hex}"]]


async def test_as_many_calls_as_were_approved_and_what_is_over_waits_untouched(
    build: Builder, rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcels, "MOST", 4)
    endpoint = await build.endpoint("bank-a", batch=True, max_in_flight=2)
    await placed(build, endpoint, 3, note="x" * 9_000)
    # Four may be claimed; two of these fill a call.
    assert await rig.round() == 3
    assert receiver.sizes == [2, 1]
    await placed(build, endpoint, 4, note="x" * 18_000)
    assert await rig.delivery.claim_once() == 2
    waiting = [row for row in await build.rows(QueueItem) if not row.leased]
    assert [(row.attempt, row.lease_id) for row in waiting] == [(0, None)] * 2
    await rig.delivery.settled()
    assert await rig.round() == 2
    assert receiver.sizes == [2, 1, 1, 1, 1, 1]


async def test_one_that_the_receiver_will_not_have_does_not_hold_the_others(
    build: Builder, rig: Rig, receiver: Receiver, fast_forward: FastForward
) -> None:
    endpoint = await build.endpoint("bank-a", batch=True)
    ids = await placed(build, endpoint, 4, urgent=True)
    receiver.status = 400
    await rig.round()
    receiver.status, receiver.poison = 202, {f"msg_{ids[1].hex}"}
    await fast_forward(seconds=10)
    while await rig.round():
        continue
    # Alone, each of them: three arrive, and one is tried again later.
    assert receiver.sizes == [4, 1, 1, 1, 1]
    states = {row.id: row.state for row in await build.rows(Dispatch)}
    assert [states[each] is DispatchState.DELIVERED for each in ids] == [True, False, True, True]


@pytest.mark.parametrize(("calls", "drawn", "goes"), [(2, 0.9, True), (1, 0.2, True), (1, 0.9, False)])
async def test_a_backlog_never_starves_what_was_tried_before(
    build: Builder, rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, calls: int, drawn: float, goes: bool
) -> None:
    monkeypatch.setattr(parcels.random, "random", lambda: drawn)
    endpoint = await build.endpoint("bank-a", batch=True, max_in_flight=calls)
    [tried] = await placed(build, endpoint, 1)
    [item] = await build.rows(QueueItem)
    await build.change(QueueItem, item.id, attempt=1, priority=NORMAL_RETRY)
    # Each fills a call.
    await placed(build, endpoint, 3, note="x" * 18_000)
    assert await rig.round() == calls
    came = [event["id"] for _, events in receiver.calls for event in events]
    assert (f"msg_{tried.hex}" in came) is goes


async def test_a_failed_batch_is_one_failure_of_its_endpoint(
    hub: Hub, build: Builder, rig: Rig, receiver: Receiver
) -> None:
    endpoint = await build.endpoint("bank-a", batch=True)
    receiver.status = 503
    await placed(build, endpoint, 30)
    await rig.round()
    assert receiver.sizes == [30]
    # Five in a row would open the breaker.
    assert [row.open_until for row in await build.rows(EndpointState)] in ([], [None])


async def test_one_that_cannot_be_opened_does_not_hold_the_others(
    hub: Hub, build: Builder, rig: Rig, receiver: Receiver
) -> None:
    endpoint = await build.endpoint("bank-a", batch=True)
    ids = await placed(build, endpoint, 3)
    await build.change(Dispatch, ids[0], message_sealed=(await build.row(Dispatch, id=ids[1])).message_sealed)
    await rig.round()
    assert receiver.sizes == [2]
    errors = {row.dispatch_id: row.error for row in await build.rows(Attempt)}
    assert errors == {ids[0]: "message.unreadable", ids[1]: None, ids[2]: None}


async def test_nobody_declares_batches_behind_the_administrators_backs(
    hub: Hub, build: Builder, rig: Rig, receiver: Receiver
) -> None:
    endpoint = await build.endpoint("bank-a")
    of = table(EndpointRow)
    with pytest.raises(sa.exc.DBAPIError):
        await hub.writer.run(lambda conn: conn.execute(sa.update(of).where(of.c.id == endpoint).values(batch=True)))
    await placed(build, endpoint, 2)
    await rig.round()
    assert receiver.sizes == [1, 1]
