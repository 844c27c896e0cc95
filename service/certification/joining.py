"""Enrolls the member under examination with the certifying hub, and says what orders about it are about."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters import signing
from adapters.base import Endpoint
from service import clock
from service.actions import (
    administrators,
    approve_endpoint,
    changes,
    enroll_client,
    enroll_key,
    enroll_participant,
    register_endpoint,
)
from service.certification.bench import MAKER, SECOND, Bench
from service.schemas.endpoints import NewPullInbox, NewStandardDoor, NewWebhook
from service.schemas.registry import NewClient, NewKey, NewParticipant
from workflows import conformance
from workflows.conformance import Profile
from workflows.terms import Channel, Purpose, Role, Sector

_TIMEOUT = 10
# A window must be over when it is asked about, whichever of two clocks is ahead.
_A_MOMENT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Where:
    """Where the participant's test system is called; a pull client is not.

    ``client_cert`` is the certificate by which it knows the hub, as PEM text, and the file of its key.
    """

    url: str
    network: str
    ca_pem: str
    secret: str = ""
    client_cert: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks to be examined: its public keys as JWKs, and what its own test data are."""

    id: str
    sector: Sector
    profile: Profile
    client_id: str
    client_key: Mapping[str, Any]
    answer_key: Mapping[str, Any]
    where: Where | None = None
    target: str | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An enrolled applicant: ``endpoint`` is where it is called, ``target`` and ``missing`` what orders are about."""

    applicant: Applicant
    endpoint: Endpoint | None
    target: Mapping[str, str]
    missing: Mapping[str, str]

    @property
    def id(self) -> str:
        """Its id at the hub."""
        return self.applicant.id

    @property
    def is_money(self) -> bool:
        """Tell whether it holds money rather than numbers or names."""
        return self.applicant.sector in conformance.MONEY

    def order(self, target: Mapping[str, str], amount: int) -> dict[str, Any]:
        """Return the demand to freeze ``amount`` ₫ of a target, or to block it."""
        if self.is_money:
            return {
                **_demand("freeze", "decree_52_11"),
                "target": dict(target),
                "amount": {"value": str(amount), "currency": "VND"},
            }
        measure = "suspend" if self.applicant.sector is Sector.REGISTRAR else "block"
        return {**_demand("takedown", "decree_147"), "measure": measure, "targets": [dict(target)]}

    def trace(self) -> dict[str, Any]:
        """Return the demand to say what moved on the account within the last day."""
        until = clock.utc_now() - _A_MOMENT
        window = {"since": clock.written(until - timedelta(days=1)), "until": clock.written(until)}
        return {**_demand("trace", "cpc_88"), "target": dict(self.target), "window": window}

    def lift(self, request_id: str) -> dict[str, Any]:
        """Return the demand to lift what a request brought about."""
        return {**_demand("lift", "decree_52_11" if self.is_money else "decree_147"), "original_request_id": request_id}


async def join(bench: Bench, applicant: Applicant) -> Candidate:
    """Enroll a member with its keys and where it receives. Raises ``InvalidInput`` naming the field."""
    hub, who = bench.hub, changes.local_administrator("certify")
    channel = conformance.channel_of(applicant.profile)
    values = _values(applicant)
    target, missing = (_target(applicant, value) for value in values)
    joined = {
        "id": applicant.id,
        "sector": applicant.sector,
        "name_vi": applicant.id,
        "name_en": applicant.id,
        "aliases": [{"scheme": scheme, "value": value} for scheme, value in _aliases(applicant, values)],
    }
    await enroll_participant.enroll(hub, who, NewParticipant.model_validate(joined))
    client = {"id": applicant.client_id, "roles": [Role.PARTICIPANT_OPERATOR], "key": _public(applicant.client_key)}
    await enroll_client.enroll(hub, who, applicant.id, NewClient.model_validate(client))
    await enroll_key.enroll(hub, who, applicant.id, NewKey.model_validate({"key": _public(applicant.answer_key)}))
    if channel is Channel.PULL:
        await register_endpoint.register(hub, who, applicant.id, NewPullInbox(channel=Channel.PULL))
        bench.shelves.open(applicant.id, applicant.sector)
        return Candidate(applicant, None, target, missing)
    assert applicant.where is not None, "whoever is called has an address"
    endpoint = await _connect(bench, applicant, applicant.where, channel)
    return Candidate(applicant, endpoint, target, missing)


async def _connect(bench: Bench, applicant: Applicant, where: Where, channel: Channel) -> Endpoint:
    """Register the address and let a second administrator approve it, as on any hub."""
    shape = NewWebhook if channel is Channel.WEBHOOK else NewStandardDoor
    hub, who = bench.hub, changes.local_administrator("certify")
    defined = {"channel": channel, "url": where.url, "network": where.network, "ca_pem": where.ca_pem}
    if where.client_cert is not None:
        defined["client_certificate"] = where.client_cert[0]
        _lend(hub.settings.keys_dir, Path(where.client_cert[1]))
    body = shape.model_validate({**defined, "purpose": Purpose.ORDERS})
    registered = await register_endpoint.register(hub, who, applicant.id, body)
    proposal = registered.proposal
    assert proposal is not None, "an address is always proposed first"
    approver = await administrators.of_key(hub, SECOND, bench.keys[SECOND].kid)
    await approve_endpoint.approve(hub, approver, applicant.id, proposal.endpoint_id, proposal.sha256)
    return Endpoint(
        id=str(proposal.endpoint_id),
        channel=channel,
        url=where.url,
        network=proposal.network,
        port=proposal.port,
        ca_pem=where.ca_pem,
        client_cert=where.client_cert,
        secrets=(where.secret or signing.new_secret(),),
        timeout=_TIMEOUT,
    )


def _lend(folder: Path, key_file: Path) -> None:
    """Let this hub, which looks for its keys in a folder of its own, use a key; no copy of it is made."""
    folder.joinpath(key_file.name).symlink_to(key_file.resolve())


def _values(applicant: Applicant) -> tuple[str, str]:
    usual, unknown = conformance.TARGETS[applicant.sector]
    return applicant.target or usual, applicant.missing or unknown


def _target(applicant: Applicant, value: str) -> dict[str, str]:
    match applicant.sector:
        case Sector.BANK | Sector.WALLET:
            whose = {"institution": applicant.id, "holder_name": "NGUYEN VAN MAU"}
            return {"kind": "account", "value": value, **whose}
        case Sector.TELECOM:
            return {"kind": "phone", "value": value}
        case Sector.PLATFORM:
            return {"kind": "social_account", "value": value, "platform": applicant.id}
        case _:
            return {"kind": "domain", "value": value}


def _aliases(applicant: Applicant, values: tuple[str, str]) -> list[tuple[str, str]]:
    """Return by what orders find the member here, whatever the shipped directory says of its numbers."""
    match applicant.sector:
        case Sector.TELECOM:
            return [("e164_prefix", value) for value in values]
        case Sector.REGISTRAR:
            return [("tld", value) for value in values]
        case _:
            return [("name", applicant.id)]


def _demand(action: str, basis: str) -> dict[str, Any]:
    return {
        "case_number": "KIEM-THU/00",
        "action": action,
        "urgency": "hoa_toc",
        "legal_basis": basis,
        "officer_id": MAKER,
        "document": {"number": "00/KIEM-THU", "date": f"{clock.utc_now():%Y-%m-%d}", "sha256": "00" * 32},
        "contact": {"name": "Kiem thu", "phone": "+84283000111"},
    }


def _public(key: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(key[name]) for name in ("kty", "crv", "x", "y")}


def at(applicant: Applicant, where: Where | None) -> Applicant:
    """Return an applicant with the address of its test system."""
    return replace(applicant, where=where)
