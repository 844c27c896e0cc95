"""Looks at the database: schema, login, clock, directory, calendar, and where this hub sends to."""

import functools
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, migrations, row_security
from service.db import Database
from service.engine import node
from service.migrations import SchemaMismatch, WrongKind
from service.models import CalendarDay, Endpoint, Participant, table_of
from service.selfcheck import endpoints, means
from service.selfcheck.check import Check, failed, grave, ok, warning
from service.settings import Settings
from workflows.terms import Channel

_DAYS = table_of(CalendarDay)
_ENDPOINTS = table_of(Endpoint)
_PARTICIPANTS = table_of(Participant)

KNOWN_AHEAD = timedelta(days=60)
_OFFSET_SHOWN = 0.1

# The hub's own login reads that one partition by its name, to look whether it is empty.
_STRAYS = sa.text("SELECT count(*) FROM audit_entries_default")
_MONTHS = sa.text(
    "SELECT right(relname, 7) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
    " WHERE inhparent = 'audit_entries'::regclass AND relname ~ '[0-9]{4}_[0-9]{2}$'"
)

Look = Callable[[AsyncConnection], Awaitable[Iterable[Check]]]


def absent(chosen: Settings) -> list[Check]:
    """Say that an embedded database is not there: to open it would make it."""
    path = Path(chosen.url.partition(":///")[2])
    return [failed("database", "missing", path=str(path))] if chosen.embedded and not path.exists() else []


async def look(chosen: Settings, *, for_production: bool = False) -> list[Check]:
    """Look at the database; for production also at the login, and at each address that is sent to."""
    database = Database(chosen.url, pool=1)
    try:
        await migrations.check(database, drill=chosen.drill)
        async with database.read(db.HUB) as conn:
            looks = (*ALWAYS, *FOR_PRODUCTION) if for_production else ALWAYS
            if for_production and chosen.certification_required:
                lasts = timedelta(days=chosen.certification_days)
                looks = (*looks, functools.partial(endpoints.certified, lasts=lasts))
            found = [ok("schema", head=migrations.head()), ok("kind", "ok_drill" if chosen.drill else "ok")]
            for each in looks:
                found.extend(await each(conn))
            return found
    except WrongKind as wrong:
        return [failed("kind", "drill" if wrong.is_drill else "real")]
    except SchemaMismatch as mismatch:
        return [failed("schema", "mismatch", found=mismatch.found, expected=mismatch.expected)]
    except (DBAPIError, OSError) as error:
        return [failed("database", "silent", error=type(error).__name__)]
    finally:
        await database.close()


async def _clock(conn: AsyncConnection) -> list[Check]:
    before = clock.utc_now()
    theirs = await db.now(conn)
    offset = ((before + (clock.utc_now() - before) / 2) - theirs).total_seconds()
    seconds = f"{offset:+.3f}"
    if abs(offset) > node.OFFSET_STOPS:
        return [failed("clock", "off", seconds=seconds)]
    return [
        warning("clock", "drifts", seconds=seconds) if abs(offset) > _OFFSET_SHOWN else ok("clock", seconds=seconds)
    ]


async def _directory(conn: AsyncConnection) -> list[Check]:
    count = (await conn.execute(sa.select(sa.func.count()).select_from(_PARTICIPANTS))).scalar_one()
    joined = sa.select(sa.func.count()).where(_PARTICIPANTS.c.status == "active")
    active = (await conn.execute(joined)).scalar_one()
    return [ok("directory", count=count, active=active) if count else failed("directory", "empty")]


async def _calendar(conn: AsyncConnection) -> list[Check]:
    last = (await conn.execute(sa.select(sa.func.max(_DAYS.c.day)).where(_DAYS.c.kind == "holiday"))).scalar_one()
    if last is None:
        return [failed("calendar", "empty")]
    # A year is known once the holidays of it are.
    end = datetime(last.year, 12, 31, tzinfo=UTC)
    day = end.date().isoformat()
    is_known = end - clock.utc_now() >= KNOWN_AHEAD
    return [ok("calendar", end=day) if is_known else failed("calendar", "ends", end=day)]


async def isolation(conn: AsyncConnection) -> list[Check]:
    """Say whether the database itself keeps members apart, for the login that this node works as (ADR 0026)."""
    if conn.dialect.name != "postgresql":
        return [warning("isolation", "embedded")]
    found = [grave("isolation", fault.code, detail=fault.detail) for fault in await row_security.faults(conn)]
    return found or [ok("isolation")]


async def facts(conn: AsyncConnection) -> list[Check]:
    """Say whether the facts of PostgreSQL lie in their months, and the next month has its place (ADR 0053)."""
    if conn.dialect.name != "postgresql":
        return []
    strays = (await conn.execute(_STRAYS)).scalar_one()
    if strays:
        return [failed("facts", "stray", count=strays)]
    months = set((await conn.execute(_MONTHS)).scalars())
    now = (await db.now(conn)).astimezone(UTC)
    following = (now.replace(day=1) + timedelta(days=31)).strftime("%Y_%m")
    if following not in months:
        return [failed("facts", "behind")]
    return [ok("facts", until=max(months).replace("_", "-"))]


async def destinations(conn: AsyncConnection) -> list[Check]:
    """Name each address that orders, statuses and notices are sent to: nothing else is ever called over HTTP."""
    rows = sa.select(_ENDPOINTS.c.tenant, _ENDPOINTS.c.url, _ENDPOINTS.c.network, _ENDPOINTS.c.port).where(
        _ENDPOINTS.c.active, _ENDPOINTS.c.channel == Channel.WEBHOOK
    )
    found = []
    for row in await conn.execute(rows.order_by(_ENDPOINTS.c.tenant, _ENDPOINTS.c.url)):
        params = {"participant": row.tenant, "url": row.url, "network": row.network or "–", "port": row.port or "–"}
        is_bound = row.network is not None and row.port is not None
        if not is_bound:
            found.append(failed("destination", "unbound", **params))
        elif means.is_local(row.network.partition("/")[0]):
            found.append(failed("destination", "loopback", **params))
        else:
            found.append(ok("destination", **params))
    return found


# What each doctor looks at, and what is looked at besides for production. A new look is one more name here.
ALWAYS: tuple[Look, ...] = (isolation, facts, _clock, _directory, _calendar)
FOR_PRODUCTION: tuple[Look, ...] = (destinations, endpoints.look)
