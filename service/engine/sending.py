"""One call: its messages and the endpoint are opened, and the channel's adapter sends. No transaction is open."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa

from adapters.base import Adapter, BatchAdapter, DeliveryFailed, Endpoint, Message, Transport
from service import clock, log
from service.engine import definitions, messages
from service.engine.hub import Hub
from service.engine.store import Claimed
from service.security import client_keys
from service.security.keyring import KeyUnfit
from service.vault import UNREADABLE, Keys, Vault
from workflows.terms import Channel, DispatchKind

_log = log.get(__name__)

# An adapter keeps its own time; this is for one that does not, and stays far below a lease.
_LONGEST = 30.0
_GRACE = 5.0
_NEVER = datetime.max.replace(tzinfo=UTC)
# The keys of another installation, most likely: nothing is lost as long as nobody gives up.
_UNREADABLE = (*UNREADABLE, ValueError, KeyError, TypeError)


class Speakers(Protocol):
    """Which adapter speaks on which channel, as ``adapters.registry.Adapters`` knows it."""

    def of(self, channel: Channel) -> Adapter:
        """Return the adapter; raise ``DeliveryFailed`` where nothing can be sent."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: ``error`` is None for a success, ``latency`` in seconds, ``head`` what was answered."""

    latency: float
    error: str | None = None
    retryable: bool = True
    retry_after: float | None = None
    status: int | None = None
    head: bytes = b""


@dataclass(slots=True)
class Door:
    """An endpoint's row as it was last read, and what opens its secrets: opened once, and as old as the row at most.

    ``opened`` is used until ``until``, when a secret of its ends to count.
    """

    row: sa.Row[Any]
    keys: Keys
    opened: Endpoint | None = None
    until: datetime = _NEVER


async def send(
    hub: Hub,
    adapters: Speakers,
    transport: Transport,
    parcel: Sequence[Claimed],
    keys: Keys,
    door: Door | None,
    now: datetime,
) -> list[Ending]:
    """Send to the endpoint behind ``door`` what goes there together, and return how that ended for each of ``parcel``.

    What cannot be opened does not hold the others. A batch ends alike for all that was in it.
    """
    began = clock.monotonic()
    try:
        adapter, endpoint = _prepared(hub, adapters, door, now)
    except DeliveryFailed as failure:
        return [_failed(began, failure)] * len(parcel)
    endings = [Ending(0.0, "message.unreadable")] * len(parcel)
    opened: list[tuple[int, Message]] = []
    for at, claimed in enumerate(parcel):
        try:
            message = open_message(hub.vault, keys, claimed)
        except _UNREADABLE:
            continue
        # The last net: no order of a drill leaves the real hub, and none leaves a drill that does not say what it is.
        if messages.is_marked(message.body) is not hub.settings.drill:
            endings[at] = Ending(0.0, "message.not_of_this_hub", retryable=False)
            continue
        opened.append((at, message))
    ready = [message for _, message in opened]
    calls: Sequence[Sequence[Message]] = [[message] for message in ready]
    if len(ready) > 1 and isinstance(adapter, BatchAdapter):
        calls = adapter.batches(ready)
    places = iter(at for at, _ in opened)
    for call in calls:
        ending = await _call(adapter, call, endpoint, transport)
        for at in itertools.islice(places, len(call)):
            endings[at] = ending
    return endings


def _prepared(hub: Hub, adapters: Speakers, door: Door | None, now: datetime) -> tuple[Adapter, Endpoint]:
    if door is None:
        raise DeliveryFailed("endpoint.gone")
    row = door.row
    if door.opened is not None and now < door.until:
        return adapters.of(row.channel), door.opened
    if not definitions.is_in_force(dict(row._mapping)):
        raise DeliveryFailed("endpoint.not_approved")
    try:
        adapter, opened = adapters.of(row.channel), open_endpoint(hub, door.keys, row, now)
    except KeyUnfit:
        raise DeliveryFailed("endpoint.client_key") from None
    except _UNREADABLE:
        raise DeliveryFailed("message.unreadable") from None
    # Until then it has two secrets.
    ends = row.previous_secret_until
    door.opened, door.until = opened, ends if ends is not None and ends > now else _NEVER
    return adapter, opened


async def _call(adapter: Adapter, together: Sequence[Message], endpoint: Endpoint, transport: Transport) -> Ending:
    began = clock.monotonic()
    try:
        async with asyncio.timeout(min(endpoint.timeout, _LONGEST) + _GRACE):
            if len(together) > 1 and isinstance(adapter, BatchAdapter):
                receipt = await adapter.send_batch(together, endpoint, transport)
            else:
                receipt = await adapter.send(together[0], endpoint, transport)
    except TimeoutError:
        return _failed(began, DeliveryFailed("answer.timeout"))
    except DeliveryFailed as failure:
        return _failed(began, failure)
    except Exception:
        _log.exception("attempt.broke", message_id=together[0].id, channel=str(endpoint.channel))
        return _failed(began, DeliveryFailed("hub.fault"))
    return Ending(clock.monotonic() - began, status=receipt.status, head=receipt.body_head)


def _failed(began: float, failure: DeliveryFailed) -> Ending:
    return Ending(
        clock.monotonic() - began,
        failure.code,
        failure.retryable,
        failure.retry_after,
        failure.status,
        failure.body_head,
    )


def open_message(vault: Vault, keys: Keys, claimed: Claimed) -> Message:
    """Return the message as it was when it was placed: the same at every attempt."""
    stored = json.loads(vault.unseal(keys, "dispatches", claimed.dispatch_id, claimed.tenant, claimed.message_sealed))
    return Message(
        id=stored["id"],
        type=stored["type"],
        kind=DispatchKind(stored["kind"]),
        subject=stored["subject"],
        occurred_at=datetime.fromisoformat(stored["occurred_at"]),
        sequence=stored["sequence"],
        body=stored["body"],
        # What was placed before orders were signed has none, and is sent as it is.
        signature=stored.get("signature"),
    )


def open_endpoint(hub: Hub, keys: Keys, row: sa.Row[Any], now: datetime) -> Endpoint:
    """Return the endpoint with its secrets, newest first; the previous one counts while its overlap lasts.

    Raises KeyUnfit where this node lacks the key of its client certificate.
    """

    def opened(sealed: bytes) -> str:
        return hub.vault.unseal(keys, "endpoints", row.id, row.tenant, sealed)

    secrets = [opened(row.secret_sealed)] if row.secret_sealed else []
    if row.previous_secret_sealed and row.previous_secret_until and row.previous_secret_until > now:
        secrets.append(opened(row.previous_secret_sealed))
    url = row.url
    if row.channel is Channel.EMAIL and row.address_sealed:
        url = f"mailto:{quote(opened(row.address_sealed), safe='@')}"
    return Endpoint(
        id=str(row.id),
        channel=row.channel,
        url=url,
        network=row.network,
        port=row.port,
        ca_pem=row.ca_pem,
        secrets=tuple(secrets),
        client_cert=client_keys.pair(hub.settings.keys_dir, row.client_certificate),
        timeout=float(row.timeout_seconds),
        bin=row.bin,
        bic=row.swift,
    )
