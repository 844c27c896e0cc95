"""A network for journeys: a database of its own, agencies, sandbox participants over HTTPS, and duty desks."""

import contextlib
import json
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import bounding
import pytest
import sqlalchemy as sa
from builders import Everywhere
from joserfc.jwk import ECKey
from postgres import LOGIN, OWNER

from adapters.sandbox.behaviour import Behaviour, Prompt, Silent
from adapters.sandbox.hub import Hub as Tokens
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.tls import SandboxTls
from adapters.transport import HubAnswer, HubClient
from service import clock, db
from service.actions import (
    add_contact,
    administrators,
    approve_endpoint,
    changes,
    enroll_client,
    enroll_key,
    enroll_officer,
    load_directory,
    register_endpoint,
    set_policy,
)
from service.app import close_hub, open_hub
from service.engine.hub import OPERATOR, Hub
from service.schemas.endpoints import (
    NewContact,
    NewEndpoint,
    NewPullInbox,
    NewStandardDoor,
    NewWebhook,
    ProposalAnswer,
)
from service.schemas.policies import NewPolicy
from service.schemas.registry import NewClient, NewKey, NewOfficer
from service.security import signatures
from service.security.signatures import Kind
from service.settings import Settings
from workflows.terms import Channel, Purpose, Role, Sector

DATABASES = ("sqlite", "postgresql")
AGENCY = "pc02-79"
BINS = {"vietcombank": "970436", "techcombank": "970407", "bidv": "970418"}
OFFICERS = (
    ("maker", "dai_uy", ["order", "emergency"]),
    ("approver", "thieu_ta", ["order", "approve"]),
    ("senior", "thieu_ta", ["order", "approve"]),
)
LARGEST = 8 * 1024 * 1024
OnEvent = Callable[[str, dict[str, Any]], None]


def _ports() -> Iterator[int]:
    # Below the range that outgoing connections use; each of the tests' workers has a part of its own, and gives none of
    # it twice: what was given is not taken yet.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    lowest, number = 20_000 + 3_000 * worker, 3_000
    start = uuid.uuid4().int % number
    yield from (lowest + (start + step) % number for step in range(number))


_FREE = _ports()


def free_port() -> int:
    """Return a port of the loopback that nobody has taken, listening or not, and that was not returned before."""
    for port in _FREE:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is left")


@contextlib.asynccontextmanager
async def database_of(kind: str, server: str | None = None) -> AsyncIterator[str | None]:
    """Give a journey an empty database of its own: ``None`` for a file in its data folder, or PostgreSQL's URL.

    ``server`` is the URL of a server of its own; unset, it is the one that all tests share.
    """
    if kind == "sqlite":
        yield None
        return
    server = server or os.environ.get("HOATOC_TEST_POSTGRES")
    if not server:
        pytest.fail("HOATOC_TEST_POSTGRES is not set: python tests/postgres.py -- pytest …", pytrace=False)
    name = f"journey_{uuid.uuid4().hex}"
    await _as_admin(server, f'CREATE DATABASE "{name}" OWNER {OWNER}')
    try:
        yield sa.make_url(f"{server}/{name}").set(username=LOGIN).render_as_string(hide_password=False)
    finally:
        await _as_admin(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _as_admin(server: str, statement: str) -> None:
    admin = await asyncpg.connect(server.replace("+asyncpg", "") + "/postgres")
    try:
        await admin.execute(statement)
    finally:
        await admin.close()


class Police:
    """An agency's system; it speaks to one address of the hub, with a token of its own."""

    def __init__(
        self,
        address: str,
        client_id: str,
        key: Mapping[str, Any],
        officers: Mapping[str, ECKey],
        issuer: str | None = None,
    ) -> None:
        self._officers = officers
        self.client = HubClient(address, timeout=15.0, largest=LARGEST)
        self._issuer = issuer or address
        self._tokens = Tokens(self.client, client_id, key, self._issuer)

    async def submit(self, body: Mapping[str, Any], key: str | None = None) -> HubAnswer:
        """File a request that its officer signs; raises ``DeliveryFailed`` where no answer came."""
        signature = self._sign(Kind.REQUEST, body, body["officer_id"])
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Hoatoc-Signature": signature}
        return await self.post("/v1/requests", body, headers)

    async def approve(self, request_id: str, body: Mapping[str, Any], officer_id: str) -> HubAnswer:
        """Approve the request that was filed with ``body``; raises ``DeliveryFailed`` where no answer came."""
        signature = self._sign(Kind.APPROVAL, body, officer_id, request_id)
        path = f"/v1/requests/{request_id}/approvals"
        return await self.post(path, {"officer_id": officer_id, "signature": signature})

    def _sign(self, kind: Kind, body: Mapping[str, Any], officer_id: str, about: str | None = None) -> str:
        key = self._officers[officer_id]
        private: Any = key.private_key
        payload, at = signatures.canonical(json.dumps(body).encode()), clock.utc_now()
        return signatures.sign(private, key.thumbprint(), kind, payload, at=at, about=about, audience=self._issuer)

    async def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> HubAnswer:
        """POST anything."""
        content = json.dumps(body, ensure_ascii=False).encode()
        given = {**await self._tokens.headers("POST", path, content), **(headers or {})}
        answer = await self.client.post(path, content=content, headers=given)
        if answer.status == 401:
            self._tokens.forget_token()
        return answer

    async def read(self, path: str) -> Any:
        """Read a resource as JSON."""
        answer = await self.client.get(path, headers=await self._tokens.headers("GET", path))
        assert answer.status == 200, (path, answer.status, answer.body[:500])
        return json.loads(answer.body)


@dataclass
class Network:
    """Who was enrolled with one hub, and the sandboxes that play them; ``events`` is all that those saw."""

    settings: Settings
    keys: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    # The keys that officers and participants sign with, by their ids.
    signers: dict[str, ECKey] = field(default_factory=dict)
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    desks: dict[str, Sandbox] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def police(self, agency: str, address: str | None = None) -> Police:
        """Return the system of an agency; ``address`` is a node other than the issuer itself."""
        issuer = self.settings.address
        return Police(address or issuer, f"{agency}-system", self.keys[agency], self.signers, issuer)

    @contextlib.asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Let the sandboxes and desks take what comes."""
        started: list[Sandbox] = []
        try:
            for sandbox in (*self.sandboxes.values(), *self.desks.values()):
                await sandbox.start()
                started.append(sandbox)
            yield
        finally:
            for sandbox in started:
                await sandbox.stop()

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return what the sandboxes reported of one kind."""
        return [data for name, data in self.events if name == kind]


def settings_of(folder: Path, url: str | None, **changed: Any) -> Settings:
    """Return the settings of a node with sandbox participants."""
    values: dict[str, Any] = {"data_dir": folder, "database_url": url, "profile": "demo", "policy": "demo-seconds"}
    if url is not None:
        values["migration_url"] = sa.make_url(url).set(username=OWNER).render_as_string(hide_password=False)
    return Settings(**{**values, "port": free_port(), "log_level": "warning", **changed})


async def enroll(
    settings: Settings,
    participants: Mapping[str, tuple[Sector, Behaviour]],
    *,
    agencies: tuple[str, ...] = (AGENCY,),
    desks: tuple[str, ...] = (),
    mailboxes: Mapping[str, str] | None = None,
    policy: str | None = None,
    answer_to: Mapping[str, str] | None = None,
    speaks: Mapping[str, Sequence[Channel]] | None = None,
    play: Mapping[str, Callable[..., Sandbox]] | None = None,
    timeout_seconds: int = 10,
) -> Network:
    """Migrate the database, load the shipped directory and enroll everybody; return the network, not yet playing.

    ``desks`` get a duty contact over a webhook, ``mailboxes`` one by e-mail. ``policy`` is the TOML text behind
    ``settings.policy``; ``answer_to`` names a node's address by participant, where it is not the issuer itself.
    ``speaks`` are a participant's endpoints in their order, where it has others than one webhook: its sandbox is the
    last of them, and behind the others nobody listens. ``play`` makes the sandbox of a participant that is a special
    one. ``timeout_seconds`` is how long a participant's system may think about a message.
    """
    network = Network(settings)
    hub = await open_hub(settings, migrate=True)
    who = changes.local_administrator("journey")
    tls = SandboxTls(settings.data_dir / "tls")
    try:
        await load_directory.load(hub, who)
        if policy is not None:
            # Clients that file as fast as they are answered are what is tested, not that they are held.
            await set_policy.set_policy(hub, who, settings.policy, NewPolicy(text=policy + bounding.ROOMY))
        else:
            await hub.writer.run(lambda conn: bounding.shipped_with_room(conn, settings.policy), reach=db.HUB)
        await _client(hub, network, OPERATOR, Role.HUB_ADMIN)
        for agency in agencies:
            await _client(hub, network, agency, Role.MAKER, Role.APPROVER, Role.READER)
            for name, rank, powers in OFFICERS:
                officer = {
                    "id": f"{agency}-{name}",
                    "name": "Cán bộ mẫu",
                    "rank": rank,
                    "number": name,
                    "powers": powers,
                }
                await enroll_officer.enroll(hub, who, agency, NewOfficer.model_validate(officer))
                await _signature_key(hub, network, agency, f"{agency}-{name}")
        for name, (sector, behaviour) in participants.items():
            await _client(hub, network, name, Role.PARTICIPANT_OPERATOR)
            await _signature_key(hub, network, name)
            address = (answer_to or {}).get(name, settings.address)
            for position, channel in enumerate((speaks or {}).get(name, (Channel.WEBHOOK,)), start=1):
                secret, port = await _endpoint(hub, network, name, tls, (channel, position, timeout_seconds))
                network.sandboxes[name] = _sandbox(
                    *(network, name, sector, behaviour, port, secret, tls, address),
                    speaks=channel,
                    make=(play or {}).get(name, Sandbox),
                )
        for name in desks:
            webhook, port = webhook_of(tls)
            contact = NewContact.model_validate({"name": "Trực ban", "reached_by": webhook})
            added = await add_contact.add(hub, who, name, contact)
            await _approve(hub, network, added.proposal)
            secret = added.secret or ""
            network.keys.setdefault(name, ECKey.generate_key("P-256").as_dict(private=True))
            desk = _sandbox(network, name, Sector.HUB, Silent(), port, secret, tls, settings.address)
            network.desks[name] = desk
        for name, address in (mailboxes or {}).items():
            mailbox = {"channel": Channel.EMAIL, "address": address}
            contact = NewContact.model_validate({"name": "Trực ban", "reached_by": mailbox})
            await add_contact.add(hub, who, name, contact)
    finally:
        await close_hub(hub)
    return network


async def _endpoint(
    hub: Hub, network: Network, name: str, tls: SandboxTls, kind: tuple[Channel, int, int]
) -> tuple[str, int]:
    """Register where a participant gets its orders; return the secret, if there is one, and the port."""
    channel, position, timeout_seconds = kind
    called, port = webhook_of(tls)
    called["timeout_seconds"] = timeout_seconds
    about = {"channel": channel, "purpose": Purpose.ORDERS, "position": position}
    if channel is Channel.PULL:
        endpoint: NewEndpoint = NewPullInbox.model_validate(about)
    else:
        shape = NewWebhook if channel is Channel.WEBHOOK else NewStandardDoor
        endpoint = shape.model_validate({**called, **about})
    who = changes.local_administrator("journey")
    registered = await register_endpoint.register(hub, who, name, endpoint)
    if channel is not Channel.PULL:
        await _approve(hub, network, registered.proposal)
    return registered.secret or "", port


def webhook_of(tls: SandboxTls) -> tuple[dict[str, Any], int]:
    """Return a webhook endpoint on a free port of the loopback, and the port."""
    port = free_port()
    return {
        "channel": Channel.WEBHOOK,
        "url": f"https://localhost:{port}/hook",
        "network": "127.0.0.1/32",
        "port": port,
        "ca_pem": tls.ca_pem,
    }, port


async def _approve(hub: Hub, network: Network, proposal: ProposalAnswer | None) -> None:
    """Let pass as the second administrator what the first one proposed."""
    assert proposal is not None
    kid = ECKey.import_key(network.keys[OPERATOR]).thumbprint()
    second = await administrators.of_key(hub, f"{OPERATOR}-system", kid)
    await approve_endpoint.approve(hub, second, proposal.participant_id, proposal.endpoint_id, proposal.sha256)


async def _client(hub: Hub, network: Network, participant: str, *roles: Role) -> None:
    key = ECKey.generate_key("P-256")
    network.keys[participant] = key.as_dict(private=True)
    body = {"id": f"{participant}-system", "roles": list(roles), "key": key.as_dict(private=False)}
    who = changes.local_administrator("journey")
    await enroll_client.enroll(hub, who, participant, NewClient.model_validate(body))


async def _signature_key(hub: Hub, network: Network, participant: str, officer_id: str | None = None) -> None:
    key = network.signers[officer_id or participant] = ECKey.generate_key("P-256")
    body = NewKey.model_validate({"officer_id": officer_id, "key": key.as_dict(private=False)})
    await enroll_key.enroll(hub, changes.local_administrator("journey"), participant, body)


def _sandbox(
    network: Network,
    name: str,
    sector: Sector,
    behaviour: Behaviour,
    port: int,
    secret: str,
    tls: SandboxTls,
    address: str,
    speaks: Channel = Channel.WEBHOOK,
    make: Callable[..., Sandbox] = Sandbox,
) -> Sandbox:
    def keep(kind: str, data: dict[str, Any]) -> None:
        network.events.append((kind, data))

    key, issuer, signer = network.keys[name], network.settings.address, network.signers.get(name)
    return make(
        name,
        sector,
        behaviour,
        port,
        address,
        f"{name}-system",
        key,
        secret,
        tls,
        keep,
        issuer=issuer,
        signing_key=signer.as_dict(private=True) if signer else None,
        speaks=speaks,
    )


def demand(action: str, agency: str = AGENCY, **changed: Any) -> dict[str, Any]:
    """The common part of a good request."""
    return {
        "case_number": "01/2026/CA",
        "action": action,
        "urgency": "hoa_toc",
        "legal_basis": "decree_52_11",
        "officer_id": f"{agency}-maker",
        "document": {"number": "15/QD-PC02", "date": f"{clock.utc_now():%Y-%m-%d}", "sha256": "ab" * 32},
        "contact": {"name": "Trực ban PC02", "phone": "+84283000111"},
        **changed,
    }


def freeze(account: str, bank: str, amount: int = 1_000_000, **changed: Any) -> dict[str, Any]:
    """A freeze, which a second officer must approve; account and holder are made up."""
    target = {"kind": "account", "value": account, "institution": BINS[bank], "holder_name": "NGUYEN VAN MAU"}
    return demand("freeze", target=target, amount={"value": str(amount), "currency": "VND"}, **changed)


def lift(original: str, agency: str = AGENCY) -> dict[str, Any]:
    """The lift of what a request brought about."""
    return demand("lift", agency, original_request_id=original)


def takedown(*phones: str, **changed: Any) -> dict[str, Any]:
    """A block of phone numbers, which are made up."""
    targets = [{"kind": "phone", "value": phone} for phone in phones]
    return demand("takedown", legal_basis="decree_147", measure="block", targets=targets, **changed)


BANKS: dict[str, tuple[Sector, Behaviour]] = {
    "vietcombank": (Sector.BANK, Prompt()),
    "techcombank": (Sector.BANK, Prompt()),
    "bidv": (Sector.BANK, Silent()),
}
TELECOMS: dict[str, tuple[Sector, Behaviour]] = {
    "viettel": (Sector.TELECOM, Prompt()),
    "vinaphone": (Sector.TELECOM, Prompt()),
}


@contextlib.asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Everywhere]:
    """Open the hub's database beside it, to look at what is really there."""
    database = Everywhere(settings.url)
    try:
        yield database
    finally:
        await database.close()
