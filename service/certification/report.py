"""The report of an examination: what is signed, the checklist as it is printed, and the files that are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from service import __version__, clock, i18n
from service.certification import html
from service.certification.exam import Evidence, Result
from service.certification.joining import Applicant
from service.schemas.certifications import FORMAT, Report, ReportCase, ReportSeen
from service.security import certifications, keyring, signing_keys
from service.security.keyring import SigningKey
from service.settings import Settings
from workflows import conformance
from workflows.conformance import Verdict

_LASTS = timedelta(days=1)
_MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.NOT_REACHED: "–"}
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: the hub of this machine by its own key, or nobody's key for a self-test (``hub`` is None)."""

    key: SigningKey
    hub: str | None


def signer(settings: Settings, *, self_test: bool) -> Signer:
    """Return the hub of this machine where it has keys, else a key made for this once. Raises KeyUnfit, OSError.

    No key is made for a hub that is none yet: its reports would be signed by what nobody has published.
    """
    now = clock.utc_now()
    current = settings.keys_dir / f"{signing_keys.ORDERS.name}-current.jwk"
    if self_test or not current.exists():
        return Signer(SigningKey.generate(not_before=now, not_after=now + _LASTS), None)
    keys = signing_keys.load(settings.keys_dir, now, signing_keys.ORDERS)
    return Signer(keyring.in_force(keys, now), settings.address)


def made(
    applicant: Applicant,
    results: Sequence[Result],
    began_at: datetime,
    by: Signer,
    definition_sha256: str | None = None,
) -> Report:
    """Return the report of an examination that ends now."""
    address = urlsplit(applicant.where.url) if applicant.where else None
    verdicts = {result.case: result.verdict for result in results}
    return Report(
        format=FORMAT,
        hub=by.hub,
        participant_id=applicant.id,
        sector=applicant.sector,
        profile=applicant.profile,
        host=address.hostname if address else None,
        port=(address.port or _HTTPS) if address else None,
        definition_sha256=definition_sha256,
        version=__version__,
        began_at=began_at,
        ended_at=clock.utc_now(),
        passed=conformance.is_passed(applicant.profile, applicant.sector, verdicts),
        cases=[
            ReportCase(
                case=result.case,
                verdict=result.verdict,
                why=result.why,
                seen=[_seen(each) for each in result.evidence],
            )
            for result in results
        ],
    )


def write(report: Report, by: Signer, folder: Path, languages: Sequence[str]) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.html`` into a folder and return both. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    signed, page = folder / "report.json", folder / "report.html"
    text = certifications.sealed(report, by.key)
    signed.write_text(text, encoding="utf-8")
    page.write_text(html.page(certifications.read(text), languages), encoding="utf-8")
    return signed, page


def line(result: Result, language: str) -> str:
    """Return one line of the checklist: the result, the case's code, and what it is about or why it failed."""
    verdict = i18n.text(f"certification.verdict.{result.verdict}", language)
    about = i18n.text(f"certification.case.{result.case}", language)
    why = f" ({i18n.text(f'certification.why.{result.why}', language)})" if result.why else ""
    return f"{_MARKS[result.verdict]} {verdict}  {result.case}  {about}{why}"


def summary(report: Report, kid: str, language: str) -> list[str]:
    """Return the last lines: whether it passed, and whose word that is."""
    count = {
        verdict: sum(each.verdict is verdict for each in report.cases)
        for verdict in (Verdict.FAILED, Verdict.NOT_REACHED)
    }
    numbers = {"failed": count[Verdict.FAILED], "not_reached": count[Verdict.NOT_REACHED]}
    ended = "passed" if report.passed else "not_passed"
    whose = "of_hub" if report.hub else "self_test"
    return [
        i18n.text(f"certification.{ended}", language, **numbers),
        i18n.text(f"certification.{whose}", language, hub=report.hub or "", kid=kid),
    ]


def _seen(evidence: Evidence) -> ReportSeen:
    return ReportSeen(
        at=evidence.at,
        what=evidence.what,
        status=evidence.status,
        code=evidence.code,
        sha256=evidence.sha256,
    )
