"""The command that looks for what is wrong with this node before anybody else does."""

import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import typer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, migrations, row_security
from service.cli import context, output
from service.cli.output import AsJson
from service.db import Database
from service.engine import node
from service.migrations import SchemaMismatch
from service.models import CalendarDay, Participant, table_of
from service.security import keyfile, tokens
from service.security.keyring import KeyUnfit
from service.settings import Settings

_DAYS = table_of(CalendarDay)
_PARTICIPANTS = table_of(Participant)

KNOWN_AHEAD = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: ``state`` is ok, warning or failed."""

    name: str
    state: str
    detail: str


def doctor(as_json: AsJson = False) -> None:
    """Check keys, schema, clock, directory, calendar and mail; exit 1 when something must be put right."""
    chosen = context.settings()
    checks = [_backend(), *_keys(chosen), _profile(chosen), _mail(chosen), *_database(chosen)]
    output.table(as_json, ("state", "name", "detail"), [asdict(check) for check in checks])
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def _backend() -> Check:
    try:
        tokens.assert_backend()
    except RuntimeError as wrong:
        return Check("token.backend", "failed", str(wrong))
    return Check("token.backend", "ok", "python-jose computes with cryptography")


def _keys(chosen: Settings) -> Iterator[Check]:
    files = sorted(chosen.keys_dir.iterdir()) if chosen.keys_dir.is_dir() else []
    if not files:
        yield Check("keys", "warning", f"{chosen.keys_dir} has no keys yet: they are made at the first start")
    for path in files:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o377:
            yield Check("keys.mode", "failed", f"{path} has mode {mode:04o}: chmod 0400")
            continue
        yield Check("keys.mode", "ok", f"{path} is its owner's alone")
        if path.suffix == ".jwk":
            yield _validity(path.name, path, chosen)


def _validity(name: str, path: Path, chosen: Settings) -> Check:
    about = f"keys.{name.partition('-')[0]}"
    try:
        key = keyfile.load(path)
    except KeyUnfit as unfit:
        return Check(about, "failed", f"{name}: {unfit.code}")
    left = key.not_after - clock.utc_now()
    state = "failed" if left <= timedelta(0) else "warning" if left < timedelta(days=7) else "ok"
    return Check(about, state, f"{name} is valid until {key.not_after.date().isoformat()}")


def _profile(chosen: Settings) -> Check:
    if chosen.profile == "demo":
        return Check(
            "profile", "warning", "demo: participants may live on this machine's loopback; never for real orders"
        )
    return Check("profile", "ok", "production")


def _mail(chosen: Settings) -> Check:
    if chosen.smtp_host is None:
        return Check(
            "mail", "warning", "HOATOC_SMTP_HOST is not set: contacts with an e-mail address cannot be reached"
        )
    return Check("mail", "ok", f"{chosen.smtp_host}:{chosen.smtp_port}, {chosen.smtp_tls}")


def _database(chosen: Settings) -> list[Check]:
    path = Path(chosen.url.partition(":///")[2])
    # Opening it would make it.
    if chosen.embedded and not path.exists():
        return [Check("database", "failed", f"{path} does not exist: hoatoc db upgrade")]
    return context.run(_inside(chosen))


async def _inside(chosen: Settings) -> list[Check]:
    database = Database(chosen.url, pool=1)
    try:
        await migrations.check(database)
        async with database.read(db.HUB) as conn:
            return [
                Check("schema", "ok", str(migrations.head())),
                *(await _isolation(conn)),
                await _clock(conn),
                await _directory(conn),
                await _calendar(conn),
            ]
    except SchemaMismatch as mismatch:
        return [Check("schema", "failed", str(mismatch))]
    except (DBAPIError, OSError) as error:
        return [Check("database", "failed", f"does not answer: {type(error).__name__}")]
    finally:
        await database.close()


async def _isolation(conn: AsyncConnection) -> list[Check]:
    if conn.dialect.name != "postgresql":
        return [Check("isolation", "warning", row_security.EMBEDDED)]
    found = await row_security.faults(conn)
    if not found:
        return [Check("isolation", "ok", "row-level security is forced, and binds the hub's login")]
    return [Check("isolation", "failed", str(fault)) for fault in found]


async def _clock(conn: AsyncConnection) -> Check:
    before = clock.utc_now()
    theirs = await db.now(conn)
    offset = ((before + (clock.utc_now() - before) / 2) - theirs).total_seconds()
    detail = f"this machine is {offset:+.3f} s from the database"
    if abs(offset) > node.OFFSET_STOPS:
        return Check("clock", "failed", f"{detail}: it neither delivers nor fires")
    return Check("clock", "warning" if abs(offset) > 0.1 else "ok", detail)


async def _directory(conn: AsyncConnection) -> Check:
    count = (await conn.execute(sa.select(sa.func.count()).select_from(_PARTICIPANTS))).scalar_one()
    joined = sa.select(sa.func.count()).where(_PARTICIPANTS.c.status == "active")
    active = (await conn.execute(joined)).scalar_one()
    if not count:
        return Check("directory", "failed", "no participants: hoatoc db load")
    return Check("directory", "ok", f"{count} participants, {active} of them active")


async def _calendar(conn: AsyncConnection) -> Check:
    last = (await conn.execute(sa.select(sa.func.max(_DAYS.c.day)).where(_DAYS.c.kind == "holiday"))).scalar_one()
    if last is None:
        return Check("calendar", "failed", "no holidays: hoatoc db load")
    # A year is known once the holidays of it are.
    end = datetime(last.year, 12, 31, tzinfo=UTC)
    state = "ok" if end - clock.utc_now() >= KNOWN_AHEAD else "failed"
    return Check("calendar", state, f"holidays are known until {end.date().isoformat()}")
