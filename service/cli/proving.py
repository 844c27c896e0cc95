"""Commands for evidence and signatures: export a bundle, verify one without the hub, sign as an officer or a bank."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from service import clock
from service.actions import export_evidence
from service.cli import context, output, verdict
from service.cli.output import AsJson
from service.engine import evidence as bundles
from service.security import evidence, evidence_checks, keyfile, signatures
from service.security.evidence import Check
from service.security.signatures import Kind

app = typer.Typer(help="Evidence: what was signed about a request, in one file.", no_args_is_help=True)

HEADER = "Hoatoc-Signature"
_LARGEST = 64 * 1024 * 1024
_OWN_KEYS = "the keys came from the file itself: it is whole, but who signed is proven only with --keys"
_OWN_KEYS_WRONG = "the keys came from the file itself, and the file does not hold: it proves nothing as it is"


@app.command()
def export(
    request: Annotated[str, typer.Argument(help="the id or the reference of a request")],
    to: Annotated[Path | None, typer.Option(help="a new file, readable by you alone; default: the output")] = None,
) -> None:
    """Write everything that was signed about a request, its keys and its chain of facts as one sealed JSON file.

    That it was exported, by whom and with which SHA-256, is a fact on the request's timeline.
    """
    if to is None:
        output.say(_exported(request).removesuffix("\n"))
        return
    with context.told():
        # Before the fact is on record: a file that cannot be written was not exported.
        to.touch(mode=0o600, exist_ok=False)
    try:
        text = _exported(request)
    except typer.Exit:
        to.unlink()
        raise
    with context.told():
        to.write_text(text, encoding="utf-8")
    output.answer(False, {"file": str(to), **_holds(text)})


@app.command()
def verify(
    subject: Annotated[str, typer.Argument(help="a bundle's file, or the id or reference of a request of this hub")],
    keys: Annotated[
        Path | None, typer.Option(help="public keys obtained elsewhere: a JSON list, or a key set with `keys`")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every signature, digest, key and fact of a bundle with public keys only; exit 1 when anything is wrong.

    Without --keys the keys are the file's own: it is shown to be whole, and nobody's identity is proven.
    A file is verified without a hub, its database or its settings: on any machine with this program.
    """
    known = listed(keys) if keys else None
    path = Path(subject)
    text = _read(path) if path.is_file() else context.act(lambda hub: bundles.export(hub, subject))
    found = evidence.verify(text, known)
    if as_json:
        answer = {"checks": [asdict(check) for check in found], "wrong": len(_wrong(found))}
        output.answer(True, {**answer, "keys_from": "elsewhere" if keys else "the file itself"})
    else:
        for check in found:
            output.say(f"{'WRONG' if check.wrong else 'ok':<6} {check.name:<20} {check.about}{_why(check)}")
        if known is None:
            output.say(f"{'NOTE':<6} {_OWN_KEYS_WRONG if _wrong(found) else _OWN_KEYS}")
        output.say(f"{len(found)} checks, {len(_wrong(found))} wrong")
    if _wrong(found):
        raise typer.Exit(1)


def sign(
    body: Annotated[Path, typer.Argument(help="the very JSON that is signed: a request's or an answer's body")],
    key: Annotated[Path, typer.Option(help="your private key, as hoatoc keygen wrote it")],
    approve: Annotated[str | None, typer.Option(help="approve the request with this id, as its second officer")] = None,
    review: Annotated[str | None, typer.Option(help="confirm the emergency hold with this id")] = None,
    withdraw: Annotated[str | None, typer.Option(help="take back the request with this id")] = None,
    end_silence: Annotated[
        str | None, typer.Option(help="end the silence of the disclosure with this id, as one of its two officers")
    ] = None,
    answer: Annotated[str | None, typer.Option(help="answer the order with this id, as its participant")] = None,
    reply: Annotated[str | None, typer.Option(help="answer the appeal with this id first")] = None,
    decide: Annotated[str | None, typer.Option(help="decide the appeal with this id")] = None,
    hub: Annotated[str | None, typer.Option(help="the issuer of the hub it is for; default: the settings'")] = None,
) -> None:
    """Sign a JSON file and print the detached signature: to file the request, unless an option says otherwise."""
    chosen = [
        (kind, about)
        for kind, about in (
            (Kind.APPROVAL, approve),
            (Kind.REVIEW, review),
            (Kind.WITHDRAWAL, withdraw),
            (Kind.SILENCE, end_silence),
            (Kind.ANSWER, answer),
            (Kind.REPLY, reply),
            (Kind.DECISION, decide),
        )
        if about is not None
    ]
    if len(chosen) > 1:
        raise output.fail("one option at most names what is signed for: a signature says one thing")
    kind, about = chosen[0] if chosen else (Kind.REQUEST, None)
    output.say(signed(context.read(body), key, kind, hub or context.settings().address, about))


def signed(text: str, key: Path, kind: Kind, hub: str, about: str | None = None) -> str:
    """Sign the JSON ``text`` for the hub with this issuer and the key of a file; end where the text is no JSON."""
    with context.told():
        private = keyfile.load(key)
    try:
        payload = signatures.canonical(text.encode())
    except ValueError:
        raise output.fail("what is signed must be JSON") from None
    return signatures.sign(private.private, private.kid, kind, payload, at=clock.utc_now(), about=about, audience=hub)


def _exported(request: str) -> str:
    # Like a sign-in link: one short transaction beside a running hub.
    return context.act(lambda hub: export_evidence.export(hub, context.person(), request))


def _holds(text: str) -> dict[str, Any]:
    bundle = json.loads(text)
    asked, orders = bundle["requests"][0], [each for part in bundle["requests"] for each in part["orders"]]
    return {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "request": asked["id"],
        "requests": len(bundle["requests"]),
        "orders": len(orders),
        "answers": sum(len(order["answers"]) for order in orders),
        "facts": sum(len(part["facts"]) for part in bundle["requests"]),
        "keys": len(bundle["keys"]),
    }


def listed(path: Path) -> Sequence[Mapping[str, Any]]:
    """Read public keys that were obtained elsewhere: a JSON list, or a key set."""
    keys = evidence_checks.key_list(_read(path))
    if keys is None:
        raise output.fail(f"{path} holds no list of keys in JSON")
    return keys


def _read(path: Path) -> str:
    with context.told():
        if path.stat().st_size > _LARGEST:
            raise OSError(f"{path} is too large")
        return path.read_text(encoding="utf-8")


def _wrong(found: Sequence[Check]) -> list[Check]:
    return [check for check in found if check.wrong]


def _why(check: Check) -> str:
    return f": {verdict.why(check)}" if check.wrong else ""
