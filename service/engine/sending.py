"""One attempt: the message and the endpoint are opened, and the channel's adapter sends. No transaction is open."""

import asyncio
import json
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa

from adapters.base import Adapter, DeliveryFailed, Endpoint, Message, Receipt, Transport
from service.engine import definitions
from service.engine.hub import Hub
from service.engine.store import Claimed
from service.security import client_keys
from service.security.keyring import KeyUnfit
from service.vault import Erased, Keys, MasterMissing, SealBroken, Vault
from workflows.terms import Channel, DispatchKind

# An adapter keeps its own time; this is for one that does not, and stays far below a lease.
_LONGEST = 30.0
_GRACE = 5.0


class Speakers(Protocol):
    """Which adapter speaks on which channel, as ``adapters.registry.Adapters`` knows it."""

    def of(self, channel: Channel) -> Adapter:
        """Return the adapter; raise ``DeliveryFailed`` where nothing can be sent."""
        ...


async def send(
    hub: Hub,
    adapters: Speakers,
    transport: Transport,
    claimed: Claimed,
    keys: Keys,
    row: sa.Row[Any] | None,
    now: datetime,
) -> Receipt:
    """Send one dispatch to the endpoint of ``row``; raise ``DeliveryFailed`` unless the receiver has it."""
    if row is None:
        raise DeliveryFailed("endpoint.gone")
    if not definitions.is_in_force(dict(row._mapping)):
        raise DeliveryFailed("endpoint.not_approved")
    try:
        message = open_message(hub.vault, keys, claimed)
        endpoint = open_endpoint(hub, keys, row, now)
    except KeyUnfit:
        raise DeliveryFailed("endpoint.client_key") from None
    except (SealBroken, Erased, MasterMissing, ValueError, KeyError, TypeError):
        # The keys of another installation, most likely: nothing is lost as long as nobody gives up.
        raise DeliveryFailed("message.unreadable") from None
    try:
        async with asyncio.timeout(min(endpoint.timeout, _LONGEST) + _GRACE):
            return await adapters.of(row.channel).send(message, endpoint, transport)
    except TimeoutError:
        raise DeliveryFailed("answer.timeout") from None


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
    )
