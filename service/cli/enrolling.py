"""Commands that enroll: agencies, participants, supervisors, their officers, signature keys and client systems."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.actions import enroll_client, enroll_key, enroll_officer, enroll_participant
from service.cli import context, output
from service.cli.output import AsJson
from service.schemas.registry import NewClient, NewKey, NewOfficer, NewParticipant, PublicJwk
from workflows.authority import AgencyLevel, Power, Rank
from workflows.terms import Role, Sector

app = typer.Typer(help="Enroll members of the network, their officers and systems.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="small letters, digits, '-', '.' and '_'")]
NameVi = Annotated[str | None, typer.Option(help="needed for a member that the directory lacks")]
NameEn = Annotated[str | None, typer.Option(help="needed for a member that the directory lacks")]
ShortName = Annotated[str | None, typer.Option()]
Parent = Annotated[str | None, typer.Option(help="the id of the unit above")]


@app.command()
def agency(
    id: Id,
    name_vi: NameVi = None,
    name_en: NameEn = None,
    short_name: ShortName = None,
    level: Annotated[AgencyLevel | None, typer.Option()] = None,
    province: Annotated[str | None, typer.Option(help="the code of its province, two digits")] = None,
    parent: Parent = None,
    as_json: AsJson = False,
) -> None:
    """Enroll a police unit that files requests."""
    _enroll(
        as_json,
        id=id,
        sector=Sector.AGENCY,
        name_vi=name_vi,
        name_en=name_en,
        short_name=short_name,
        level=level,
        province_code=province,
        parent_id=parent,
    )


@app.command()
def participant(
    id: Id,
    sector: Annotated[Sector | None, typer.Option(help="needed for a member that the directory lacks")] = None,
    name_vi: NameVi = None,
    name_en: NameEn = None,
    short_name: ShortName = None,
    supervisor: Annotated[str | None, typer.Option(help="default: its sector's")] = None,
    alias: Annotated[list[str] | None, typer.Option(help="scheme=value, as bin=970400; repeatable")] = None,
    as_json: AsJson = False,
) -> None:
    """Enroll who receives orders: a bank, wallet, telecom, ISP, platform or registrar."""
    pairs = [each.partition("=") for each in alias or []]
    _enroll(
        as_json,
        id=id,
        sector=sector,
        name_vi=name_vi,
        name_en=name_en,
        short_name=short_name,
        supervisor_id=supervisor,
        aliases=tuple({"scheme": scheme, "value": value} for scheme, _, value in pairs),
    )


@app.command()
def supervisor(
    id: Id,
    name_vi: NameVi = None,
    name_en: NameEn = None,
    short_name: ShortName = None,
    parent: Parent = None,
    as_json: AsJson = False,
) -> None:
    """Enroll an authority that the ladder calls and that sees the silence of those it watches."""
    _enroll(
        as_json,
        id=id,
        sector=Sector.SUPERVISOR,
        name_vi=name_vi,
        name_en=name_en,
        short_name=short_name,
        parent_id=parent,
    )


@app.command()
def officer(
    agency: Annotated[str, typer.Argument(help="the agency's id")],
    id: Id,
    rank: Annotated[Rank, typer.Option()],
    number: Annotated[str, typer.Option(help="the number of the officer's card")],
    power: Annotated[list[Power], typer.Option(help="repeatable")],
    name: Annotated[str | None, typer.Option(help="asked for when missing; it is sealed")] = None,
    appointed_until: Annotated[
        datetime | None, typer.Option(help="when the appointment ends, in UTC; default: open")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Enroll an officer of an agency."""
    named = name or context.ask("Name")
    until = appointed_until.replace(tzinfo=UTC) if appointed_until else None
    body = context.parse(
        lambda: NewOfficer(id=id, name=named, rank=rank, number=number, powers=power, appointed_until=until)
    )
    made = context.act(lambda hub: enroll_officer.enroll(hub, context.person(), agency, body), writes=True)
    output.answer(as_json, made)


@app.command()
def client(
    participant: Annotated[str, typer.Argument(help="whose system it is")],
    id: Id,
    role: Annotated[list[Role], typer.Option(help="repeatable")],
    key: Annotated[Path, typer.Option(help="a file with the public JWK, as hoatoc keygen prints it")],
    not_after: Annotated[datetime | None, typer.Option(help="the key's end in UTC; default: in a year")] = None,
    as_json: AsJson = False,
) -> None:
    """Enroll a client system with its roles and public key; its participant becomes active."""
    body = context.parse(
        lambda: NewClient(
            id=id,
            roles=role,
            key=_public_key(key),
            not_after=not_after.replace(tzinfo=UTC) if not_after else None,
        )
    )
    made = context.act(lambda hub: enroll_client.enroll(hub, context.person(), participant, body), writes=True)
    output.answer(as_json, made)


@app.command()
def key(
    participant: Annotated[str, typer.Argument(help="the officer's agency, or the participant that answers")],
    key: Annotated[str, typer.Option(help="the public JWK, or a file with it, as hoatoc keygen prints it")],
    officer: Annotated[str | None, typer.Option(help="whose key it is; none for a participant's own")] = None,
    credential_id: Annotated[
        str | None, typer.Option(help="of a passkey, as the officer's page shows it: --credential-id=…")
    ] = None,
    not_after: Annotated[datetime | None, typer.Option(help="the key's end in UTC; default: in a year")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a signature key, after its thumbprint was compared with its owner some other way."""
    body = context.parse(
        lambda: NewKey(
            officer_id=officer,
            key=_public_jwk(key, "--key") if key.startswith("{") else _public_key(Path(key)),
            not_after=not_after.replace(tzinfo=UTC) if not_after else None,
            credential_id=credential_id,
        )
    )
    # Like a sign-in link: one short transaction beside a running hub, so that nobody stops it for a key.
    made = context.act(lambda hub: enroll_key.enroll(hub, context.person(), participant, body))
    output.answer(as_json, made)


def _enroll(as_json: bool, **values: object) -> None:
    body = context.parse(lambda: NewParticipant.model_validate(values))
    made = context.act(lambda hub: enroll_participant.enroll(hub, context.person(), body), writes=True)
    output.answer(as_json, made)


def _public_key(path: Path) -> PublicJwk:
    return _public_jwk(context.read(path), str(path))


def _public_jwk(text: str | bytes, source: str) -> PublicJwk:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        raise output.fail(f"{source} holds no JSON") from None
    if isinstance(members, dict) and "d" in members:
        raise output.fail(f"{source} is the private key: give the public one, as hoatoc keygen printed it")
    return PublicJwk.model_validate(members)
