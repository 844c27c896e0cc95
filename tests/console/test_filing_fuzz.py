"""Whatever an officer types into whichever question, the pages of filing read it, judge it and show it again."""

from hypothesis import example, given
from hypothesis import strategies as st

from service import i18n
from service.console.filing import body, steps, words, wrong
from service.console.papers import Reading
from workflows.terms import Action

FIELDS = (
    *("urgency", "measure", "asked.x", "window.since", "window.until", "extent", "amount", "whole_account.reason"),
    *("payment.reference", "payment.sent_on", "case_number", "legal_basis", "province_code", "until", "ends_at"),
    *("reason", "document.number", "document.date", "document.sha256"),
    *("contact.name", "contact.phone", "contact.email"),
    *(f"targets.{place}.{name}" for place in (0, 7, 999) for name in ("kind", "value", "at", "holder_name", "sha256")),
)
DIGITS = st.builds(lambda digit, count: digit * count, st.sampled_from("019٣²"), st.integers(1, 5_000))
TIMES = st.sampled_from(
    ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00", "9999-12-31T23:59:59-14:00", "00:00 01/01/0001", "31/02/2026")
)
CODES = st.sampled_from(("amount", "whole", "named", "default", "account", "content", "phone", "domain"))
TYPED = st.one_of(DIGITS, TIMES, CODES, st.text(max_size=40))
# The hours at both ends of what there is, which no other zone has.
FIRST = {"window.since": "0001-01-01T00:00:00+14:00", "window.until": "9999-12-31T23:59:59-14:00"}


@given(st.sampled_from((*steps.ACTIONS, *steps.FOLLOW_UPS)), st.dictionaries(st.sampled_from(FIELDS), TYPED))
@example(Action.TRACE, FIRST)
@example(Action.FREEZE, {"extent": "amount", "amount": "9" * 5_000})
def test_no_answer_breaks_a_page(action: Action, typed: dict[str, str]) -> None:
    answers = {"action": str(action), **{name: body.kept(name, value) for name, value in typed.items()}}
    made = body.build(answers, "maker")
    for lang in i18n.LANGUAGES:
        for each in wrong.shape(answers, made, action, lang):
            assert each.text and each.step in steps.order(action), each
        rows = words.rows(answers, made, Reading(lang, str), None)
        assert {row.step for row in rows} <= set(steps.order(action))
