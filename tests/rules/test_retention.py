"""The retention rules: terms of calendar months and days, what is over and what is not, and their data."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import retention
from workflows.record_terms import Fate, RecordKind
from workflows.retention import Term

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(), timedelta(days=25_000)).map(lambda age: EPOCH + age)
TERMS = st.builds(Term, months=st.integers(0, 600), days=st.integers(0, 18_300)).filter(lambda term: term != Term())


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("P24M", datetime(2026, 11, 29, 12, tzinfo=UTC), datetime(2028, 11, 29, 12, tzinfo=UTC)),
        ("P1M", datetime(2027, 1, 31, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC)),
        ("P1M", datetime(2028, 1, 31, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
        ("P12M", datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 2, 28, tzinfo=UTC)),
        ("P90D", datetime(2026, 11, 29, tzinfo=UTC), datetime(2027, 2, 27, tzinfo=UTC)),
        ("P1M15D", datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 2, 15, tzinfo=UTC)),
    ],
)
def test_a_term_counts_calendar_months_and_days(text: str, start: datetime, end: datetime) -> None:
    assert Term.read(text).after(start) == end and Term.read(text).written() == text


@pytest.mark.parametrize("text", ["", "P", "90", "P0D", "P-1D", "P1Y", "PT1H", "P601M", "P18301D", "P1M ", "p1m"])
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"years|writes"):
        Term.read(text)


@given(TERMS, INSTANTS)
def test_nothing_is_over_a_moment_early_nor_kept_a_moment_late(term: Term, ended_at: datetime) -> None:
    end = term.after(ended_at)
    assert end > ended_at
    assert not retention.is_over(term, ended_at, end - timedelta(microseconds=1))
    assert retention.is_over(term, ended_at, end)
    assert not retention.is_over(term, ended_at, end + timedelta(days=9_999), held=True)
    # The bound by which a query narrows what it looks at never leaves out what is over.
    assert ended_at <= term.before(end)


def test_the_shipped_table_is_the_promised_one() -> None:
    assert {kind: (rule.keep.written(), rule.fate) for kind, rule in retention.RULES.items()} == {
        RecordKind.REFUSED_REQUEST: ("P90D", Fate.ERASE),
        RecordKind.ENDED_MEASURE: ("P24M", Fate.ERASE),
        RecordKind.DELIVERY_BODY: ("P90D", Fate.HASH_ONLY),
        RecordKind.OFFICER_NAME: ("P24M", Fate.ERASE),
        RecordKind.DRAFT: ("P7D", Fate.ERASE),
        RecordKind.FACT: ("P25M", Fate.ARCHIVE),
    }
