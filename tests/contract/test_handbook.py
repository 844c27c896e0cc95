"""The handbook is true: its tables are the code's, its links lead somewhere, its example verifies our signatures."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import pytest
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel

from adapters import signing
from service import i18n, metrics
from service.schemas.evidence import Bundle
from service.security import scopes
from service.settings import Settings
from service.web import problems
from workflows import appeal, authority, conformance, deadlines, policy, preserve, states, takedown
from workflows.authority_rules import RANK_ORDER, AuthorityRule, WorkingDays
from workflows.table import written
from workflows.terms import (
    MONEY_TARGETS,
    Action,
    AppealGround,
    AppealReason,
    AppealState,
    Event,
    Fact,
    LegalBasis,
    Measure,
    OrderState,
    RefusalCode,
    RequestEvent,
    RequestState,
    Role,
    Sector,
    Stage,
    TargetKind,
    TaskKind,
    Urgency,
)

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "service" / "handbook"
PAGES = sorted(BOOK.rglob("*.md"))
DECISIONS = sorted((BOOK / "decisions").glob("[0-9]*.md"))
LINKED = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEAD = re.compile(r"^Date: \d{4}-\d{2}-\d{2} · Status: (accepted|superseded by \d{4})$", re.MULTILINE)
_SECTIONS = ("Context", "Decision", "Consequences", "Alternatives")
# A row of the table of clocks: how the request is meant, and what the rules are asked.
_CLOCKS: tuple[tuple[str, Action, TargetKind, Sector, dict[str, object]], ...] = (
    ("freeze", Action.FREEZE, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("lift", Action.LIFT, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("extend", Action.EXTEND, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("preserve", Action.PRESERVE, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("recall", Action.RECALL, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("disclose", Action.DISCLOSE, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("disclose marked `hoa_toc`", Action.DISCLOSE, TargetKind.ACCOUNT, Sector.BANK, {"urgency": Urgency.HOA_TOC}),
    ("trace", Action.TRACE, TargetKind.ACCOUNT, Sector.BANK, {}),
    ("takedown of a `phone` number", Action.TAKEDOWN, TargetKind.PHONE, Sector.TELECOM, {}),
    ("takedown of an `sms_sender` name", Action.TAKEDOWN, TargetKind.SMS_SENDER, Sector.TELECOM, {}),
    ("takedown of a `domain` at an ISP", Action.TAKEDOWN, TargetKind.DOMAIN, Sector.ISP, {}),
    ("takedown of a `url` at an ISP", Action.TAKEDOWN, TargetKind.URL, Sector.ISP, {}),
    ("takedown of a `domain` at a registrar", Action.TAKEDOWN, TargetKind.DOMAIN, Sector.REGISTRAR, {}),
    (
        "takedown of `content`, a page or account at a platform",
        Action.TAKEDOWN,
        TargetKind.CONTENT,
        Sector.PLATFORM,
        {},
    ),
    ("the same, `intimate`", Action.TAKEDOWN, TargetKind.CONTENT, Sector.PLATFORM, {"intimate": True}),
    ("`content` marked `hoa_toc`", Action.TAKEDOWN, TargetKind.CONTENT, Sector.PLATFORM, {"urgency": Urgency.HOA_TOC}),
    (
        "`social_account` with the measure `suspend`",
        Action.TAKEDOWN,
        TargetKind.SOCIAL_ACCOUNT,
        Sector.PLATFORM,
        {"measure": Measure.SUSPEND},
    ),
    ("takedown of an `email` address", Action.TAKEDOWN, TargetKind.EMAIL, Sector.PLATFORM, {}),
)


def _page(path: str) -> str:
    return (BOOK / path).read_text("utf-8")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _codes(members: object, among: type) -> str:
    assert isinstance(members, frozenset)
    return ", ".join(f"`{member.value}`" for member in among if member in members)  # type: ignore[attr-defined]


def role_rows() -> Iterator[str]:
    for role in Role:
        yield _row(f"`{role}`", _codes(scopes.SCOPES[role], scopes.Scope), _codes(scopes.SECTORS[role], Sector))


def _kinds(kinds: frozenset[TargetKind]) -> str:
    if kinds == frozenset(TargetKind):
        return "all kinds"
    if kinds == MONEY_TARGETS:
        return "money"
    return "all but money" if kinds == takedown.TARGETS else _codes(kinds, TargetKind)


def _tier(rank: str, cap: int | None, whole: bool) -> str:
    amount = "no cap" if cap is None else f"up to {cap:,} ₫".replace(",", ".")
    return f"`{rank}`: {amount}{', whole account too' if whole else ''}"


def _longest(rule: AuthorityRule) -> str:
    if isinstance(rule.longest, WorkingDays):
        return f"{rule.longest.count} working days"
    return written(rule.longest)


def authority_rows() -> Iterator[str]:
    for rule in authority.RULES:
        yield _row(
            f"`{rule.basis}`",
            f"{rule.valid_from} –{f' {rule.valid_to}' if rule.valid_to else ''}",
            _codes(rule.actions, Action),
            _kinds(rule.target_kinds),
            _codes(rule.agency_levels, authority.AgencyLevel) + (" (own province)" if rule.own_province_only else ""),
            f"`{rule.power}`" + (f", only `{rule.urgency}`" if rule.urgency else ""),
            "; ".join(_tier(tier.rank, tier.amount_cap, tier.whole_account) for tier in rule.tiers),
            f"`{rule.approver_rank}`" + (f", review in {written(rule.review_within)}" if rule.review_within else ""),
            _longest(rule),
            "yes" if rule.to_be_confirmed else "no",
        )


def clock_rows() -> Iterator[str]:
    for meaning, action, kind, sector, more in _CLOCKS:
        limits = {limit.stage: written(limit.within) for limit in deadlines.limits_for(action, kind, sector, **more)}  # type: ignore[arg-type]
        yield _row(meaning, limits[Stage.RECEIPT], limits[Stage.ACKNOWLEDGE], limits[Stage.EXECUTE])


def own_clock_rows() -> Iterator[str]:
    review = next(rule.review_within for rule in authority.RULES if rule.basis is LegalBasis.EMERGENCY)
    assert review is not None
    for action, valid_for in deadlines.ACKNOWLEDGEMENT_VALID_FOR.items():
        yield _row("`acknowledgement_end`", f"{action}", written(valid_for))
    yield _row("`end_warning`", "before the end of a hold", written(deadlines.END_WARNING_BEFORE))
    yield _row("`review`", "of an emergency hold", written(review))
    yield _row("`approval`", "by the second officer", written(deadlines.APPROVAL_WITHIN))
    yield _row("`task`", "of a coordinator", written(deadlines.TASK_WITHIN))
    yield _row("`task`", "of a coordinator, about delivery", written(deadlines.DELIVERY_TASK_WITHIN))
    yield _row("`appeal_answer`", "of the agency, to an appellant", written(appeal.ANSWER_WITHIN))
    yield _row("`appeal_decision`", "of the agency, to an appellant", f"{appeal.DECISION_WORKING_DAYS} working day")


def ladder_rows() -> Iterator[str]:
    for ladder in policy.loads("vn-default").ladders:
        about = [ladder.action, ladder.target_kind, ladder.sector, ladder.urgency]
        said = [f"`{each}`" for each in about if each is not None] + ["`intimate`"] * bool(ladder.intimate)
        rungs = [
            f"{rung.number}: {written(rung.after) if rung.after else 'at once'} → {', '.join(map(str, rung.reach))}"
            for rung in ladder.rungs
        ]
        yield _row(f"`{ladder.stage}`", " ".join(said) or "anything else", "; ".join(rungs))


def order_rows() -> Iterator[str]:
    for state in OrderState:
        cells = [states.MOVES.get((state, event)) for event in Event]
        yield _row(f"`{state}`", *(f"`{cell}`" if cell else "–" for cell in cells))


def request_rows() -> Iterator[str]:
    for state in RequestState:
        cells = [states.REQUEST_MOVES.get((state, event)) for event in RequestEvent]
        yield _row(f"`{state}`", *(f"`{cell}`" if cell else "–" for cell in cells))


def _told(theme: str, suffix: str) -> Iterator[tuple[str, str, str]]:
    english, vietnamese = i18n.texts("en"), i18n.texts("vi")
    for key in english:
        if key.startswith(f"{theme}.") and key.endswith(suffix):
            yield key.removeprefix(f"{theme}.").removesuffix(suffix), english[key], vietnamese[key]


def error_rows() -> Iterator[str]:
    for code, english, vietnamese in sorted(_told("errors", ".title")):
        if code != "unknown":
            yield _row(f"`{code}`", english, vietnamese)


def field_rows() -> Iterator[str]:
    for code, *_ in sorted(_told("fields", "")):
        # Without parameters: the optional parts fall away.
        yield _row(f"`{code}`", i18n.text(f"fields.{code}", "en"), i18n.text(f"fields.{code}", "vi"))


def fact_rows() -> Iterator[str]:
    for fact in Fact:
        yield _row(f"`{fact}`", i18n.fact_text(fact, {}, "en"), i18n.fact_text(fact, {}, "vi"))


def term_rows(members: type) -> Iterator[str]:
    for member in members:  # type: ignore[attr-defined]
        yield _row(f"`{member}`", i18n.term(member, "en"), i18n.term(member, "vi"))


def appeal_rows() -> Iterator[str]:
    for state in AppealState:
        after = ", ".join(f"`{to}`" for to in AppealState if (state, to) in appeal.MOVES)
        yield _row(f"`{state}`", i18n.term(state, "en"), after or "–")


def reason_rows() -> Iterator[str]:
    for reason in AppealReason:
        (outcome,) = (each for each, reasons in appeal.REASONS.items() if reason in reasons)
        yield _row(f"`{reason}`", f"`{outcome}`", i18n.term(reason, "en"), i18n.term(reason, "vi"))


def clock_rows_vi() -> Iterator[str]:
    units = {"s": "giây", "min": "phút", "h": "giờ", "d": "ngày"}
    for (_, action, kind, sector, more), row in zip(_CLOCKS, clock_rows(), strict=True):
        times = [f"{number} {units[unit]}" for number, unit in re.findall(r"\| (\d+) (s|min|h|d)(?= \|)", row)]
        name = i18n.sentence_case(i18n.term(action, "vi"))
        if action is Action.TAKEDOWN:
            name += f": {i18n.term(kind, 'vi')} ({i18n.term(sector, 'vi')})"
            name += ", nội dung nhạy cảm" if more.get("intimate") else ""
            name += ", tạm ngừng" if more.get("measure") else ""
        yield _row(f"{name}, hỏa tốc" if more.get("urgency") else name, *times)


def evidence_rows() -> Iterator[str]:
    def parts(shape: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
        yield path or "the file", shape
        for name, field in shape.model_fields.items():
            for kind in (field.annotation, *get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    many = "[]" if get_origin(field.annotation) is list else ""
                    yield from parts(kind, f"{path}.{name}{many}".removeprefix("."))

    for path, shape in parts(Bundle, ""):
        shown = path if path == "the file" else f"`{path}`"
        yield _row(shown, ", ".join(f"`{name}`" for name in shape.model_fields))


def vietnamese_error_rows() -> Iterator[str]:
    for code, _, vietnamese in sorted(_told("errors", ".title")):
        if code != "unknown":
            yield _row(f"`{code}`", vietnamese, i18n.text(f"errors.{code}.detail", "vi"))


def vietnamese_field_rows() -> Iterator[str]:
    for code, *_ in sorted(_told("fields", "")):
        yield _row(f"`{code}`", i18n.text(f"fields.{code}", "vi"))


def case_rows(lang: str, everybody: str, money: str) -> Iterator[str]:
    for case, rule in conformance.RULES.items():
        named = ", ".join(f"`{profile}`" for profile in conformance.Profile if profile in rule.profiles)
        profiles = everybody if rule.profiles == frozenset(conformance.Profile) else named
        yield _row(f"`{case}`", i18n.text(f"certification.case.{case}", lang), profiles + (money if rule.money else ""))


TABLES = {
    "en/certification.md": [lambda: case_rows("en", "all", "; money")],
    "vi/kiem-dinh.md": [lambda: case_rows("vi", "mọi hồ sơ", "; giữ tiền")],
    "en/roles.md": [role_rows],
    "en/authority.md": [authority_rows],
    "en/clocks.md": [clock_rows, own_clock_rows, ladder_rows],
    "en/lives.md": [order_rows, request_rows],
    "en/appeals.md": [lambda: term_rows(AppealGround), appeal_rows, reason_rows],
    "en/errors.md": [error_rows, field_rows],
    "en/evidence.md": [evidence_rows],
    "en/facts.md": [fact_rows],
    "en/glossary.md": [lambda: term_rows(Stage), lambda: term_rows(RefusalCode), lambda: term_rows(TaskKind)],
    "vi/thoi-han.md": [clock_rows_vi],
    "vi/errors.md": [vietnamese_error_rows, vietnamese_field_rows],
}


def test_each_figure_is_measured_somewhere_and_each_logged_error_is_known() -> None:
    kinds = (Counter, Gauge, Histogram)
    figures = [name for name, value in vars(metrics).items() if name.isupper() and isinstance(value, kinds)]
    sources = {
        path: path.read_text("utf-8")
        for place in ("service", "adapters", "workflows")
        for path in (ROOT / place).rglob("*.py")
    }
    elsewhere = "\n".join(text for path, text in sources.items() if path.name != "metrics.py")
    assert len(figures) >= 27
    assert [name for name in figures if not re.search(rf"\bmetrics\.{name}\b", elsewhere)] == []
    logged = re.findall(r'\b_log\.(?:error|exception)\(\s*"([a-z_.]+)"(?: if error else "([a-z_.]+)")?', elsewhere)
    assert sorted({event for found in logged for event in found if event}) == sorted(metrics.ERROR_EVENTS)


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_table_has_as_many_cells_in_its_head_as_in_each_of_its_rows(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE):
        widths = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(widths) > 2 and len(set(widths)) == 1, table[:200]


@pytest.mark.parametrize("path", TABLES)
def test_each_table_of_the_handbook_is_the_codes(path: str) -> None:
    """A row may go on with further cells (a source, a remark); none may be missing, and none may be of yesterday."""
    lines = _page(path).splitlines()
    for rows in TABLES[path]:
        expected = list(rows())
        missing = [row for row in expected if not any(line.startswith(row) for line in lines)]
        assert not missing, f"{path} lacks:\n" + "\n".join(missing)
        at = next(number for number, line in enumerate(lines) if line.startswith(expected[0]))
        shown = list(itertools.takewhile(lambda line: line.startswith("|"), lines[at:]))
        stale = [line for line in shown if not any(line.startswith(row) for row in expected)]
        assert not stale, f"{path} has rows that the code does not know:\n" + "\n".join(stale)


@pytest.mark.parametrize("path", ["en/roles.md", "vi/vai-tro.md"])
def test_each_role_is_told_in_both_languages(path: str) -> None:
    assert all(f"| `{role}` |" in _page(path) for role in Role)


def test_each_authority_rule_and_its_source_are_told() -> None:
    page = _page("en/authority.md")
    assert all(rule.source in page for rule in authority.RULES)
    assert all(f"`authority.{name}`" in page for name in authority.RULE_NAMES)
    assert all(f"`{rank}`" in page for rank in RANK_ORDER)
    assert written(preserve.LONGEST) in page


def test_the_operators_guide_names_each_setting_metric_and_fault() -> None:
    page = _page("en/operator.md")
    settings = [f"`HOATOC_{name.upper()}`" for name in Settings.model_fields]
    # As they are scraped: of a name that is not, no alarm ever fires.
    names = [
        f"`{family.name}_total`" if family.type == "counter" else f"`{family.name}`"
        for family in metrics.REGISTRY.collect()
    ]
    events = [f"`{event}`" for event in metrics.ERROR_EVENTS]
    sources = [
        (ROOT / "service" / path).read_text("utf-8")
        for path in ("engine/node.py", "engine/auditor.py", "api/health.py")
    ]
    faults = re.findall(r'(?:append\(|^ {12})"([a-z]+\.[a-z_]+)"', "\n".join(sources), re.MULTILINE)
    assert len(faults) >= 9
    assert [
        name for name in [*settings, *names, *events, *(f"`{fault}`" for fault in faults)] if name not in page
    ] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT)
        assert page.parent == ROOT or target.is_relative_to(BOOK), (
            f"{page.name}: {link} is not shipped with the handbook"
        )
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, link


def test_decisions_are_numbered_without_a_gap_and_have_one_form() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 10
    index = _page("decisions/README.md")
    for path in DECISIONS:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert re.search(r"^Date: \d{4}-\d{2}-\d{2} · Status: (accepted|superseded by \d{4})$", text, re.MULTILINE), (
            path.name
        )
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(_SECTIONS), path.name
        assert f"]({path.name})" in index


def test_each_page_is_found_from_its_index() -> None:
    for folder in ("en", "vi"):
        index = _page(f"{folder}/README.md")
        others = [page.name for page in (BOOK / folder).glob("*.md") if page.name != "README.md"]
        assert others
        assert [name for name in others if f"]({name}" not in index] == []


def test_the_handbooks_example_takes_what_the_hub_signs_and_nothing_else() -> None:
    """The fifteen lines that a bank copies are executed here."""
    code = re.search(r"```python\n(.+?)```", _page("en/quickstart-participant.md"), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec(code[1], names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    secret, other, now, body = signing.new_secret(), signing.new_secret(), int(time.time()), '{"số": 1}'.encode()

    def headers(*secrets: str, at: int = now) -> dict[str, str]:
        signature = signing.sign(secrets, "msg_1", at, body)
        return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}

    assert is_genuine([secret], headers(secret), body)
    assert is_genuine([secret], headers(other, secret), body)
    assert not is_genuine([secret], headers(other), body)
    assert not is_genuine([secret], headers(secret), body + b" ")
    assert not is_genuine([secret], headers(secret, at=now - 301), body)


def test_the_proxy_says_its_own_errors_in_the_hubs_words() -> None:
    text = (BOOK / "proxy" / "haproxy.cfg").read_text("utf-8")
    told = [json.loads(each) for each in re.findall(r"string '(\{.+\})'", text)]
    assert {each["status"] for each in told} == {400, 404, 408, 413, 429, 502, 503, 504}
    assert told == [problems.document(each["status"], each["code"]) for each in told]
