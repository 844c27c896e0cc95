"""The command that looks for what is wrong with this node before anybody else does."""

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from service import clock
from service.cli import context, output
from service.cli.output import AsJson
from service.selfcheck import build, database, entries, keys, means, outbound
from service.selfcheck.check import Check
from service.settings import Settings


def doctor(
    production: Annotated[
        bool,
        typer.Option("--production", help="also judge whether this is fit for real orders, and name what it calls"),
    ] = False,
    lang: Annotated[Literal["vi", "en"], typer.Option(help="the language of what is said")] = "en",
    as_json: AsJson = False,
) -> None:
    """Check keys, schema, clock, directory, calendar and mail; exit 1 when something must be put right.

    With --production also secrets, issuer, packages, versions and the database's login; what could not be looked at
    counts as wrong, and every address that this hub connects to is named.
    """
    chosen = context.settings()
    checks = [build.token_backend(), *keys.look(chosen.keys_dir, clock.utc_now())]
    checks += [means.profile(chosen), means.mail(chosen)]
    checks += database.absent(chosen) or context.run(database.look(chosen, for_production=production))
    if production:
        checks += _for_production(chosen)
    rows = [
        {"state": each.state, "name": each.name, "detail": each.sentence(lang), "code": each.says} for each in checks
    ]
    output.table(as_json, ("state", "name", "detail"), rows)
    wrong = {"failed", "unknown"} if production else {"failed"}
    if any(check.state in wrong for check in checks):
        raise typer.Exit(1)


def _for_production(chosen: Settings) -> Iterator[Check]:
    yield from means.fit_for_production(chosen)
    yield from means.before_start(chosen)
    yield from build.versions()
    yield from build.packages()
    yield from entries.look(chosen)
    yield from outbound.look(chosen)
