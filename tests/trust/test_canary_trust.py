"""P25: identifiers of persons never sing where nobody should hear them: logs, numbers, errors, mail, facts, dumps."""

import asyncio
import base64
import importlib.util
import io
import json
import logging
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import canary_kept
import opening
import postgres
import pytest
import sealed_to
import sqlalchemy as sa
import steps
import test_restore_postgresql as restored
import trust_sizes
from apis import Api
from builders import superuser_url
from canary_cast import Bird, Ears, hatch, spellings
from canary_flight import Flight, money
from canary_legs import Legs
from front_servers import serving
from sqlalchemy.ext.asyncio import AsyncConnection
from test_restore_postgresql import archive
from world import World

from adapters.base import Message
from adapters.notice import Mail
from service import app, log
from service.backup import making, restoring
from service.engine.hub import Hub
from service.models import AuditEntry, Dispatch, IdempotencyKey, Task
from service.web.connections import Gate
from workflows.terms import DispatchKind

pytest_plugins = ["api_fixtures"]

__all__ = ["archive"]

# Identifiers; a bird has eighteen of them.
SIZES = {"sqlite": (108, 576), "postgresql": (18, 504)}
A_BIRD = 18
# Not httpx: here it is the callers', who are told by their own log what they called.
CHATTY = ("asyncio", "uvicorn", "uvicorn.access", "uvicorn.error", "sqlalchemy.engine", "sqlalchemy.pool")
# SQLite's driver tells each parameter at its lowest level, so no setting of the hub lets that level through.
SILENCED = "aiosqlite"
_MOMENT = re.compile(r'"(?:timestamp|request_id|milliseconds)": (?:"[^"]*"|[0-9.]+)|\d+\.\d+s')
NOT_FOR_PERSONS = {"notice", "status"}


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """Catch each line as production writes it, at a level that nobody runs: statements, drivers, the event loop."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = io.StringIO()
    log.configure("debug")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    # The statements are told, as by an engine whose echo somebody left on.
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.INFO)
    assert not logging.getLogger(SILENCED).isEnabledFor(logging.INFO)
    try:
        yield lines
    finally:
        log.configure("error")
        root.handlers[:] = handlers
        root.setLevel(level)


async def broken_commits(flight: Flight, monkeypatch: pytest.MonkeyPatch, bird: Bird) -> None:
    """Let the database fail with the very values in its message."""

    async def broken(self: AsyncConnection) -> None:
        raise sa.exc.IntegrityError("INSERT", {"value": bird.account}, Exception(f"{bird.holder} {bird.phone}"))

    with monkeypatch.context() as patched:
        patched.setattr(AsyncConnection, "commit", broken)
        for body in money(bird):
            flight.note(await flight.api.file(body))


def told_once(lines: str) -> str:
    """Return each different line of a log once, whenever and during whichever call it was written."""
    return "\n".join(sorted({_MOMENT.sub("", line) for line in lines.splitlines()}))


def dumped(hub: Hub, folder: Path) -> dict[str, bytes]:
    """Return the database as a thief would have it: as statements, and for SQLite the bytes of its files."""
    if hub.database.dialect == "postgresql":
        url = superuser_url(hub.settings.url).replace("+asyncpg", "")
        done = subprocess.run(["pg_dump", "--inserts", url], capture_output=True, check=True, timeout=120)
        return {"pg_dump": done.stdout}
    raw = {path.name: path.read_bytes() for path in folder.glob("hoatoc.sqlite3*")}
    connection = sqlite3.connect(folder / "hoatoc.sqlite3")
    statements = "\n".join(connection.iterdump()).encode()
    connection.close()
    return {".dump": statements, **raw}


async def notices(api: Api) -> dict[str, str]:
    """Return what is sent to people and to agencies, opened."""
    rows = [row for row in await api.world.rows(Dispatch) if str(row["kind"]) in NOT_FOR_PERSONS]
    told: dict[str, str] = {}
    for row in rows:
        message = await opening.opened(api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])
        told[f"{row['kind']} {row['id']}"] = message + str(row)
    return told


async def mails(api: Api) -> bytes:
    """Return the letters by e-mail as a relay gets them, and their text as a reader sees it."""
    relay, told = Mail("relay.example", 25, "hub@hub.example"), []
    for row in await api.world.rows(Dispatch, kind=DispatchKind.NOTICE):
        text = await opening.opened(api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])
        message = Message(
            id=f"msg_{row['id'].hex}",
            type=row["message_type"],
            kind=DispatchKind.NOTICE,
            subject=str(row["request_id"]),
            occurred_at=row["created_at"],
            sequence=1,
            body=json.loads(text)["body"],
        )
        letter = relay._letter(message, "duty@bank.example")
        told += [letter.as_bytes(), str(letter["Subject"]).encode(), letter.get_content().encode()]
    return b"".join(told)


async def test_no_canary_sings_outside_of_what_is_sealed(
    api: Api,
    fast_forward: Callable[..., Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> None:
    hub, draw = api.hub, random.Random(trust_sizes.seed())
    birds = hatch(draw, trust_sizes.size(*SIZES[hub.database.dialect]) // A_BIRD)
    ears, flight = Ears(birds), Flight(api, draw)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    await flight.start()
    with everything_logged() as lines:
        async with serving(api.app, Gate()) as served:
            legs = Legs(flight, served)
            await legs.start()
            for bird in birds:
                await flight.sign_on()
                await flight.fly(bird)
                await flight.sign_on()
                await canary_kept.export(api, await legs.fly(bird), bird.document)
            await legs.watch()
            await legs.import_list(birds, tmp_path / "list")
            hub.writer.doorbell.close()
        await broken_commits(flight, monkeypatch, birds[0])
        await fast_forward(minutes=11)
        await api.world.fire()
        await fast_forward(hours=20)
        while await api.world.fire():
            pass
        await flight.sign_on()
        await flight.note_on_tasks(birds)
        told = [await api.http.get(path) for path in ("/metrics", "/healthz", "/readyz", "/jwks.json")]
        letters, mailed = await notices(api), await mails(api)
        assert any(name.startswith("notice") for name in letters) and await api.world.rows(Task)
        places = {
            "facts": "".join(row["data"] for row in await api.world.rows(AuditEntry)),
            "kept answers": json.dumps([row["answer"] for row in await api.world.rows(IdempotencyKey)]),
            **await asyncio.to_thread(dumped, hub, tmp_path),
            **(await canary_kept.back_up(api, tmp_path / "backup") if hub.settings.embedded else {}),
            **await canary_kept.archive(api, fast_forward, tmp_path / "archive"),
        }
    places |= {
        "log": told_once(lines.getvalue()),
        "numbers and health": "".join(answer.text for answer in told),
        "answers that refuse": "".join(answer.text for answer in flight.refusals),
        "headers": "".join(flight.headers),
        "addresses": "\n".join(flight.addresses),
        "letters' names and metadata": "\n".join(legs.letters),
        "live board": "\n".join(legs.boards),
        "what commands told": "".join(legs.told),
        "notices": "".join(letters.values()),
        "mail": mailed,
        "temporary files": b"".join((await asyncio.to_thread(canary_kept.files_in, temporary)).values()),
        "names of files": "\n".join(canary_kept.files_in(tmp_path)),
    }
    sung = [line for where, haystack in places.items() for line in ears.hear(where, haystack)]
    what = "T-CANARY identifiers"
    more = {"database": hub.database.dialect, "refusals": len(flight.refusals), "places": len(places)}
    record_property(*trust_sizes.figure("P25", what, n=ears.canaries, violations=len(sung), **more))
    assert sung == []
    # The run was loud: everything was listened to while something was said.
    assert len(flight.refusals) > 40 * len(birds) and lines.getvalue().count("\n") > 1_000
    assert all(haystack for where, haystack in places.items() if where != "temporary files")


async def test_no_canary_sings_in_a_base_backup_nor_in_the_archived_log(
    tmp_path: Path, archive: Path, record_property: Callable[[str, object], None]
) -> None:
    birds = hatch(random.Random(trust_sizes.seed()), trust_sizes.size(gate=36, full=288) // A_BIRD)
    ears, backup, laid = Ears(birds), tmp_path / "backup", tmp_path / "laid"
    more = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f", "wal_level": "replica"}
    with postgres.running(fsync=False, more=more) as url:
        await restored.create(url)
        chosen = restored.settings(tmp_path / "hub", url)
        hub = await restored.opened(chosen)
        world = World(hub)
        await world.settle_in()
        await steps.second_officer(world)
        references = [await canary_kept.whole_matter(world, bird) for bird in birds[::2]]
        certificates = sealed_to.certificates()
        await making.make(chosen, backup, canary_kept.MINH, certificates, login=chosen.owner_url)
        references += [await canary_kept.whole_matter(world, bird) for bird in birds[1::2]]
        await restored.archived(hub, archive)
        await app.close_hub(hub)
    restoring.lay_down(backup, laid, sealed_to.opener(), archive=archive, until=None)
    places = {
        name: b"".join(canary_kept.files_in(folder).values())
        for name, folder in (("backup", backup), ("archived log", archive), ("laid down", laid))
    }
    sung = [line for where, haystack in places.items() for line in ears.hear(where, haystack)]
    more_told: dict[str, Any] = {"database": "postgresql", "places": len(places)}
    what = "T-CANARY base backup"
    record_property(*trust_sizes.figure("P25", what, n=ears.canaries, violations=len(sung), **more_told))
    assert sung == []
    # What no seal covers is found: it is these bytes that the rows are in.
    assert all(each.encode() in places["archived log"] for each in references[-1:])
    assert references[0].encode() in places["laid down"]
    assert not any(each.encode() in places["backup"] for each in references)


@pytest.mark.parametrize("spelling", sorted(spellings("Nguyễn Chích Yến Qzkwtplm")))
def test_the_ears_hear_a_canary_in_every_spelling(spelling: bytes) -> None:
    bird = hatch(random.Random(7), 1)[0]
    named = Bird(**{**dict(bird.identifiers()), "holder": "Nguyễn Chích Yến Qzkwtplm"})
    ears = Ears([named])
    assert ears.hear("log", b'{"event": "x' + spelling + b'y"}')
    assert ears.hear("log", b'{"event": "nothing of anybody"}') == []


@pytest.mark.parametrize("offset", range(3))
def test_the_ears_hear_a_canary_inside_of_a_longer_text_in_base64(offset: int) -> None:
    bird = hatch(random.Random(8), 1)[0]
    encoded = base64.b64encode(b"x" * offset + bird.holder.encode() + b"tail")
    assert Ears([bird]).hear("token", encoded)


def test_there_is_no_tracing_that_could_carry_anything() -> None:
    # A trace exporter would be a place of its own to listen at: whoever adds one extends this module.
    # The bare interface (opentelemetry-api) comes with a dependency; without an SDK nothing is recorded or sent.
    assert not [name for name in ("opentelemetry.sdk", "opentelemetry.exporter") if importlib.util.find_spec(name)]
    assert not [name for name in sys.modules if name.startswith(("ddtrace", "sentry_sdk"))]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ
