"""The command that certifies a participant's test system, prints what was seen, and verifies a report."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from adapters import signing
from service import clock, i18n
from service.certification import attempts, exam, joining, lines, opening, report
from service.certification.bench import Bench, NotPlaced
from service.certification.exam import Exam, Pace, Result
from service.certification.joining import Applicant, Where
from service.certification.report import Signer
from service.cli import context, output
from service.schemas.certifications import Report
from service.security import certifications, client_keys
from service.security.certifications import ReportRefused
from service.security.keyring import KeyUnfit
from workflows import conformance
from workflows.conformance import Profile, Verdict
from workflows.terms import Channel, Sector

Language = Literal["vi", "en", "both"]
_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_REACHED: ""}
_SECTORS = {Profile.TELECOM_WEBHOOK: Sector.TELECOM, Profile.TELECOM_ETSI: Sector.TELECOM}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one run needs."""

    applicant: Applicant
    host: str
    port: int
    issuer: str
    pace: Pace
    by: Signer
    language: str
    secret_file: Path | None


def certify(
    profile: Annotated[Profile | None, typer.Option(help="who answers, and in which form")] = None,
    participant: Annotated[str | None, typer.Option("--id", help="the participant's id")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="the https address of its test system; an inbox has none")
    ] = None,
    network: Annotated[str | None, typer.Option(help="the CIDR in which that address must lie")] = None,
    ca: Annotated[Path | None, typer.Option(help="PEM file of the only authorities to trust")] = None,
    client_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the hub's certificate there, for a key of endpoint client-key")
    ] = None,
    client: Annotated[str | None, typer.Option(help="its client system's id; default: ID-test")] = None,
    client_key: Annotated[Path | None, typer.Option(help="its public key, as JWK")] = None,
    answer_key: Annotated[Path | None, typer.Option(help="the public key of its answers, as JWK")] = None,
    sector: Annotated[Sector | None, typer.Option(help="default: bank, or telecom where the profile says so")] = None,
    secret_file: Annotated[Path, typer.Option(help="the secret that signs the calls; made where there is none")] = Path(
        "certify.secret"
    ),
    target: Annotated[str | None, typer.Option(help="account, number or name of your test data")] = None,
    missing: Annotated[str | None, typer.Option(help="one that your system must not find")] = None,
    host: Annotated[str, typer.Option(help="where the certifying hub listens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="and on which port")] = 8480,
    address: Annotated[
        str, typer.Option(help="its address as the test system sees it; default: http://HOST:PORT")
    ] = "",
    wait: Annotated[float, typer.Option(help="seconds until the test system must be there")] = 300.0,
    within: Annotated[float, typer.Option(help="seconds for an answer")] = 30.0,
    quiet: Annotated[float, typer.Option(help="seconds in which nothing may follow, at the end")] = 3.0,
    report_to: Annotated[
        Path | None, typer.Option("--report", help="the folder for report.json and report.html")
    ] = None,
    definition: Annotated[str | None, typer.Option(help="sha256 of the proposal that is examined")] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="sign with a key made for it, although this is a hub's machine")
    ] = False,
    verify: Annotated[Path | None, typer.Option(help="examine nothing: check the signature of a report")] = None,
    language: Annotated[Language, typer.Option(help="of what is printed and of the page")] = "both",
) -> None:
    """Drive a participant's test system through every case of a profile; exit 0 only if all passed.

    A hub of its own runs for it, in a temporary folder, and is gone afterwards: nothing real is ordered. What the test
    system needs to know of it is printed first.
    """
    if verify is not None:
        _verify(verify, _first(language))
        return
    with context.told():
        chosen = _applicant(profile, participant, sector, client, client_key, answer_key, target, missing)
        where = _where(chosen, endpoint, network, ca, client_cert, secret_file)
        plan = _Plan(
            applicant=joining.at(chosen, where),
            host=host,
            port=port,
            issuer=address,
            pace=Pace(wait, within, quiet),
            by=report.signer(context.settings(), self_test=self_test),
            language=_first(language),
            secret_file=secret_file if where else None,
        )
    made = context.run(_examine(plan, definition))
    for line in report.summary(made, plan.by.key.kid, plan.language):
        output.happened(line, "bold")
    if report_to is not None:
        with context.told():
            for path in report.write(made, plan.by, report_to, _languages(language)):
                output.say(str(path))
    if not made.passed:
        raise typer.Exit(1)


async def _examine(plan: _Plan, definition: str | None) -> Report:
    began = clock.utc_now()
    with tempfile.TemporaryDirectory(prefix="hoatoc-certify-") as folder:
        async with opening.bench(Path(folder), plan.host, plan.port, plan.issuer) as bench:
            candidate = await joining.join(bench, plan.applicant)
            for each in _told(bench, plan):
                output.happened(each)
            way: lines.Line = lines.Pulled(bench, candidate.id, plan.pace.first, plan.pace.answer)
            if candidate.endpoint is not None:
                way = lines.Called(bench, candidate.endpoint)
            taking = Exam(bench, candidate, way, plan.pace)
            try:
                results = await exam.examine(taking, attempts.ATTEMPTS, _teller(plan.language))
            except NotPlaced as missing:
                raise output.fail(f"the certifying hub itself placed no order: {missing}") from None
            await taking.tidy()
    return report.made(plan.applicant, results, began, plan.by, definition)


def _teller(language: str) -> Callable[[Result], None]:
    def tell(result: Result) -> None:
        output.happened(report.line(result, language), _STYLES[result.verdict])

    return tell


def _told(bench: Bench, plan: _Plan) -> list[str]:
    """Return what the test system must be set to."""
    told = [("hub", bench.hub.settings.address), ("issuer", bench.hub.settings.address)]
    told += [("client", plan.applicant.client_id), ("participant", plan.applicant.id)]
    if plan.secret_file is not None:
        told.append(("secret", str(plan.secret_file)))
    return [f"{i18n.text(f'certification.setting.{name}', plan.language)}: {value}" for name, value in told]


def _applicant(
    profile: Profile | None,
    participant: str | None,
    sector: Sector | None,
    client: str | None,
    client_key: Path | None,
    answer_key: Path | None,
    target: str | None,
    missing: str | None,
) -> Applicant:
    if profile is None or participant is None or client_key is None or answer_key is None:
        raise output.fail("--profile, --id, --client-key and --answer-key are needed, or --verify alone")
    of = sector or _SECTORS.get(profile, Sector.BANK)
    if of not in conformance.TARGETS or not conformance.fits(profile, conformance.channel_of(profile), of):
        raise output.fail(f"the profile {profile} is not one of the sector {of}")
    keys = (_public(client_key), _public(answer_key))
    return Applicant(participant, of, profile, client or f"{participant}-test", *keys, None, target, missing)


def _where(
    applicant: Applicant,
    endpoint: str | None,
    network: str | None,
    ca: Path | None,
    client_cert: Path | None,
    secret_file: Path,
) -> Where | None:
    if conformance.channel_of(applicant.profile) is Channel.PULL:
        if endpoint is not None or client_cert is not None:
            raise output.fail("an inbox is read by the participant: --endpoint is for the other profiles")
        return None
    if endpoint is None or network is None or ca is None:
        raise output.fail("--endpoint, --network and --ca are needed: where the test system is called")
    if not secret_file.exists():
        secret_file.touch(mode=0o600)
        secret_file.write_text(signing.new_secret() + "\n", encoding="utf-8")
    try:
        shown = client_keys.pair(context.settings().keys_dir, context.read(client_cert) if client_cert else None)
    except KeyUnfit as unfit:
        raise output.fail(f"--client-cert: its key cannot be used here: {unfit.code}") from None
    return Where(endpoint, network, context.read(ca), secret_file.read_text(encoding="utf-8").strip(), shown)


def _public(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(context.read(path, certifications.LARGEST))
    except (ValueError, RecursionError):
        raise output.fail(f"{path} holds no JSON") from None
    if not isinstance(read, dict) or "d" in read or not {"kty", "crv", "x", "y"} <= read.keys():
        raise output.fail(f"{path} holds no public key as JWK: hand over the public half alone")
    return read


def _verify(path: Path, language: str) -> None:
    text = context.read(path, certifications.LARGEST)
    try:
        read = certifications.read(text)
    except ReportRefused as refused:
        raise output.fail(f"{path}: the report does not hold: {refused.reason}") from None
    for each in report.summary(read.report, read.kid, language):
        output.say(each)
    output.say(f"sha256: {read.sha256}")
    if not read.report.passed:
        raise typer.Exit(1)


def _languages(chosen: Language) -> tuple[str, ...]:
    return i18n.LANGUAGES if chosen == "both" else (chosen,)


def _first(chosen: Language) -> str:
    return "en" if chosen == "both" else chosen
