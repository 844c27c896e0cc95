"""What an endpoint must be before it is registered, and the row that is written: used by endpoints and contacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters import addresses, signing, targets
from adapters.addresses import NetworkRefused
from adapters.targets import Target, UrlRefused
from service import clock, errors
from service.engine import drills
from service.engine.hub import Hub
from service.models import Endpoint, table_of
from service.schemas.endpoints import (
    ContactWebhook,
    EndpointAnswer,
    NewDefinition,
    NewMailbox,
    NewPullInbox,
    NewStandardDoor,
    NewWebhook,
)
from service.security import client_keys
from service.security.keyring import KeyUnfit
from service.settings import Settings
from service.vault import KeyRow, subjects
from workflows.terms import Channel, Purpose, Sector

TABLE = table_of(Endpoint)

_NEVER_A_RECIPIENT = frozenset({Sector.AGENCY, Sector.SUPERVISOR, Sector.HUB})
# What an endpoint that the hub calls has and the others have not.
_NOTHING = {"url": "", "network": None, "port": None, "ca_pem": None, "client_certificate": None}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row to insert, the secret that its receiver must be told, and of a webhook what must be approved."""

    row: dict[str, Any]
    secret: str | None
    definition: Mapping[str, Any] | None = None

    @property
    def id(self) -> UUID:
        """The new endpoint's id."""
        return self.row["id"]  # type: ignore[no-any-return]

    def answer(self) -> EndpointAnswer:
        """Return the endpoint as the registry shows it."""
        return show({**self.row, "previous_secret_until": None, "approved_sha256": None, "approved_at": None})


def show(row: Any) -> EndpointAnswer:
    """Return a row, as a mapping, in the form in which the registry shows an endpoint."""
    return EndpointAnswer(**{name: row[name] for name in EndpointAnswer.model_fields})


async def prepare(
    conn: AsyncConnection,
    hub: Hub,
    tenant: str,
    sector: Sector,
    body: NewWebhook | NewStandardDoor | NewPullInbox | NewMailbox,
    at: datetime,
    *,
    within: str = "",
    person: KeyRow | None = None,
) -> Prepared:
    """Check an endpoint and make its row; ``within`` is the JSON pointer of the shape it came in.

    ``person`` is the key of the contact whose address it is: a member's own secrets are its house's.

    Raises ``InvalidInput`` naming the field. The rule of the addresses is PROMISES 8.4.
    """
    _check_purpose(body.purpose, sector, within)
    endpoint_id, house = clock.new_id(), await subjects.of_house(conn, hub.vault, tenant)
    row: dict[str, Any] = {
        "id": endpoint_id,
        "tenant": tenant,
        "channel": body.channel,
        "purpose": body.purpose,
        **_NOTHING,
        "address_sealed": None,
        "secret_sealed": None,
        "max_in_flight": 8,
        "max_per_second": None,
        "timeout_seconds": 10,
        "position": body.position,
        "batch": False,
        "inbox_position": 0,
        "active": True,
        "created_at": at,
    }
    if isinstance(body, NewMailbox):
        row["address_sealed"] = hub.vault.seal(person or house, "endpoints", endpoint_id, body.address)
    if not isinstance(body, NewWebhook | NewStandardDoor):
        return Prepared(row, None)
    defined = definition(hub.settings, body, within)
    await refuse_live(conn, defined["url"], within)
    secret = signing.new_secret()
    row |= {**defined, "secret_sealed": hub.vault.seal(house, "endpoints", endpoint_id, secret)}
    return Prepared(row, secret, defined)


def definition(
    settings: Settings, body: NewWebhook | NewStandardDoor | NewDefinition | ContactWebhook, within: str = ""
) -> dict[str, Any]:
    """Check what an endpoint that the hub calls shall be and return the columns of its definition.

    Raises ``InvalidInput`` naming the field: the URL in another than its one spelling, a port that is not the URL's, a
    network that may not be registered, an address outside it, authorities or a client certificate that are none.
    """
    is_demo = settings.profile == "demo"
    try:
        network = addresses.check_registrable(body.network, allow_loopback=is_demo, own_networks=settings.own_networks)
    except NetworkRefused as refused:
        raise errors.InvalidInput.of(f"{within}/network", refused.reason) from None
    try:
        target = targets.parse(body.url)
    except UrlRefused:
        raise errors.InvalidInput.of(f"{within}/url", "endpoint.url") from None
    if body.batch and body.channel is not Channel.WEBHOOK:
        raise errors.InvalidInput.of(f"{within}/batch", "endpoint.batch")
    if body.port not in (None, target.port):
        raise errors.InvalidInput.of(f"{within}/port", "endpoint.port")
    _check_host(target, network, settings, within)
    _check_authorities(body.ca_pem, within)
    try:
        client_keys.pair(settings.keys_dir, body.client_certificate)
    except KeyUnfit as unfit:
        raise errors.InvalidInput.of(f"{within}/client_certificate", "endpoint.client_key", reason=unfit.code) from None
    return {
        "url": body.url,
        "network": network,
        "port": target.port,
        "ca_pem": body.ca_pem,
        "client_certificate": body.client_certificate,
        "max_in_flight": body.max_in_flight,
        "max_per_second": body.max_per_second,
        "timeout_seconds": body.timeout_seconds,
        "batch": body.batch,
        "position": body.position,
    }


async def refuse_live(conn: AsyncConnection, url: str, within: str = "") -> None:
    """Refuse an address at which a member receives from the real hub: at a drill it is known by its digest alone.

    Raises ``InvalidInput`` naming the field; at the real hub nothing is known, and nothing refused.
    """
    if url and drills.digest(url) in await drills.live(conn):
        raise errors.InvalidInput.of(f"{within}/url", "endpoint.live")


def _check_purpose(purpose: Purpose, sector: Sector, within: str) -> None:
    receives = {
        Purpose.ORDERS: sector not in _NEVER_A_RECIPIENT,
        Purpose.STATUS: sector is Sector.AGENCY,
        Purpose.NOTICES: True,
    }
    if not receives[purpose]:
        raise errors.InvalidInput.of(f"{within}/purpose", "endpoint.purpose", sector=str(sector))


def _check_host(target: Target, network: str, settings: Settings, within: str) -> None:
    is_demo = settings.profile == "demo"
    if target.is_own_name and not is_demo:
        raise errors.InvalidInput.of(f"{within}/url", "network.forbidden")
    if target.address is None:
        return
    rules: dict[str, Any] = {"allow_loopback": is_demo, "own_networks": settings.own_networks}
    own = addresses.is_own(target.address) and not target.address.is_loopback
    if own or addresses.is_forbidden(target.address, **rules):
        raise errors.InvalidInput.of(f"{within}/url", "network.forbidden")
    if addresses.first_registered([target.host], network, **rules) is None:
        raise errors.InvalidInput.of(f"{within}/url", "endpoint.outside_network")


def _check_authorities(ca_pem: str, within: str) -> None:
    try:
        x509.load_pem_x509_certificates(ca_pem.encode())
    except ValueError:
        raise errors.InvalidInput.of(f"{within}/ca_pem", "endpoint.ca_pem") from None
    if "PRIVATE KEY" in ca_pem:
        raise errors.InvalidInput.of(f"{within}/ca_pem", "endpoint.ca_pem")
