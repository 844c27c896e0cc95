"""The command that plays a participant against a running hub: a real process, in each form and with each behaviour."""

import asyncio
import json
import shlex
import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from joserfc.jwk import ECKey

from adapters.sandbox import behaviour as behaviours
from adapters.sandbox.behaviour import Behaviour, Mistake
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.tls import SandboxTls
from service import clock
from service.cli import context, output, tokens
from service.security import keyfile
from service.security.keyring import SigningKey
from workflows import conformance
from workflows.terms import Channel, RefusalCode, Sector

_VALID_FOR = timedelta(days=365)
_STOPS = (signal.SIGINT, signal.SIGTERM)
_BAD = frozenset({"answer_failed", "signature_refused", "malformed", "lied"})


class Kind(StrEnum):
    """What may be played."""

    BANK = "bank"
    WALLET = "wallet"
    TELECOM = "telecom"
    ISP = "isp"
    PLATFORM = "platform"


class Spoken(StrEnum):
    """In which form it gets its orders, and answers them."""

    WEBHOOK = "webhook"
    PULL = "pull"
    ISO20022 = "iso20022"
    ETSI = "etsi"


class Manner(StrEnum):
    """How it treats its orders."""

    PROMPT = "prompt"
    SLOW = "slow"
    PARTIAL = "partial"
    REFUSING = "refusing"
    PORTED = "ported"
    SILENT = "silent"
    FLAPPING = "flapping"
    HOSTILE = "hostile"
    CARELESS = "careless"


# Who it is where nobody says so: members of the shipped directory.
_IDS: Mapping[Kind, str] = {
    Kind.BANK: "vietcombank",
    Kind.WALLET: "momo",
    Kind.TELECOM: "viettel",
    Kind.ISP: "fpt-isp",
    Kind.PLATFORM: "meta",
}
# Whom it names where nobody says to whom an order was ported: only one of its kind can hold the same.
ELSEWHERE: Mapping[Kind, str] = {
    Kind.BANK: "techcombank",
    Kind.WALLET: "zalopay",
    Kind.TELECOM: "vinaphone",
    Kind.ISP: "vnpt-isp",
    Kind.PLATFORM: "tiktok",
}
_MONEY = frozenset({Kind.BANK, Kind.WALLET})
# What nobody has, so that a certification sees it refused.
_NOWHERE = frozenset(missing for _, missing in conformance.TARGETS.values())
_SECRETLESS = frozenset({Spoken.PULL, Spoken.ISO20022})


@dataclass(frozen=True, slots=True)
class _Player:
    """Who plays, with the files of its folder."""

    id: str
    client: str
    speaks: Spoken
    port: int
    client_key: Path
    answer_key: Path
    secret_file: Path
    authority: Path


def sandbox(
    kind: Annotated[Kind, typer.Argument(help="what is played")],
    speaks: Annotated[Spoken, typer.Option(help="how it gets its orders, and answers them")] = Spoken.WEBHOOK,
    behaviour: Annotated[Manner, typer.Option(help="how it treats them")] = Manner.PROMPT,
    folder: Annotated[Path, typer.Option(help="where its keys, certificate and secret are made and kept")] = Path(
        "sandbox"
    ),
    participant: Annotated[str | None, typer.Option("--id", help="the participant's id; default: a known one")] = None,
    client: Annotated[str | None, typer.Option(help="its client system's id; default: ID-sandbox")] = None,
    client_key: Annotated[
        Path | None, typer.Option(help="its private key, as hoatoc keygen wrote it; default: one in the folder")
    ] = None,
    answer_key: Annotated[
        Path | None, typer.Option(help="the key that signs its answers; default: one in the folder")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(envvar="HOATOC_SANDBOX_SECRET", help="the endpoint's secret; kept in the folder")
    ] = None,
    port: Annotated[int, typer.Option(help="where it listens on this machine; an inbox needs none")] = 9543,
    hub: Annotated[str | None, typer.Option(help="http address of the hub on this machine")] = None,
    issuer: Annotated[str | None, typer.Option(help="the hub's public address; default: the settings'")] = None,
    delay: Annotated[
        float, typer.Option(help="slow: seconds after the execute deadline, negative: before it; partial: until more")
    ] = 5.0,
    refusal_code: Annotated[RefusalCode, typer.Option(help="of one that refuses")] = RefusalCode.TARGET_NOT_FOUND,
    ported_to: Annotated[
        str | None, typer.Option(help="of one that says: not mine; default: another of its kind")
    ] = None,
    batch: Annotated[bool, typer.Option("--batch", help="webhook: an endpoint that declares batches")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="pull: read the stream of events")] = False,
    mistake: Annotated[
        list[Mistake] | None, typer.Option(help="of a careless one, several times; default: all of them")
    ] = None,
) -> None:
    """Play a participant: get real orders, answer them with real signatures, and tell each in one line, until Ctrl-C.

    What the operator of the hub has to run first is printed. Only for a hub on this machine, in the profile demo.
    """
    _check(kind, speaks, batch=batch, stream=stream)
    id_ = participant or _IDS[kind]
    with context.told():
        tls = SandboxTls(folder / "tls")
        player = _Player(
            id=id_,
            client=client or f"{id_}-sandbox",
            speaks=speaks,
            port=port,
            client_key=client_key or _made(folder / "client.jwk"),
            answer_key=answer_key or _made(folder / "answers.jwk"),
            secret_file=folder / "secret",
            authority=folder / "tls" / "authority.pem",
        )
        own, answers = keyfile.load(player.client_key), keyfile.load(player.answer_key)
        public = [_public(folder / "client.pub.jwk", own), _public(folder / "answers.pub.jwk", answers)]
        kept = _secret(player, secret)
    for line in _joining(player, *public, batch=batch):
        output.say(line)
    if kept is None:
        output.remark("then start it again with --secret: the one that propose printed; it is kept in the folder")
        return
    made = treated(behaviour, delay, refusal_code, ported_to or ELSEWHERE[kind], mistake or ())
    with context.told():
        try:
            playing = Sandbox(
                player.id,
                Sector(kind),
                made,
                port,
                tokens.address(hub),
                player.client,
                _private(own),
                kept,
                tls,
                _tell,
                issuer=issuer or context.settings().address,
                signing_key=_private(answers),
                unknown=_NOWHERE,
                speaks=Channel(speaks),
                batches=batch,
                streams=stream,
            )
        except ValueError as wrong:
            raise output.fail(str(wrong)) from None
    context.run(_play(playing))


def _check(kind: Kind, speaks: Spoken, *, batch: bool, stream: bool) -> None:
    if batch and speaks is not Spoken.WEBHOOK:
        raise output.fail("batches come to a webhook: --speaks webhook")
    if stream and speaks is not Spoken.PULL:
        raise output.fail("a stream is read from an inbox: --speaks pull")
    if speaks is Spoken.ISO20022 and kind not in _MONEY:
        raise output.fail(f"ISO 20022 has no message for orders to a {kind}: webhook, pull or etsi")
    if speaks is Spoken.ETSI and kind in _MONEY:
        raise output.fail(f"ETSI TS 103 120 has no task for orders to a {kind}: webhook, pull or iso20022")


def _joining(player: _Player, client_key: Path, answer_key: Path, *, batch: bool) -> list[str]:
    """Return what the operator runs, once, while the hub does not: its database is for one process."""
    files = {name: shlex.quote(str(path)) for name, path in (("client", client_key), ("answers", answer_key))}
    lines = [
        f"hoatoc enroll client {player.id} {player.client} --role participant_operator --key {files['client']}",
        f"hoatoc enroll key {player.id} --key {files['answers']}",
    ]
    if player.speaks is Spoken.PULL:
        return [*lines, f"hoatoc endpoint propose {player.id} --pull"]
    where = f"--webhook https://localhost:{player.port}/hook --network 127.0.0.1/32"
    spoken = "" if player.speaks is Spoken.WEBHOOK else f" --speaks {player.speaks}"
    authority, declared = shlex.quote(str(player.authority)), " --batch" if batch else ""
    return [*lines, f"hoatoc endpoint propose {player.id} {where} --ca {authority}{spoken}{declared}"]


def treated(
    manner: Manner, delay: float, refusal_code: RefusalCode, ported_to: str, mistakes: Collection[Mistake]
) -> Behaviour:
    """Return how one treats its orders of whom the options say this; a careless one without mistakes makes all."""
    found: Mapping[Manner, Behaviour] = {
        Manner.PROMPT: behaviours.Prompt(),
        Manner.SLOW: behaviours.Late(delay),
        Manner.PARTIAL: behaviours.Half(max(0.0, delay)),
        Manner.REFUSING: behaviours.Refusing(refusal_code),
        Manner.PORTED: behaviours.Ported(ported_to),
        Manner.SILENT: behaviours.Silent(),
        Manner.FLAPPING: behaviours.Flapping(),
        Manner.HOSTILE: behaviours.Hostile(),
        Manner.CARELESS: behaviours.Careless(frozenset(mistakes)) if mistakes else behaviours.Careless(),
    }
    return found[manner]


def _made(path: Path) -> Path:
    """Make a key where there is none yet."""
    if not path.exists():
        now = clock.utc_now()
        keyfile.save(SigningKey.generate(not_before=now, not_after=now + _VALID_FOR), path)
    return path


def _public(path: Path, key: SigningKey) -> Path:
    path.write_text(json.dumps(key.public_jwk()) + "\n", encoding="utf-8")
    return path


def _private(key: SigningKey) -> dict[str, Any]:
    return dict(ECKey.import_key(key.private).as_dict(private=True))


def _secret(player: _Player, given: str | None) -> str | None:
    """Return the endpoint's secret, given now or kept from before; ``""`` where there is none, ``None`` if unknown."""
    if player.speaks in _SECRETLESS:
        return ""
    if given:
        player.secret_file.touch(mode=0o600)
        player.secret_file.write_text(given, encoding="utf-8")
    return player.secret_file.read_text(encoding="utf-8").strip() if player.secret_file.exists() else None


def _tell(kind: str, data: dict[str, Any]) -> None:
    """Print what happened in one line; whom an order is about stays out of it."""
    head = [
        f"{clock.utc_now():%H:%M:%S}Z",
        kind,
        *(str(data[name]) for name in ("action", "reference") if name in data),
    ]
    left = {name: value for name, value in data.items() if name not in {"participant", "action", "reference", "target"}}
    style = "red" if kind in _BAD else "green" if kind == "answered" else ""
    output.happened(" ".join([*head, *(f"{name}={value}" for name, value in left.items())]), style)


async def _play(playing: Sandbox) -> None:
    told_to_stop = asyncio.Event()
    for each in _STOPS:
        asyncio.get_running_loop().add_signal_handler(each, told_to_stop.set)
    await playing.start()
    try:
        where = f"listens on {playing.url}" if playing.url else "reads its inbox"
        output.remark(f"{playing.name} {where}; Ctrl-C stops it")
        await told_to_stop.wait()
    finally:
        await playing.stop()
