"""Commands for the people of the console: linking them to the identity provider, and sending them home."""

from typing import Annotated

import typer

from service.actions import link_person, send_person_home
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import OPERATOR
from service.schemas.entries import NewProviderLink
from workflows.terms import Role

app = typer.Typer(
    help="Let people of the identity provider in to the console, and send people home.", no_args_is_help=True
)

Person = Annotated[str, typer.Argument(help="the person's id: small letters, digits, '-', '.' and '_'")]
Participant = Annotated[str, typer.Option(help="for whom the person works")]


@app.command()
def link(
    person: Person,
    role: Annotated[Role, typer.Option()] = Role.COORDINATOR,
    participant: Participant = OPERATOR,
    name: Annotated[
        str | None, typer.Option(help="what the provider calls him, by HOATOC_OIDC_CLAIM; asked for when missing")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody whom the identity provider vouches for sign in as this person; the name is kept as a digest."""
    named = name or context.ask("Name at the provider")
    body = context.parse(lambda: NewProviderLink(participant_id=participant, person=person, role=role, name=named))
    made = context.act(lambda hub: link_person.link(hub, context.person(), body))
    output.answer(as_json, made)


@app.command()
def unlink(person: Person, participant: Participant = OPERATOR, as_json: AsJson = False) -> None:
    """Take away what lets the identity provider in as this person; what is open stays open until it is sent home."""
    taken = context.act(lambda hub: link_person.unlink(hub, context.person(), participant, person))
    output.answer(as_json, taken)


@app.command()
def send_home(
    person: Person,
    participant: Participant = OPERATOR,
    for_good: Annotated[
        bool,
        typer.Option("--for-good", help="also take away his passkeys for signing in and his links to the provider"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End all of a person's sessions at the console at once, on every node, and void his unused links."""
    done = context.act(
        lambda hub: send_person_home.send_home(hub, context.person(), participant, person, for_good=for_good)
    )
    output.answer(as_json, done)
