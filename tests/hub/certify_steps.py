"""What tests of certification share: a hub that certifies, a sandbox with a behaviour, and its verdicts by case."""

import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

from joserfc.jwk import ECKey

from adapters import signing
from adapters.sandbox.behaviour import Behaviour
from adapters.sandbox.clerk import OnEvent
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.tls import SandboxTls
from service.certification import attempts, joining, lines
from service.certification.bench import Bench
from service.certification.exam import Exam, Pace, Result, examine
from service.certification.joining import Applicant, Candidate, Where
from service.cli import playing
from service.cli.playing import Kind, Manner
from workflows import conformance
from workflows.conformance import Profile
from workflows.terms import Channel, Sector

# What must not happen is watched this long; what is not answered is given up after the second.
PACE = Pace(first=3.0, answer=10.0, quiet=0.5)
UNKNOWN = frozenset(missing for _, missing in conformance.TARGETS.values())


def applicant(profile: Profile, sector: Sector, name: str, number: int = 0) -> tuple[Applicant, ECKey, ECKey]:
    """Somebody who asks for a certification, with both private keys; a number keeps the phones of several apart."""
    client, answers = (ECKey.generate_key("P-256") for _ in range(2))
    usual, missing = conformance.TARGETS[sector]
    if sector is Sector.TELECOM:
        usual, missing = (f"{value[:6]}{number:03}{value[9:]}" for value in (usual, missing))
    public = (client.as_dict(private=False), answers.as_dict(private=False))
    return Applicant(name, sector, profile, f"{name}-system", *public, None, usual, missing), client, answers


def ignore(kind: str, data: dict[str, Any]) -> None:
    """Nothing that a sandbox tells is evidence."""


def treated(manner: Manner, sector: Sector, **options: Any) -> Behaviour:
    """What the command plays of a sector, with these options and its own defaults for the others."""
    defaults = {name: each.default for name, each in inspect.signature(playing.sandbox).parameters.items()}
    names = ("delay", "refusal_code", "ported_to", "mistake")
    delay, refusal_code, ported_to, mistakes = ((defaults | options)[name] for name in names)
    return playing.treated(manner, delay, refusal_code, ported_to or playing.ELSEWHERE[Kind(sector)], mistakes or ())


@contextlib.asynccontextmanager
async def examined(
    bench: Bench,
    profile: Profile,
    sector: Sector,
    behaviour: Behaviour,
    tls: SandboxTls,
    name: str,
    number: int = 0,
    keep: OnEvent = ignore,
) -> AsyncIterator[tuple[Exam, Sandbox]]:
    """Let a sandbox with a behaviour take its place opposite the hub; ``keep`` is told what happens to it."""
    asking, client, answers = applicant(profile, sector, name, number)
    channel, address = conformance.channel_of(profile), bench.hub.settings.address
    secret = signing.new_secret()
    sandbox = Sandbox(
        name,
        sector,
        behaviour,
        0,
        address,
        asking.client_id,
        client.as_dict(private=True),
        secret,
        tls,
        keep,
        signing_key=answers.as_dict(private=True),
        unknown={*UNKNOWN, asking.missing or ""},
        speaks=channel,
    )
    if channel is not Channel.PULL:
        await sandbox.start()
    try:
        exam = await opposite(bench, asking, sandbox, secret, tls)
        if channel is Channel.PULL:
            # Its first call is one of a system that the hub knows.
            await sandbox.start()
        yield exam, sandbox
    finally:
        await sandbox.stop()


async def opposite(bench: Bench, asking: Applicant, sandbox: Sandbox, secret: str, tls: SandboxTls) -> Exam:
    """Enroll the applicant with the hub and return its examination."""
    where = None if not sandbox.url else Where(sandbox.url, "127.0.0.1/32", tls.ca_pem, secret)
    values = {name: getattr(asking, name) for name in Applicant.__slots__ if name != "where"}
    candidate = await joining.join(bench, Applicant(**values, where=where))
    return Exam(bench, candidate, line(bench, candidate), PACE)


def line(bench: Bench, candidate: Candidate) -> lines.Line:
    """The way to a candidate."""
    if candidate.endpoint is None:
        return lines.Pulled(bench, candidate.id, PACE.answer, PACE.answer)
    return lines.Called(bench, candidate.endpoint)


async def verdicts(taking: Exam) -> list[Result]:
    """Examine, and return what became of each case."""
    return list(await examine(taking, attempts.ATTEMPTS, lambda _: None))
