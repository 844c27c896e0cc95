"""Commands for the registry: who takes part, who is on duty, renewed, and stopped."""

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from service import db, errors
from service.actions import (
    add_contact,
    note_reading,
    remove_contact,
    renew_officer,
    resume,
    revoke_key,
    rotate_endpoint_secret,
    set_duty_phone,
    suspend,
)
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import Hub
from service.queries import participants
from service.schemas.callbacks import NewDutyPhone
from service.schemas.endpoints import (
    ContactMailbox,
    ContactWebhook,
    DutyHours,
    NewContact,
)
from service.schemas.registry import (
    ParticipantDetail,
    ParticipantSummary,
    SuspendedKind,
    Suspension,
)
from workflows.terms import Channel, Sector

app = typer.Typer(help="Participants: list, show, secrets, contacts, suspensions.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="the participant's id")]
Webhook = Annotated[str | None, typer.Option(help="the https address")]
Network = Annotated[str | None, typer.Option(help="the CIDR in which its address must lie")]
Authorities = Annotated[Path | None, typer.Option("--ca", help="PEM file of the only authorities to trust")]
Mail = Annotated[str | None, typer.Option("--email", help="an address for notices")]
Kind = Annotated[SuspendedKind, typer.Option(help="what to switch: the participant itself, or one of its own")]
Subject = Annotated[str | None, typer.Option(help="the id of the client, officer or endpoint")]

_PAGE = 200
_COLUMNS = ("id", "sector", "status", "short_name", "name_vi", "supervisor_id")


@app.command("list")
def list_(
    sector: Annotated[Sector | None, typer.Option()] = None,
    status: Annotated[str | None, typer.Option(help="listed, active or suspended")] = None,
    query: Annotated[str | None, typer.Option("-q", "--query", help="part of an id or a name")] = None,
    as_json: AsJson = False,
) -> None:
    """List participants by id."""
    wanted = participants.Filter(sector, status, query)
    output.table(as_json, _COLUMNS, context.act(lambda hub: _all(hub, wanted)))


@app.command()
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a participant with its systems, keys, officers, endpoints and contacts."""
    output.answer(as_json, context.act(lambda hub: _one(hub, id)))


@app.command("rotate-secret")
def rotate_secret(id: Id, endpoint_id: UUID, as_json: AsJson = False) -> None:
    """Make a new signing secret, printed this once; the one before signs too for 24 hours."""
    made = context.act(lambda hub: rotate_endpoint_secret.rotate(hub, context.person(), id, endpoint_id), writes=True)
    output.answer(as_json, made)


@app.command()
def contact(
    id: Id,
    name: Annotated[str | None, typer.Option(help="asked for when missing; it is sealed")] = None,
    email: Mail = None,
    webhook: Webhook = None,
    network: Network = None,
    ca: Authorities = None,
    hours: Annotated[str | None, typer.Option(help="HH:MM-HH:MM in Vietnam time; default: round the clock")] = None,
    position: Annotated[int, typer.Option(help="the first contact is called first")] = 1,
    as_json: AsJson = False,
) -> None:
    """Add a line to a duty roster; a webhook's secret is printed this once."""
    if (email is None) == (webhook is None):
        raise output.fail("exactly one of --email and --webhook")
    named = name or context.ask("Name")
    authorities = context.read(ca) if ca else None

    def shape() -> NewContact:
        reached_by: ContactMailbox | ContactWebhook
        if email is not None:
            reached_by = ContactMailbox(channel=Channel.EMAIL, address=email)
        else:
            values = {"channel": Channel.WEBHOOK, "url": webhook, "network": network, "ca_pem": authorities}
            reached_by = ContactWebhook.model_validate(values)
        return NewContact(name=named, reached_by=reached_by, hours=_hours(hours), position=position)

    body = context.parse(shape)
    output.answer(as_json, context.act(lambda hub: add_contact.add(hub, context.person(), id, body), writes=True))


@app.command("remove-contact")
def remove_contact_(id: Id, contact_id: UUID, as_json: AsJson = False) -> None:
    """Take a line off a duty roster."""
    context.act(lambda hub: remove_contact.remove(hub, context.person(), id, contact_id), writes=True)
    output.answer(as_json, {"removed": str(contact_id)})


@app.command("duty-phone")
def duty_phone_(
    id: Id,
    number: Annotated[str | None, typer.Argument(help="as +842838387342, from paper; without it, none")] = None,
    as_json: AsJson = False,
) -> None:
    """Set the number of a duty desk, over which the hub calls an agency back."""
    body = context.parse(lambda: NewDutyPhone(phone=number))
    made = context.act(lambda hub: set_duty_phone.set_duty_phone(hub, context.person(), id, body), writes=True)
    output.answer(as_json, made)


@app.command("suspend")
def suspend_(id: Id, kind: Kind = SuspendedKind.PARTICIPANT, subject: Subject = None, as_json: AsJson = False) -> None:
    """Stop a participant, or one of its clients, officers or endpoints, at once."""
    body = context.parse(lambda: Suspension(kind=kind, id=subject or id))
    output.answer(as_json, context.act(lambda hub: suspend.suspend(hub, context.person(), id, body), writes=True))


@app.command("resume")
def resume_(id: Id, kind: Kind = SuspendedKind.PARTICIPANT, subject: Subject = None, as_json: AsJson = False) -> None:
    """Let work again what was suspended."""
    body = context.parse(lambda: Suspension(kind=kind, id=subject or id))
    output.answer(as_json, context.act(lambda hub: resume.resume(hub, context.person(), id, body), writes=True))


@app.command("renew-officer")
def renew_officer_(
    id: Id,
    officer: Annotated[str, typer.Argument(help="the officer's id")],
    until: Annotated[datetime, typer.Option(help="when the appointment ends now, in UTC")],
    as_json: AsJson = False,
) -> None:
    """Renew the appointment of an agency's officer, before or after it has ended."""
    ends = until.replace(tzinfo=UTC)
    # Like a key: one short transaction beside a running hub, so that nobody stops it for an officer.
    made = context.act(lambda hub: renew_officer.renew(hub, context.person(), id, officer, ends))
    output.answer(as_json, made)


@app.command("revoke-key")
def revoke_key_(id: Id, kid: str, as_json: AsJson = False) -> None:
    """Revoke a public key for ever."""
    context.act(lambda hub: revoke_key.revoke(hub, context.person(), id, kid), writes=True)
    output.answer(as_json, {"revoked": kid})


async def _all(hub: Hub, wanted: participants.Filter) -> list[ParticipantSummary]:
    found: list[ParticipantSummary] = []
    after: str | None = None
    async with hub.database.read(db.HUB) as conn:
        while True:
            page = await participants.page(conn, context.person(), wanted, after=after, limit=_PAGE)
            found += page.items
            after = page.next
            if after is None:
                return found


async def _one(hub: Hub, participant_id: str) -> ParticipantDetail:
    async with hub.database.read(db.HUB) as conn:
        found = await participants.one(conn, hub.vault, context.person(), participant_id)
    if found is None:
        raise errors.NotFound
    if any(contact.name is not None for contact in found.contacts):
        await note_reading.opened_roster(hub, context.person(), None, participant_id)
    return found


def _hours(text: str | None) -> DutyHours | None:
    if text is None:
        return None
    starts, _, ends = text.partition("-")
    try:
        return DutyHours(starts=time.fromisoformat(starts), ends=time.fromisoformat(ends))
    except ValueError:
        raise output.fail("--hours is HH:MM-HH:MM") from None
