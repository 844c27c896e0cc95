"""Commands for drills: lay a drill's hub out, play a scenario at it, and tell what came of it."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service import app as wiring
from service import migrations
from service.actions import load_directory
from service.cli import context, output, tokens
from service.cli.output import AsJson
from service.db import Database
from service.drill import cast as casting
from service.drill import copying, playing, report, scenarios
from service.drill.cast import Cast
from service.drill.copying import Copied, NotFresh
from service.drill.playing import NotPlayed
from service.engine.hub import Hub
from service.settings import Settings
from workflows.terms import Sector

app = typer.Typer(help="Drills: a hub of its own for exercises, never a part of the real one.", no_args_is_help=True)
_STOPS = (signal.SIGINT, signal.SIGTERM)
_FILE = "hoatoc.sqlite3"

Scene = Annotated[str, typer.Argument(help=f"which one: {', '.join(scenarios.SCENARIOS)}")]


@app.command()
def prepare(
    real: Annotated[
        str | None,
        typer.Option(help="the real hub's data folder, or its PostgreSQL URL; default: the shipped directory"),
    ] = None,
    agency: Annotated[str, typer.Option(help="the agency in whose name the scenario files")] = "pc02-79",
    scenario: Annotated[str, typer.Option(help="whose participants the sandbox plays")] = "four-banks",
    joins: Annotated[
        list[str] | None, typer.Option(help="a participant with an exercise system of its own: it is not played")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lay out a drill's hub: its directory from the real hub, with no case, no secret and no live address of it.

    Nothing that is sealed at the real hub is read, and nothing is written there.
    """
    chosen = _drill()
    chosen_one = _scenario(scenario)
    played = {name: role.sector for name, role in chosen_one.roles.items() if name not in (joins or ())}
    with output.progress("laying out …"):
        made = context.run(_prepare(chosen, real, agency, played))
    output.answer(as_json, made)
    output.remark("next: hoatoc serve, hoatoc sign-in-link …, then hoatoc drill run; all with HOATOC_DRILL=true")


@app.command()
def run(
    scenario: Scene = "four-banks",
    seconds: Annotated[float, typer.Option(help="how long the sandbox plays; 0: until Ctrl-C", min=0)] = 0,
    hub: Annotated[str | None, typer.Option(help="http address of the hub on this machine")] = None,
) -> None:
    """File a scenario at the running drill's hub, and play the participants that were prepared, until Ctrl-C."""
    chosen, chosen_one = _drill(), _scenario(scenario)
    with context.told():
        cast = Cast.load(chosen.data_dir)
    try:
        filed = context.run(_play(chosen, tokens.address(hub), chosen_one, cast, seconds))
    except NotPlayed as failed:
        raise output.fail(str(failed)) from None
    output.remark(f"{len(filed)} requests were played; what came of them: hoatoc drill report")


@app.command(name="report")
def tell(
    lang: Annotated[Literal["vi", "en"], typer.Option(help="the language of the page")] = "vi",
    as_json: AsJson = False,
) -> None:
    """Tell what came of the drill, participant by participant, as a page in Markdown or as JSON."""
    _drill()
    made = context.act(report.make)
    if as_json:
        output.answer(True, made.as_json())
    else:
        output.say(report.as_markdown(made, lang).rstrip())


def _drill() -> Settings:
    chosen = context.settings()
    if not chosen.drill:
        raise output.fail("HOATOC_DRILL is not set: a drill has settings, data and an address of its own")
    return chosen


def _scenario(name: str) -> scenarios.Scenario:
    found = scenarios.SCENARIOS.get(name)
    if found is None:
        raise output.fail(f"there is no scenario {name}: {', '.join(scenarios.SCENARIOS)}")
    return found


async def _prepare(chosen: Settings, real: str | None, agency: str, played: Mapping[str, str]) -> dict[str, Any]:
    # Before anything is made: a drill without the directory that was asked for is none.
    found = None if real is None else await _read(real)
    if found is not None:
        _check(found, agency, played)
    if (kept := Cast.path(chosen.data_dir)).exists():
        raise output.fail(f"{kept} is there, of a drill that was prepared before: a drill has a folder of its own")
    administrator = context.person()
    with context.locked(chosen):
        hub = await wiring.open_hub(chosen, migrate=chosen.embedded)
        try:
            if found is not None:
                # First of all: no endpoint is registered before it is known which ones are live.
                await copying.guard(chosen.owner_url, found.live)
            copied = await _fill(hub, found)
            kept = (await casting.enroll(hub, administrator, agency, played)).save(chosen.data_dir)
        finally:
            await wiring.close_hub(hub)
    return {
        "participants": copied.participants,
        "officers": copied.officers,
        "officers_keys": copied.keys,
        "live_addresses_refused": len(found.live) if found else 0,
        "played": sorted(played),
        "keys": str(kept),
    }


def _check(found: copying.Directory, agency: str, played: Mapping[str, str]) -> None:
    # What the cast's enrolment would refuse when the copy is written already: the next try would find it not fresh.
    known = {row["id"]: row for row in found.participants}
    if strangers := {agency, *played} - known.keys():
        raise output.fail(f"the real hub does not know {', '.join(sorted(strangers))}: --agency, --joins or --scenario")
    if known[agency]["sector"] is not Sector.AGENCY:
        raise output.fail(f"{agency} is no agency at the real hub: --agency")
    if suspended := sorted(name for name in {agency, *played} if known[name]["status"] == "suspended"):
        raise output.fail(f"{', '.join(suspended)} is suspended at the real hub: resume it, --agency or --joins")
    if taken := sorted({casting.MAKER, casting.APPROVER} & {row["id"] for row in found.officers}):
        raise output.fail(f"{', '.join(taken)} is an officer at the real hub, and one of the drill's cast")


async def _read(real: str) -> copying.Directory:
    database = Database(real if "://" in real else _file(Path(real)), pool=2)
    try:
        return await copying.read(database)
    except migrations.WrongKind:
        raise output.fail("what --real names is a drill's database: a drill is laid out from the real hub") from None
    finally:
        await database.close()


def _file(folder: Path) -> str:
    path = (folder / _FILE if folder.is_dir() else folder).resolve()
    if not path.is_file():
        raise output.fail(f"{path} is not there")
    return f"sqlite+aiosqlite:///{path}"


async def _fill(hub: Hub, found: copying.Directory | None) -> Copied:
    if found is None:
        return Copied((await load_directory.load(hub, context.person())).participants, 0, 0)
    try:
        return await copying.write(hub, found)
    except NotFresh:
        raise output.fail("this drill's database has members already: a drill is prepared into a new one") from None


async def _play(
    chosen: Settings, hub: str, scenario: scenarios.Scenario, cast: Cast, seconds: float
) -> list[Mapping[str, Any]]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in _STOPS:
        loop.add_signal_handler(each, stop.set)
    if seconds:
        loop.call_later(seconds, stop.set)
    return await playing.play(chosen, hub, scenario, cast, _tell, stop)


def _tell(kind: str, data: Mapping[str, Any]) -> None:
    told = " ".join(f"{name}={value}" for name, value in data.items() if value is not None)
    output.happened(f"DRILL {kind} {told}")
