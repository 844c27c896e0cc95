"""Enrolls the scene's participants, officers and desks, once; a second start finds them and goes on with them."""

import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from adapters.sandbox.behaviour import Behaviour, Silent
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.tls import SandboxTls
from service.actions import (
    add_contact,
    administrators,
    approve_endpoint,
    changes,
    enroll_client,
    enroll_key,
    enroll_officer,
    load_directory,
    make_sign_in_link,
    register_endpoint,
)
from service.app import close_hub, open_hub
from service.demo import cast
from service.engine.hub import OPERATOR, Hub
from service.schemas.endpoints import NewContact, NewWebhook, ProposalAnswer
from service.schemas.policies import NewSignInLink
from service.schemas.registry import NewClient, NewKey, NewOfficer
from service.settings import Settings
from workflows.terms import Channel, Purpose, Role, Sector

OnEvent = Callable[[str, dict[str, Any]], None]
_LOOPBACK = "127.0.0.1/32"


@dataclass
class Member:
    """What the demo keeps of one sandbox participant: its port, its keys and the secret that the hub gave it."""

    id: str
    sector: str
    port: int
    key: dict[str, Any] | None = None
    secret: str = ""
    signing_key: dict[str, Any] | None = None


@dataclass
class Network:
    """What the demo keeps between two starts, in one file that only its owner reads."""

    police_key: dict[str, Any]
    members: list[Member] = field(default_factory=list)
    desks: list[Member] = field(default_factory=list)
    officer_keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Of the second administrator, who approves what the first one proposes.
    approver_key: dict[str, Any] | None = None
    filed: bool = False

    @classmethod
    def load(cls, path: Path) -> "Network | None":
        """Read what an earlier start kept."""
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        members = [Member(**member) for member in kept.pop("members")]
        desks = [Member(**desk) for desk in kept.pop("desks")]
        return cls(**kept, members=members, desks=desks)

    def save(self, path: Path) -> None:
        """Keep it for the next start."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


async def prepare(settings: Settings, say: Callable[[str], None]) -> tuple[Network, str]:
    """Bring the database to this build, enroll whoever is missing; return the network and a fresh sign-in path."""
    hub = await open_hub(settings, migrate=True)
    try:
        path = settings.data_dir / "network.json"
        network = Network.load(path)
        if network is None:
            say("loading the shipped directory: banks, telecoms, platforms, supervisors, police units, holidays …")
            loaded = await load_directory.load(hub, _administrator())
            say(f"  {loaded.participants} participants, {loaded.aliases} aliases, {loaded.units} units")
            network = await _enroll(hub, settings.data_dir)
            network.save(path)
            say(f"enrolled {len(network.members)} sandbox participants and {len(cast.OFFICERS)} officers")
        wanted = NewSignInLink(participant_id=OPERATOR, person=cast.COORDINATOR, role=Role.COORDINATOR)
        link = await make_sign_in_link.make(hub, _administrator(), wanted)
        return network, link.path
    finally:
        await close_hub(hub)


def sandboxes(network: Network, settings: Settings, on_event: OnEvent) -> list[Sandbox]:
    """Make the participants and desks as real HTTPS servers on loopback; the caller starts and stops them."""
    tls = SandboxTls(settings.data_dir / "tls")
    behaviours = {player.id: player.behaviour for player in cast.players()}
    made = [_sandbox(member, behaviours[member.id], settings, tls, on_event) for member in network.members]
    return made + [_sandbox(desk, Silent(), settings, tls, on_event) for desk in network.desks]


def _sandbox(member: Member, behaviour: Behaviour, settings: Settings, tls: SandboxTls, on_event: OnEvent) -> Sandbox:
    return Sandbox(
        member.id,
        Sector(member.sector),
        behaviour,
        member.port,
        settings.address,
        f"{member.id}-system",
        member.key or ECKey.generate_key("P-256").as_dict(private=True),
        member.secret,
        tls,
        on_event,
        signing_key=member.signing_key,
    )


async def _enroll(hub: Hub, folder: Path) -> Network:
    administrator = _administrator()
    police = ECKey.generate_key("P-256")
    network = Network(police_key=dict(police.as_dict(private=True)))
    ca_pem = SandboxTls(folder / "tls").ca_pem
    await _enroll_client(hub, cast.AGENCY, cast.POLICE_CLIENT, police, cast.POLICE_ROLES)
    approver = ECKey.generate_key("P-256")
    await _enroll_client(hub, OPERATOR, cast.APPROVER_CLIENT, approver, [Role.HUB_ADMIN])
    network.approver_key = dict(approver.as_dict(private=True))
    for person in cast.OFFICERS:
        officer = {**asdict(person), "powers": list(person.powers)}
        await enroll_officer.enroll(hub, administrator, cast.AGENCY, NewOfficer.model_validate(officer))
        network.officer_keys[person.id] = await _enroll_key(hub, cast.AGENCY, person.id)
    ports = _free_ports(len(cast.players()) + len(cast.DESKS))
    for player in cast.players():
        key = ECKey.generate_key("P-256")
        await _enroll_client(hub, player.id, f"{player.id}-system", key, [Role.PARTICIPANT_OPERATOR])
        port = ports.pop(0)
        endpoint = NewWebhook.model_validate({**_webhook(port, ca_pem), "purpose": Purpose.ORDERS})
        registered = await register_endpoint.register(hub, administrator, player.id, endpoint)
        await _approve(hub, approver, registered.proposal)
        network.members.append(
            Member(
                player.id,
                player.sector,
                port,
                dict(key.as_dict(private=True)),
                registered.secret or "",
                await _enroll_key(hub, player.id),
            )
        )
    for name, sector in cast.DESKS:
        port = ports.pop(0)
        contact = NewContact.model_validate({"name": "Trực ban", "reached_by": _webhook(port, ca_pem)})
        added = await add_contact.add(hub, administrator, name, contact)
        await _approve(hub, approver, added.proposal)
        network.desks.append(Member(f"{name}-desk", sector, port, None, added.secret or ""))
    return network


async def _approve(hub: Hub, key: ECKey, proposal: ProposalAnswer | None) -> None:
    """Let pass what the first administrator proposed, as the second one: the demo has two, like any hub."""
    if proposal is not None:
        second = await administrators.of_key(hub, cast.APPROVER_CLIENT, key.thumbprint())
        await approve_endpoint.approve(hub, second, proposal.participant_id, proposal.endpoint_id, proposal.sha256)


async def _enroll_client(hub: Hub, participant: str, client: str, key: ECKey, roles: Any) -> None:
    body = {"id": client, "roles": list(roles), "key": key.as_dict(private=False)}
    await enroll_client.enroll(hub, _administrator(), participant, NewClient.model_validate(body))


async def _enroll_key(hub: Hub, participant: str, officer: str | None = None) -> dict[str, Any]:
    """Register a new signature key for an officer or a participant and return its private half."""
    key = ECKey.generate_key("P-256")
    body = {"officer_id": officer, "key": key.as_dict(private=False)}
    await enroll_key.enroll(hub, _administrator(), participant, NewKey.model_validate(body))
    return dict(key.as_dict(private=True))


def _webhook(port: int, ca_pem: str) -> dict[str, Any]:
    return {
        "channel": Channel.WEBHOOK,
        "url": f"https://localhost:{port}/hook",
        "network": _LOOPBACK,
        "port": port,
        "ca_pem": ca_pem,
    }


def _administrator() -> Any:
    return changes.local_administrator("demo")


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now, chosen so that two demos rarely meet."""
    found: set[int] = set()
    while len(found) < count:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.add(port)
    return sorted(found)
