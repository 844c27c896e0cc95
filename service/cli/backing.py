"""Commands for backups: make one while the hub works, put one back, and release a restored hub."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service import clock
from service.backup import keys as key_files
from service.backup import making, recipients, restoring
from service.backup.manifest import BackupUnfit
from service.backup.recipients import Recipient
from service.cli import context, output
from service.cli.output import AsJson
from service.engine import erasures


def backup(
    folder: Annotated[Path, typer.Argument(help="an empty folder, on another disk than the database's")],
    login: Annotated[str | None, typer.Option(help="a PostgreSQL URL with the right of replication")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="the key files instead of the database")] = False,
    recipient: Annotated[list[Path] | None, typer.Option(help="a recipient's certificate in PEM form; twice")] = None,
    work: Annotated[
        Path | None, typer.Option(help="where the copy lies in the clear until it is sealed; default: the data folder")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back up the database while the hub works, or its keys, sealed to two recipients at least.

    A copy of the database is proved before it is called a backup, and who made it is a fact.
    """
    chosen = context.settings()
    try:
        if keys:
            with context.told():
                path = key_files.seal(chosen.keys_dir, folder, recipient or [])
            output.answer(as_json, {"keys": str(path)})
            return
        with output.progress("copying and proving …"):
            made = context.run(making.make(chosen, folder, context.person(), recipient or [], login=login, work=work))
    except BackupUnfit as unfit:
        raise output.fail(str(unfit)) from None
    output.answer(
        as_json,
        {
            "made_at": clock.written(made.made_at),
            "database": made.database,
            "schema": made.schema,
            "facts": made.entries,
            "manifest": made.digest,
        },
    )


def restore(
    folder: Annotated[Path | None, typer.Argument(help="the folder of the backup")] = None,
    into: Annotated[Path | None, typer.Option(help="PostgreSQL: a new data directory to lay the backup into")] = None,
    archive: Annotated[Path | None, typer.Option(help="PostgreSQL: the folder of archived write-ahead log")] = None,
    until: Annotated[datetime | None, typer.Option(help="PostgreSQL: the instant to recover to, in UTC")] = None,
    recipient: Annotated[Path | None, typer.Option(help="the certificate of who opens the backup")] = None,
    key: Annotated[Path | None, typer.Option(help="the key of who opens the backup; a password is asked for")] = None,
    ledger: Annotated[Path | None, typer.Option(help="a copy of erasures.jsonl from elsewhere")] = None,
    release: Annotated[bool, typer.Option("--release", help="let the restored hub send and fire again")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in place, verified and in quarantine; or release a restored hub after it was looked through."""
    chosen = context.settings()
    try:
        if release:
            at = context.act(lambda hub: restoring.release(hub, context.person()), writes=True)
            output.answer(as_json, {"released": True, "backup_at": clock.written(at)})
            return
        if folder is None:
            raise output.fail("which backup? hoatoc restore FOLDER")
        if into is not None:
            opener = _opener(recipient, key)
            if opener is None:
                raise output.fail("the backup is sealed: --recipient CERTIFICATE --key KEY of one of its recipients")
            with context.told():
                found = restoring.lay_down(folder, into, opener, archive=archive, until=_aware(until))
            output.answer(as_json, {"laid_down": str(into), "backup_at": clock.written(found.made_at)})
            return
        with context.told():
            entries = erasures.read(context.read(ledger)) if ledger else []
        opener = _opener(recipient, key)
        with output.progress("verifying and restoring …"), context.told(), context.locked(chosen):
            done = asyncio.run(restoring.restore(chosen, folder, context.person(), entries, opener))
    except BackupUnfit as unfit:
        raise output.fail(str(unfit)) from None
    counted = {name: len(ids) for name, ids in asdict(done.erasures).items()}
    output.answer(
        as_json,
        {
            "backup_at": clock.written(done.backup_at),
            "facts": done.entries,
            "overdue": done.overdue,
            "to_send": done.to_send,
            **{f"erasures_{name}": count for name, count in counted.items()},
        },
    )
    output.remark("nothing is sent and nothing fires before: hoatoc restore --release")


def _opener(certificate: Path | None, key: Path | None) -> Recipient | None:
    if certificate is None or key is None:
        return None
    with context.told():
        try:
            return Recipient(certificate, recipients.private_key(key))
        except TypeError:
            # The key is under a password.
            return Recipient(certificate, recipients.private_key(key, context.ask_secretly("its password: ").encode()))


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
