"""Commands for policies: put a version in force, show the one that is."""

from pathlib import Path
from typing import Annotated

import typer

from service import db, errors
from service.actions import set_policy
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import Hub
from service.queries import policies
from service.schemas.policies import NewPolicy, PolicyAnswer
from workflows import policy

app = typer.Typer(help="Escalation policies.", no_args_is_help=True)


@app.command("set")
def set_(
    file: Annotated[Path, typer.Argument(help="the policy as TOML; its name and version stand in it")],
    as_json: AsJson = False,
) -> None:
    """Put a newer version in force for requests filed from now on."""
    text = context.read(file)
    try:
        name = policy.load(text).name
    except policy.PolicyInvalid as invalid:
        raise output.fail(f"{file}: {invalid}") from None
    body = context.parse(lambda: NewPolicy(text=text))
    made = context.act(lambda hub: set_policy.set_policy(hub, context.person(), name, body), writes=True)
    output.answer(as_json, made.model_dump(mode="json", exclude={"text"}))


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="default: the policy in the settings")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the version that is in force."""
    wanted = name or context.settings().policy
    found = context.act(lambda hub: _newest(hub, wanted))
    if as_json:
        output.answer(True, found)
    else:
        output.say(found.text.rstrip())


async def _newest(hub: Hub, name: str) -> PolicyAnswer:
    async with hub.database.read(db.HUB) as conn:
        found = await policies.newest(conn, name)
    if found is None:
        raise errors.NotFound
    return found
