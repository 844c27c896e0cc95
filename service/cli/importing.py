"""The command that files a whole list of targets as takedown requests, for an agency with a list of thousands."""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from adapters.transport import HubClient
from service.cli import bulk_filing, context, output, target_lists, tokens
from service.cli.bulk_filing import Chunk, Filer
from service.cli.output import AsJson
from service.cli.target_lists import Form, Reject, TargetList
from service.schemas.demands import TakedownRequest
from service.security import keyfile
from service.web.bodies import LARGEST_BODY
from workflows.terms import Measure, TargetKind, Urgency

app = typer.Typer(help="Lists: many targets at once.", no_args_is_help=True)

_REQUEST: TypeAdapter[TakedownRequest] = TypeAdapter(TakedownRequest)


@app.callback()
def lists() -> None:
    """Keep the noun a word of its own while there is one list to import."""


@app.command()
def targets(
    file: Annotated[Path, typer.Argument(help="CSV with a head, JSON lines, or one target a line; - is the input")],
    template: Annotated[
        Path | None, typer.Option(help="JSON: a takedown request without targets, see openapi/examples/requests")
    ] = None,
    client: Annotated[str | None, typer.Option(help="the id of your client system")] = None,
    key: Annotated[Path | None, typer.Option(help="its private key, as hoatoc keygen wrote it")] = None,
    officer_key: Annotated[
        Path | None, typer.Option(help="the private key of the officer that the template names")
    ] = None,
    case: Annotated[str | None, typer.Option(help="the case's number, instead of the template's")] = None,
    measure: Annotated[Measure | None, typer.Option(help="instead of the template's")] = None,
    urgency: Annotated[Urgency | None, typer.Option(help="instead of the template's")] = None,
    document: Annotated[Path | None, typer.Option(help="the signed paper's file, for its digest")] = None,
    document_number: Annotated[str | None, typer.Option(help="instead of the template's")] = None,
    document_date: Annotated[str | None, typer.Option(help="YYYY-MM-DD, instead of the template's")] = None,
    kind: Annotated[TargetKind | None, typer.Option(help="of lines that name none; default: recognised")] = None,
    form: Annotated[Form | None, typer.Option(help="default: by the file's name, else plain")] = None,
    rejects: Annotated[Path | None, typer.Option(help="where the rejected lines go, as CSV with their reasons")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read, check, merge and report; file nothing")] = False,
    hub: Annotated[str | None, typer.Option(help="http address of the hub on this machine")] = None,
    as_json: AsJson = False,
) -> None:
    """File a list as takedown requests of up to 100 targets; the same command after a break files nothing twice.

    Lines that are no target are told with their numbers and left out. A repetition is known for 72 hours, by the case
    and the list's bytes: mend a list in a new file. What passes a bound is held for a call-back, and filed.
    """
    raw = context.raw(file, target_lists.LARGEST)
    paper = {"sha256": _digest(document), "number": document_number, "date": document_date}
    body = _template(template, {"case_number": case, "measure": measure, "urgency": urgency}, paper)
    found = _listed(raw, form or target_lists.form_of(file.name), kind, body.get("measure"))
    _tell(found.rejects, rejects)
    parts = _parts(body, hashlib.sha256(raw).hexdigest(), found) if template else []
    figures = {"lines": found.lines, "targets": len(found.targets), "duplicates": found.duplicates}
    figures["rejected"] = len(found.rejects)
    if dry_run:
        output.answer(as_json, {**figures, **({"requests": len(parts)} if template else {})})
        return
    if template is None or client is None or key is None or officer_key is None:
        raise output.fail("filing takes --template, --client, --key and --officer-key; --dry-run takes none of them")
    if not parts:
        raise output.fail("the list holds no target, nothing was filed")
    with context.told():
        private = keyfile.load(key)
        keyfile.load(officer_key)
    address = tokens.address(hub)
    filed = context.run(_file(lambda caller: Filer(caller, address, client, private, officer_key), address, parts))
    answer = {**figures, "requests": len(filed), "repeated": sum(each["repeated"] for each in filed)}
    answer["held"] = sum(each["state"] == "held_for_callback" for each in filed)
    output.answer(as_json, {**answer, "filed": filed} if as_json else answer)


async def _file(filer: Callable[[HubClient], Filer], address: str, parts: Sequence[Chunk]) -> list[dict[str, Any]]:
    try:
        caller = HubClient(address, timeout=bulk_filing.ANSWERED_WITHIN)
    except ValueError:
        raise output.fail("--hub is the http address of a hub on this machine") from None
    try:
        return await bulk_filing.file_all(filer(caller), parts, output.remark)
    finally:
        await caller.aclose()


def _digest(paper: Path | None) -> str | None:
    if paper is None:
        return None
    with context.told():
        return hashlib.sha256(paper.read_bytes()).hexdigest()


def _template(path: Path | None, members: dict[str, str | None], paper: dict[str, str | None]) -> dict[str, Any]:
    body: Any = {}
    if path is not None:
        try:
            body = json.loads(context.read(path, LARGEST_BODY))
        except (ValueError, RecursionError):
            raise output.fail(f"{path} holds no JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("document", {}), dict):
        raise output.fail(f"{path} is no request")
    # The targets are the list's, and what is done about them is a takedown.
    body = {name: value for name, value in body.items() if name not in ("action", "targets")}
    given = {name: str(value) for name, value in members.items() if value is not None}
    changed = {name: value for name, value in paper.items() if value is not None}
    if changed:
        given["document"] = {**body.get("document", {}), **changed}  # type: ignore[assignment]
    return {**body, **given}


def _listed(raw: bytes, form: Form, kind: TargetKind | None, measure: Any) -> TargetList:
    known = Measure(measure) if isinstance(measure, str) and measure in set(Measure) else None
    try:
        return target_lists.read(raw.decode("utf-8-sig"), form, kind, known)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise output.fail(f"line {line}: not UTF-8, nothing was filed") from None
    except ValueError as error:
        raise output.fail(f"{error}, nothing was filed") from None


def _parts(body: dict[str, Any], digest: str, found: TargetList) -> list[Chunk]:
    if not found.targets:
        return []
    # All of it but the list, before anything is sent.
    first = {**body, "action": "takedown", "targets": found.targets[:1]}
    context.parse(lambda: _REQUEST.validate_python(first))
    return bulk_filing.chunks(body, digest, found.targets)


def _tell(rejects: Sequence[Reject], file: Path | None) -> None:
    if file is None:
        for each in rejects:
            output.remark(f"line {each.line}: {each.code}: {each.reason}")
        return
    with (
        context.told(),
        os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="") as to,
    ):
        rows = csv.writer(to, lineterminator="\n")
        rows.writerow(("line", "code", "reason", "text"))
        rows.writerows((each.line, each.code, each.reason, each.text) for each in rejects)
    output.remark(f"{len(rejects)} rejected lines are in {file}")
