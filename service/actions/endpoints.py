"""What an endpoint must be before it is registered, and the row that is written: used by endpoints and contacts."""

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from cryptography import x509

from adapters import addresses, signing
from adapters.addresses import NetworkRefused
from service import clock, errors
from service.engine.hub import Hub
from service.models import Endpoint, table_of
from service.schemas.endpoints import EndpointAnswer, NewMailbox, NewPullInbox, NewWebhook
from workflows.terms import Purpose, Sector

TABLE = table_of(Endpoint)

_NEVER_A_RECIPIENT = frozenset({Sector.AGENCY, Sector.SUPERVISOR, Sector.HUB})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row to insert, and the secret that its receiver must be told."""

    row: dict[str, Any]
    secret: str | None

    @property
    def id(self) -> UUID:
        """The new endpoint's id."""
        return self.row["id"]  # type: ignore[no-any-return]

    def answer(self) -> EndpointAnswer:
        """Return the endpoint as the registry shows it."""
        return show({**self.row, "previous_secret_until": None})


def show(row: Any) -> EndpointAnswer:
    """Return a row, as a mapping, in the form in which the registry shows an endpoint."""
    return EndpointAnswer(**{name: row[name] for name in EndpointAnswer.model_fields})


def prepare(
    hub: Hub,
    tenant: str,
    sector: Sector,
    body: NewWebhook | NewPullInbox | NewMailbox,
    at: datetime,
    *,
    within: str = "",
) -> Prepared:
    """Check an endpoint and make its row; ``within`` is the JSON pointer of the shape it came in.

    Raises ``InvalidInput`` naming the field. The rule of the addresses is PROMISES 8.4.
    """
    _check_purpose(body.purpose, sector, within)
    endpoint_id = clock.new_id()
    row = {
        "id": endpoint_id,
        "tenant": tenant,
        "channel": body.channel,
        "purpose": body.purpose,
        "url": "",
        "address_sealed": None,
        "network": None,
        "port": None,
        "ca_pem": None,
        "secret_sealed": None,
        "max_in_flight": 8,
        "timeout_seconds": 10,
        "position": body.position,
        "inbox_position": 0,
        "active": True,
        "created_at": at,
    }
    if isinstance(body, NewMailbox):
        row["address_sealed"] = hub.vault.seal("endpoints", endpoint_id, tenant, body.address)
    if not isinstance(body, NewWebhook):
        return Prepared(row, None)
    allow_loopback = hub.settings.profile == "demo"
    network = _network(body, hub, within)
    port = _check_url(body, network, allow_loopback, within)
    _check_authorities(body, within)
    secret = signing.new_secret()
    row |= {
        "url": body.url,
        "network": network,
        "port": port,
        "ca_pem": body.ca_pem,
        "secret_sealed": hub.vault.seal("endpoints", endpoint_id, tenant, secret),
        "max_in_flight": body.max_in_flight,
        "timeout_seconds": body.timeout_seconds,
    }
    return Prepared(row, secret)


def _check_purpose(purpose: Purpose, sector: Sector, within: str) -> None:
    receives = {
        Purpose.ORDERS: sector not in _NEVER_A_RECIPIENT,
        Purpose.STATUS: sector is Sector.AGENCY,
        Purpose.NOTICES: True,
    }
    if not receives[purpose]:
        raise errors.InvalidInput.of(f"{within}/purpose", "endpoint.purpose", sector=str(sector))


def _network(body: NewWebhook, hub: Hub, within: str) -> str:
    try:
        return addresses.check_registrable(
            body.network,
            allow_loopback=hub.settings.profile == "demo",
            own_networks=hub.settings.own_networks,
        )
    except NetworkRefused as refused:
        raise errors.InvalidInput.of(f"{within}/network", refused.reason) from None


def _check_url(body: NewWebhook, network: str, allow_loopback: bool, within: str) -> int:
    """Return the port of the URL; the transport connects to nothing but this name, in this network, at this port."""
    try:
        parts = urlsplit(body.url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        host, port = None, 443
    if not host or "@" in parts.netloc or parts.fragment:
        raise errors.InvalidInput.of(f"{within}/url", "endpoint.url")
    if body.port not in (None, port):
        raise errors.InvalidInput.of(f"{within}/port", "endpoint.port")
    if addresses.is_loopback(host) and not allow_loopback:
        raise errors.InvalidInput.of(f"{within}/url", "network.forbidden")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return port
    if literal not in ipaddress.ip_network(network):
        raise errors.InvalidInput.of(f"{within}/url", "endpoint.outside_network")
    return port


def _check_authorities(body: NewWebhook, within: str) -> None:
    if body.ca_pem is None:
        return
    try:
        x509.load_pem_x509_certificates(body.ca_pem.encode())
    except ValueError:
        raise errors.InvalidInput.of(f"{within}/ca_pem", "endpoint.ca_pem") from None
    if "PRIVATE KEY" in body.ca_pem:
        raise errors.InvalidInput.of(f"{within}/ca_pem", "endpoint.ca_pem")
