"""The report as one page that needs nothing else: to be read on a screen, printed and filed."""

from collections.abc import Iterable, Sequence
from html import escape

from service import clock, i18n
from service.schemas.certifications import Report, ReportCase, ReportSeen
from service.security.certifications import Read
from workflows.conformance import Verdict

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem } section + section { margin-top: 4rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .4rem .6rem }
tr { border-bottom: 1px solid #ccc; break-inside: avoid } th { white-space: nowrap } code { overflow-wrap: anywhere }
.passed { color: #146c2e } .failed { color: #b3261e; font-weight: 600 } .not_reached { color: #5f5f5f }
ul { margin: .3rem 0 0; padding-left: 1.1rem; font-size: .85rem; color: #444 }
@media print { body { margin: 0; max-width: none; font-size: 11px } section + section { break-before: page } }
""".strip()


def page(read: Read, languages: Sequence[str]) -> str:
    """Return the page of a signed report, once in each language, in their order."""
    title = escape(i18n.text("certification.title", languages[0], participant=read.report.participant_id))
    parts = "\n".join(_section(read, language) for language in languages)
    return (
        f'<!DOCTYPE html>\n<html lang="{languages[0]}">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{parts}\n</body>\n</html>\n"
    )


def _section(read: Read, language: str) -> str:
    report = read.report
    title = i18n.text("certification.title", language, participant=report.participant_id)
    count = {each: sum(case.verdict is each for case in report.cases) for each in Verdict}
    numbers = {"failed": count[Verdict.FAILED], "not_reached": count[Verdict.NOT_REACHED]}
    ended = "passed" if report.passed else "not_passed"
    style = "passed" if report.passed else "failed"
    whose = i18n.text(
        f"certification.{'of_hub' if report.hub else 'self_test'}", language, hub=report.hub or "", kid=read.kid
    )
    rows = "".join(
        f"<tr><th>{_label(name, language)}</th><td>{value}</td></tr>" for name, value in _facts(read, language)
    )
    cases = "".join(_case(case, language) for case in report.cases)
    heads = "".join(f"<th>{_label(name, language)}</th>" for name in ("verdict", "case"))
    return (
        f'<section lang="{language}">\n<h1>{escape(title)}</h1>\n'
        f'<p class="{style}">{escape(i18n.text(f"certification.{ended}", language, **numbers))}</p>\n'
        f"<p>{escape(whose)}</p>\n<table>{rows}</table>\n<h2>{_label('cases', language)}</h2>\n"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{cases}</tbody></table>\n</section>"
    )


def _facts(read: Read, language: str) -> Iterable[tuple[str, str]]:
    report: Report = read.report
    yield "participant", escape(report.participant_id)
    yield "profile", escape(report.profile)
    inbox = i18n.text("certification.label.inbox", language)
    yield "address", escape(f"{report.host}:{report.port}" if report.host else inbox)
    if report.definition_sha256:
        yield "definition", f"<code>{report.definition_sha256}</code>"
    yield "version", escape(report.version)
    yield "began", clock.written(report.began_at)
    yield "ended", clock.written(report.ended_at)
    yield "report", f"<code>{read.sha256}</code>"


def _case(case: ReportCase, language: str) -> str:
    verdict = i18n.text(f"certification.verdict.{case.verdict}", language)
    about = escape(i18n.text(f"certification.case.{case.case}", language))
    why = f" <em>{escape(_why(case.why, language))}</em>" if case.why else ""
    seen = "".join(f"<li>{_seen(each, language)}</li>" for each in case.seen)
    listed = f"<ul>{seen}</ul>" if seen else ""
    return (
        f'<tr><td class="{case.verdict}">{escape(verdict)}</td>'
        f"<td><code>{escape(case.case)}</code> {about}{why}{listed}</td></tr>"
    )


def _seen(seen: ReportSeen, language: str) -> str:
    what, _, outcome = seen.what.partition(".")
    said = i18n.text(f"certification.seen.{what}", language) if i18n.has(f"certification.seen.{what}") else what
    parts = [clock.written(seen.at), said, outcome, str(seen.status or ""), seen.code or ""]
    digest = f" <code>sha256 {seen.sha256}</code>" if seen.sha256 else ""
    return escape(" · ".join(part for part in parts if part)) + digest


def _why(why: str, language: str) -> str:
    key = f"certification.why.{why}"
    return i18n.text(key, language) if i18n.has(key) else why


def _label(name: str, language: str) -> str:
    return escape(i18n.sentence_case(i18n.text(f"certification.label.{name}", language)))
