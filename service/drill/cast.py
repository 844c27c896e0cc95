"""Who plays in a drill: officers and a police system of the drill's own, and the participants that a sandbox plays."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from service import files
from service.actions import enroll_client, enroll_key, enroll_officer, enroll_participant, register_endpoint
from service.engine.hub import Hub
from service.schemas.endpoints import NewPullInbox
from service.schemas.registry import NewClient, NewKey, NewOfficer, NewParticipant
from service.security.principals import Principal
from workflows.authority import Power, Rank
from workflows.terms import Channel, Role

POLICE_CLIENT, MAKER, APPROVER = "drill-police", "drill-maker", "drill-approver"
_POLICE_ROLES = (Role.MAKER, Role.APPROVER, Role.READER)
_OFFICERS = (
    (MAKER, Rank.DAI_UY, "DT-01", (Power.ORDER,)),
    (APPROVER, Rank.TRUNG_TA, "DT-02", (Power.ORDER, Power.APPROVE)),
)
_FILE = "drill-cast.json"
Jwk = dict[str, Any]


@dataclass
class Player:
    """A participant that the sandbox plays: its system's key, and the one that signs its answers."""

    id: str
    sector: str
    client_key: Jwk
    answer_key: Jwk


@dataclass
class Cast:
    """The private keys that a drill is played with; made for it, registered nowhere else, in a file for its owner."""

    agency: str
    police_key: Jwk
    officer_keys: dict[str, Jwk]
    players: list[Player] = field(default_factory=list)

    @staticmethod
    def path(folder: Path) -> Path:
        """Return where it is kept."""
        return folder / _FILE

    @classmethod
    def load(cls, folder: Path) -> "Cast":
        """Read what ``prepare`` kept. Raises OSError where a drill was not prepared here."""
        kept = json.loads(cls.path(folder).read_text("utf-8"))
        return cls(**{**kept, "players": [Player(**player) for player in kept["players"]]})

    def save(self, folder: Path) -> Path:
        """Keep it beside the drill's data; a file that is there is never overwritten."""
        files.new_file(self.path(folder), (json.dumps(asdict(self), indent=1) + "\n").encode())
        return self.path(folder)


async def enroll(hub: Hub, administrator: Principal, agency: str, participants: Mapping[str, str]) -> Cast:
    """Enrol who plays, each with keys made now; ``participants`` are sectors by id.

    Each player gets a pull inbox: nothing of a drill calls anybody whom nobody named. Raises what the actions raise.
    """
    police = _new_key()
    await enroll_participant.enroll(hub, administrator, NewParticipant(id=agency))
    await _client(hub, administrator, agency, POLICE_CLIENT, police, _POLICE_ROLES)
    cast = Cast(agency, _private(police), {})
    for officer, rank, number, powers in _OFFICERS:
        body = NewOfficer(id=officer, name=f"Diễn tập {number}", rank=rank, number=number, powers=list(powers))
        await enroll_officer.enroll(hub, administrator, agency, body)
        cast.officer_keys[officer] = await _signature_key(hub, administrator, agency, officer)
    for name, sector in participants.items():
        key = _new_key()
        await enroll_participant.enroll(hub, administrator, NewParticipant(id=name))
        await _client(hub, administrator, name, client_of(name), key, (Role.PARTICIPANT_OPERATOR,))
        await register_endpoint.register(hub, administrator, name, NewPullInbox(channel=Channel.PULL))
        answers = await _signature_key(hub, administrator, name, None)
        cast.players.append(Player(name, sector, _private(key), answers))
    return cast


def client_of(participant: str) -> str:
    """Return the id of the system with which a player reads its inbox."""
    return f"{participant}-drill"


async def _client(
    hub: Hub, administrator: Principal, tenant: str, client: str, key: ECKey, roles: tuple[Role, ...]
) -> None:
    body = {"id": client, "roles": list(roles), "key": key.as_dict(private=False)}
    await enroll_client.enroll(hub, administrator, tenant, NewClient.model_validate(body))


async def _signature_key(hub: Hub, administrator: Principal, tenant: str, officer: str | None) -> Jwk:
    key = _new_key()
    body = {"officer_id": officer, "key": key.as_dict(private=False)}
    await enroll_key.enroll(hub, administrator, tenant, NewKey.model_validate(body))
    return _private(key)


def _new_key() -> ECKey:
    return ECKey.generate_key("P-256")


def _private(key: ECKey) -> Jwk:
    return dict(key.as_dict(private=True))
