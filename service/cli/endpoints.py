"""Commands for where the hub sends: one administrator proposes an endpoint, another approves it with his key."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from service import db
from service.actions import (
    approve_endpoint,
    propose_endpoint,
    record_certification,
    refuse_endpoint,
    register_endpoint,
)
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import Hub
from service.queries import proposals
from service.schemas.certifications import CertificationAnswer
from service.schemas.endpoints import (
    EndpointAnswer,
    NewDecision,
    NewDefinition,
    NewMailbox,
    NewPullInbox,
    NewStandardDoor,
    NewWebhook,
    ProposalAnswer,
    ProposalList,
)
from service.security import certifications, client_keys
from workflows.terms import Channel, Purpose


class Spoken(StrEnum):
    """The channels on which the hub calls an address."""

    WEBHOOK = "webhook"
    ISO20022 = "iso20022"
    ETSI = "etsi"


app = typer.Typer(help="Endpoints: propose, list what waits, certify, approve, refuse.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="the participant's id")]
Endpoint = Annotated[UUID, typer.Argument(help="the endpoint's id, or its proposal's")]
Webhook = Annotated[str | None, typer.Option(help="the https address")]
Network = Annotated[
    str | None, typer.Option(help="the CIDR in which its address must lie, a /16 (IPv6: a /48) at most")
]
Authorities = Annotated[Path | None, typer.Option("--ca", help="PEM file of the only authorities to trust")]
Certificate = Annotated[
    Path | None, typer.Option("--client-cert", help="PEM file of the hub's certificate, for the key of client-key")
]
Position = Annotated[int, typer.Option(help="endpoints of one purpose are used in this order")]
InFlight = Annotated[int, typer.Option(help="how many may be under way at one time, 8 at most")]
PerSecond = Annotated[int | None, typer.Option(help="how many calls may begin in a second; default: no limit")]
Timeout = Annotated[int, typer.Option(help="seconds for a whole call, 30 at most")]
Digest = Annotated[str, typer.Option(help="of the proposal that you have read, as proposals shows it")]

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WAITS = "waits for another administrator; nothing is sent there before"

_COLUMNS = ("participant_id", "endpoint_id", "purpose", "url", "network", "port", "proposed_by", "sha256")


@app.command()
def propose(
    id: Id,
    webhook: Webhook = None,
    network: Network = None,
    ca: Authorities = None,
    client_cert: Certificate = None,
    speaks: Annotated[Spoken, typer.Option(help="what is sent there: signed events, or the forms of a standard")] = (
        Spoken.WEBHOOK
    ),
    pull: Annotated[bool, typer.Option("--pull", help="an inbox that the participant comes to read")] = False,
    email: Annotated[str | None, typer.Option(help="an address for notices")] = None,
    instead_of: Annotated[UUID | None, typer.Option(help="the endpoint whose webhook shall become this one")] = None,
    purpose: Annotated[Purpose, typer.Option()] = Purpose.ORDERS,
    position: Position = 1,
    max_in_flight: InFlight = 8,
    max_per_second: PerSecond = None,
    timeout: Timeout = 10,
    batch: Annotated[bool, typer.Option("--batch", help="it takes up to 100 messages in one call")] = False,
    by: context.By = None,
    key: context.Key = None,
    as_json: AsJson = False,
) -> None:
    """Register where a participant receives; nothing is sent to a webhook before a different administrator approved it.

    A webhook's secret is printed this once. A pull inbox and a mailbox are in force at once: the hub connects to
    neither.
    """
    if sum((webhook is not None, pull, email is not None)) != 1:
        raise output.fail("exactly one of --webhook, --pull and --email")
    for option, given in (("--ca", ca), ("--network", network)):
        if webhook is not None and given is None:
            raise output.fail(f"{option} is needed with --webhook: hoatoc endpoint propose --help says what it holds")
    if webhook is None:
        if instead_of is not None:
            raise output.fail("--instead-of goes with --webhook")
        _register(id, _unconnected(pull, email, position), by, key, as_json)
        return
    definition = {
        "channel": Channel(speaks),
        "url": webhook,
        "network": network,
        "ca_pem": context.read(ca) if ca else None,
        "client_certificate": context.read(client_cert) if client_cert else None,
        "position": position,
        "max_in_flight": max_in_flight,
        "max_per_second": max_per_second,
        "timeout_seconds": timeout,
        "batch": batch,
    }
    if instead_of is None:
        shape = NewWebhook if speaks is Spoken.WEBHOOK else NewStandardDoor
        body = context.parse(lambda: shape.model_validate({**definition, "purpose": purpose}))
        _register(id, body, by, key, as_json)
        return
    changed = context.parse(lambda: NewDefinition.model_validate(definition))

    async def change(hub: Hub) -> ProposalAnswer:
        return await propose_endpoint.propose(hub, await context.who(hub, by, key), id, instead_of, changed)

    made = context.act(change)
    output.answer(as_json, made if as_json else {**made.model_dump(mode="json"), **_told(made)})


@app.command("proposals")
def proposals_(as_json: AsJson = False) -> None:
    """List what waits for a second administrator; with --json also the authorities and the certificate."""
    output.table(as_json, _COLUMNS, context.act(_waiting).items)


@app.command()
def approve(
    id: Id, endpoint: Endpoint, sha256: Digest, by: context.SecondBy, key: context.SecondKey, as_json: AsJson = False
) -> None:
    """Let pass exactly what a different administrator proposed; from now on the hub sends there."""
    body = _decision(sha256)

    async def decide(hub: Hub) -> EndpointAnswer:
        meant = await _meant(hub, endpoint)
        return await approve_endpoint.approve(hub, await context.who(hub, by, key), id, meant, body.sha256)

    output.answer(as_json, context.act(decide))


@app.command()
def refuse(
    id: Id, endpoint: Endpoint, sha256: Digest, by: context.By = None, key: context.Key = None, as_json: AsJson = False
) -> None:
    """Refuse a proposal, or take back one's own; what is in force stays."""
    body = _decision(sha256)

    async def decide(hub: Hub) -> ProposalAnswer:
        meant = await _meant(hub, endpoint)
        return await refuse_endpoint.refuse(hub, await context.who(hub, by, key), id, meant, body.sha256)

    output.answer(as_json, context.act(decide))


@app.command()
def certified(
    id: Id,
    report: Annotated[Path, typer.Option(help="report.json, as hoatoc certify wrote it on this hub's machine")],
    by: context.By = None,
    key: context.Key = None,
    as_json: AsJson = False,
) -> None:
    """Record that a participant's system passed its examination; approve asks for it in production."""
    raw = context.read(report, certifications.LARGEST).encode()

    async def take(hub: Hub) -> CertificationAnswer:
        return await record_certification.record(hub, await context.who(hub, by, key), id, raw)

    output.answer(as_json, context.act(take))


@app.command("client-key")
def client_key(name: Annotated[str, typer.Argument(help="the common name to ask for, as hub.example.vn")]) -> None:
    """Make a key for mutual TLS, a new file among the hub's keys, and print the request to certify it.

    The participant's authority issues the certificate that --client-cert takes. On more than one node, copy the new
    file into the folder of the keys of each.
    """
    with context.told():
        output.say(client_keys.make(context.settings().keys_dir, name).removesuffix("\n"))


def _register(
    id: str,
    body: NewWebhook | NewStandardDoor | NewPullInbox | NewMailbox,
    by: str | None,
    key: Path | None,
    as_json: bool,
) -> None:
    async def register(hub: Hub) -> dict[str, object]:
        made = await register_endpoint.register(hub, await context.who(hub, by, key), id, body)
        proposed = {"sha256": made.proposal.sha256} if made.proposal else {}
        told = {**made.endpoint.model_dump(mode="json"), **proposed, "secret": made.secret}
        if made.proposal and not as_json:
            # "Active" is the switch that suspends it: whoever reads it here takes the endpoint for one in use.
            told = {name: value for name, value in told.items() if name != "active"} | _told(made.proposal)
        return told

    output.answer(as_json, context.act(register))


def _told(proposal: ProposalAnswer) -> dict[str, object]:
    """Return what a person must know of a proposal: that it waits, and the line with which another one approves it."""
    what = f"{proposal.participant_id} {proposal.endpoint_id} --sha256 {proposal.sha256}"
    return {"state": _WAITS, "next": f"hoatoc endpoint approve {what} --by HIS-CLIENT --key HIS-KEY.jwk"}


def _decision(sha256: str) -> NewDecision:
    if not _DIGEST.fullmatch(sha256):
        raise output.fail("--sha256 takes 64 hexadecimal digits in lower case, as propose printed them")
    return NewDecision(sha256=sha256)


async def _meant(hub: Hub, named: UUID) -> UUID:
    """Return the endpoint that is meant where somebody names the proposal that waits for it."""
    waiting = (await _waiting(hub)).items
    return next((each.endpoint_id for each in waiting if each.id == named), named)


def _unconnected(pull: bool, email: str | None, position: int) -> NewPullInbox | NewMailbox:
    if pull:
        return context.parse(lambda: NewPullInbox(channel=Channel.PULL, position=position))
    return context.parse(lambda: NewMailbox(channel=Channel.EMAIL, address=email or "", position=position))


async def _waiting(hub: Hub) -> ProposalList:
    async with hub.database.read(db.HUB) as conn:
        return await proposals.waiting(conn)
