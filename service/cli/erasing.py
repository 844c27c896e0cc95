"""Commands that erase what a request says of people: found by an identifier, asked by one person, done by another."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args
from uuid import UUID

import typer
from pydantic import TypeAdapter

from service import db
from service.actions import erase_request, note_reading
from service.cli import context, output
from service.cli.output import AsJson
from service.engine import erasing, erasures
from service.engine.hub import Hub
from service.queries import erasures as matches
from service.schemas import targets
from service.schemas.common import Shape
from workflows.terms import Door, TargetKind

app = typer.Typer(help="Erasure: a request's key is destroyed, its facts stay.", no_args_is_help=True)

_Request = Annotated[str, typer.Argument(help="the id or the reference of a request")]
_LONGEST = 64
_SHAPES: tuple[type[Shape], ...] = tuple(
    each for each in vars(targets).values() if isinstance(each, type) and "kind" in getattr(each, "model_fields", {})
)


@app.command()
def find(
    kind: Annotated[TargetKind, typer.Option(help="what the identifier is: account, phone, …")], as_json: AsJson = False
) -> None:
    """List the requests about one identifier, which is asked for and stands in no history of commands.

    Who searched is a fact, as at the other doors.
    """
    value = _canonical(kind, context.ask("the identifier"))
    rows = context.act(lambda hub: _matches(hub, kind, value))
    output.table(as_json, ("request", "agency", "state", "erasable"), rows)


@app.command()
def ask(
    request: _Request,
    decision: Annotated[str, typer.Option(help="the number of the decision to erase; never a person's name")],
    by: context.By = None,
    key: context.Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the erasure of a request and of what lifts or extends it. Somebody else confirms it."""
    if not 0 < len(decision) <= _LONGEST:
        raise output.fail(f"--decision has {_LONGEST} characters at most")

    async def do(hub: Hub) -> UUID:
        return await erase_request.ask(hub, await context.who(hub, by, key), request, decision)

    found = str(context.act(do))
    output.answer(as_json, {"request": found, "next": f"another person: hoatoc erase confirm {found} --by … --key …"})


@app.command()
def confirm(request: _Request, by: context.SecondBy, key: context.SecondKey, as_json: AsJson = False) -> None:
    """Erase what somebody else asked to erase: the keys are destroyed, and nobody undoes it."""

    async def do(hub: Hub) -> int:
        return await erase_request.confirm(hub, await context.who(hub, by, key), request)

    output.answer(as_json, {"requests_erased": context.act(do)})


@app.command()
def ledger() -> None:
    """Print every erasure that was carried out, one JSON object a line: to be kept apart from the backups."""
    for entry in context.act(erasures.ledger):
        output.say(entry.line())


@app.command()
def reapply(
    file: Annotated[Path, typer.Argument(help="a ledger, as hoatoc erase ledger printed it")], as_json: AsJson = False
) -> None:
    """Erase again, after a restore, what was erased since the backup was made; before the hub starts."""
    try:
        entries = erasures.read(context.read(file))
    except ValueError as wrong:
        raise output.fail(f"{file}: {wrong}") from None
    done = context.act(lambda hub: erasures.reapply(hub, entries), writes=True)
    output.answer(as_json, {name: [str(each) for each in ids] for name, ids in asdict(done).items()})
    if done.left:
        raise typer.Exit(1)


def _canonical(kind: TargetKind, value: str) -> str:
    shape = next(each for each in _SHAPES if kind in get_args(each.model_fields["kind"].annotation))
    checked: Any = shape.model_fields["value"].rebuild_annotation()
    adapter: TypeAdapter[Any] = TypeAdapter(checked)
    return str(context.parse(lambda: adapter.validate_python(value.strip())))


async def _matches(hub: Hub, kind: TargetKind, value: str) -> list[dict[str, Any]]:
    async with hub.database.read(db.HUB) as conn:
        found = await matches.about(conn, hub.vault, kind, value)
        rows = []
        for each in found:
            why = await erasing.obstacle(conn, await erasing.family(conn, each.request_id))
            line = {"request": each.reference, "agency": each.tenant, "state": str(each.state)}
            rows.append(line | {"erasable": why or "yes"})
    await note_reading.searched(hub, context.person(), Door.MACHINE, str(kind), value, len(rows))
    return rows
