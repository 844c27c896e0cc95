"""Bounds: what an officer, an agency and a pair may set in motion in an hour, and what is usual for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import i18n
from workflows import bounds, policy
from workflows.bounds import Bound, Excess, Load, Usual
from workflows.table import PolicyInvalid
from workflows.terms import Action, BoundKind, BoundSubject

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
LONG = NOW - timedelta(days=30)
HOLDS = BoundKind.HOLDS
OFFICER, AGENCY, PAIR = BoundSubject.OFFICER, BoundSubject.AGENCY, BoundSubject.PAIR
BILLION = 1_000_000_000


def judged(
    seen: dict[BoundSubject, Load],
    amount: int = 0,
    *own: Bound,
    targets: int = 1,
    kind: BoundKind = HOLDS,
    usual: dict[BoundSubject, Usual] | None = None,
) -> tuple[Excess, ...]:
    limits = {subject: bounds.limit(own, subject, kind, (usual or {}).get(subject), NOW) for subject in seen}
    return bounds.excess(limits, seen, Load(targets, amount))


@pytest.mark.parametrize(
    ("subject", "count", "amount"),
    [(OFFICER, 20, 10 * BILLION), (AGENCY, 100, 50 * BILLION), (PAIR, 20, 10 * BILLION)],
)
@pytest.mark.parametrize("kind", BoundKind)
def test_the_default_bounds_let_so_much_pass_and_hold_the_next(
    subject: BoundSubject, count: int, amount: int, kind: BoundKind
) -> None:
    assert judged({subject: Load(count - 1, 0)}, kind=kind) == ()
    assert judged({subject: Load(count, 0)}, kind=kind) == (Excess(f"{subject}_count"),)
    assert judged({subject: Load(0, amount - 5)}, 5, kind=kind) == ()
    assert judged({subject: Load(0, amount - 5)}, 6, kind=kind) == (Excess(f"{subject}_amount"),)
    assert judged({subject: Load(count, amount)}, 1, kind=kind) == (
        Excess(f"{subject}_count"),
        Excess(f"{subject}_amount"),
    )


def test_a_request_of_many_targets_is_as_much_as_many_requests() -> None:
    assert judged({OFFICER: Load(0, 0)}, targets=20) == ()
    assert judged({OFFICER: Load(0, 0)}, targets=21) == (Excess.OFFICER_COUNT,)
    assert judged({OFFICER: Load(11, 0)}, targets=9) == ()
    assert judged({OFFICER: Load(11, 0)}, targets=10) == (Excess.OFFICER_COUNT,)
    assert judged({AGENCY: Load(51, 0)}, targets=50) == (Excess.AGENCY_COUNT,)


def test_what_moves_no_money_is_never_too_much_of_it() -> None:
    assert judged({OFFICER: Load(3, 11 * BILLION)}, 0) == ()


def test_each_subject_is_judged_by_itself_and_all_that_are_passed_are_named() -> None:
    seen = {OFFICER: Load(20, 0), AGENCY: Load(20, 0), PAIR: Load(20, 0)}
    assert judged(seen) == (Excess.OFFICER_COUNT, Excess.PAIR_COUNT)
    seen = {OFFICER: Load(1, 0), AGENCY: Load(100, 50 * BILLION), PAIR: Load(1, 0)}
    assert judged(seen, 1) == (Excess.AGENCY_COUNT, Excess.AGENCY_AMOUNT)


def test_a_week_of_history_tightens_a_bound_to_three_times_what_is_usual() -> None:
    usual = Usual(Load(3, 2 * BILLION), LONG)
    assert bounds.limit((), OFFICER, HOLDS, usual, NOW) == Load(9, 6 * BILLION)
    assert judged({OFFICER: Load(8, 0)}, usual={OFFICER: usual}) == ()
    assert judged({OFFICER: Load(9, 0)}, usual={OFFICER: usual}) == (Excess.OFFICER_COUNT,)
    assert judged({OFFICER: Load(0, 0)}, 6 * BILLION + 1, usual={OFFICER: usual}) == (Excess.OFFICER_AMOUNT,)


def test_what_is_usual_never_loosens_a_bound() -> None:
    usual = Usual(Load(40, 90 * BILLION), LONG)
    assert bounds.limit((), OFFICER, HOLDS, usual, NOW) == Load(20, 10 * BILLION)


def test_less_than_a_week_tells_nothing_yet() -> None:
    usual = Usual(Load(1, 1), NOW - timedelta(days=7) + timedelta(seconds=1))
    assert bounds.limit((), OFFICER, HOLDS, usual, NOW) == Load(20, 10 * BILLION)
    usual = Usual(Load(1, 1), NOW - timedelta(days=7))
    assert bounds.limit((), OFFICER, HOLDS, usual, NOW) == Load(bounds.FLOOR_COUNT, bounds.FLOOR_AMOUNT)


@given(st.integers(0, 10**6), st.integers(0, 10**15), st.sampled_from(BoundSubject), st.sampled_from(BoundKind))
def test_a_learned_bound_stays_between_the_floor_and_the_default(
    count: int, amount: int, subject: BoundSubject, kind: BoundKind
) -> None:
    most = bounds.limit((), subject, kind, None, NOW)
    found = bounds.limit((), subject, kind, Usual(Load(count, amount), LONG), NOW)
    assert bounds.FLOOR_COUNT <= found.count <= most.count
    assert bounds.FLOOR_AMOUNT <= found.amount <= most.amount


def test_a_policy_bounds_each_kind_or_one_of_them() -> None:
    own = (Bound(OFFICER, 5), Bound(OFFICER, 7, kind=BoundKind.LIFTS), Bound(AGENCY, amount=3))
    assert bounds.limit(own, OFFICER, HOLDS, None, NOW) == Load(5, 10 * BILLION)
    assert bounds.limit(own, OFFICER, BoundKind.LIFTS, None, NOW) == Load(7, 10 * BILLION)
    assert bounds.limit(tuple(reversed(own)), OFFICER, BoundKind.LIFTS, None, NOW) == Load(7, 10 * BILLION)
    assert bounds.limit(own, AGENCY, HOLDS, None, NOW) == Load(100, 3)
    assert bounds.limit(own, PAIR, HOLDS, None, NOW) == Load(20, 10 * BILLION)


def test_only_a_policy_can_say_that_there_is_no_bound() -> None:
    endless = (Bound(OFFICER, bounds.MOST, bounds.MOST_AMOUNT),)
    assert bounds.limit(endless, OFFICER, HOLDS, None, NOW).is_endless
    assert not bounds.limit(endless, AGENCY, HOLDS, None, NOW).is_endless
    assert not bounds.limit(endless, OFFICER, HOLDS, Usual(Load(0, 0), LONG), NOW).is_endless
    for less in (Bound(OFFICER, bounds.MOST - 1, bounds.MOST_AMOUNT), Bound(OFFICER, bounds.MOST, 10**15 - 1)):
        assert not bounds.limit((less,), OFFICER, HOLDS, None, NOW).is_endless


def test_every_action_is_counted_with_one_kind() -> None:
    kinds = {action: bounds.kind_of(action) for action in Action}
    assert kinds[Action.EXTEND] is kinds[Action.PRESERVE] is kinds[Action.RECALL] is kinds[Action.FREEZE] is HOLDS
    for kind in BoundKind:
        assert {action for action in Action if kinds[action] is kind} == set(bounds.actions_of(kind))


def test_a_pair_has_one_name_whoever_of_them_filed() -> None:
    assert bounds.pair("b-2", "a.1") == bounds.pair("a.1", "b-2") == "a.1+b-2"
    assert len(bounds.pair("a" * 64, "b" * 64)) <= 130


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([], 0),
        ([4], 4),
        ([1, 9, 2], 9),
        (list(range(1, 100)), 99),
        (list(range(1, 101)), 99),
        ([1] * 990 + [7] * 10, 1),
    ],
)
def test_the_99th_percentile_is_the_nearest_rank(hours: list[int], expected: int) -> None:
    assert bounds.percentile(hours) == expected


ROWS: list[dict[str, Any]] = [
    {"subject": "officer", "count": 3, "amount": 5 * BILLION},
    {"subject": "officer", "kind": "lifts", "count": 9},
    {"subject": "pair", "amount": 10**15},
]


def test_a_policys_bounds_are_read_and_written_the_same() -> None:
    read = bounds.read(ROWS)
    assert read == (
        Bound(OFFICER, 3, 5 * BILLION),
        Bound(OFFICER, 9, kind=BoundKind.LIFTS),
        Bound(PAIR, amount=10**15),
    )
    assert bounds.written(read) == ROWS
    shipped = policy.to_snapshot(policy.loads("vn-default"))
    own = policy.from_snapshot({**shipped, "bounds": ROWS})
    assert own.bounds == read
    assert policy.to_snapshot(own)["bounds"] == ROWS
    # What was filed before there were bounds has a snapshot without them.
    assert policy.from_snapshot({name: value for name, value in shipped.items() if name != "bounds"}).bounds == ()


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"count": 3}, "bounds[0].subject"),
        ({"subject": "bank", "count": 3}, "bounds[0].subject"),
        ({"subject": "officer"}, "bounds[0]"),
        ({"subject": "officer", "count": 0}, "bounds[0].count"),
        ({"subject": "officer", "count": True}, "bounds[0].count"),
        ({"subject": "officer", "count": 1_000_001}, "bounds[0].count"),
        ({"subject": "officer", "amount": "5"}, "bounds[0].amount"),
        ({"subject": "officer", "amount": 10**15 + 1}, "bounds[0].amount"),
        ({"subject": "officer", "count": 3, "kind": "freezes"}, "bounds[0].kind"),
        ({"subject": "officer", "count": 3, "per": "h"}, "bounds[0].per"),
        (7, "bounds[0]"),
    ],
)
def test_a_wrong_bound_is_named(row: Any, key: str) -> None:
    with pytest.raises(PolicyInvalid) as invalid:
        bounds.read([row])
    assert invalid.value.key == key


def test_two_bounds_for_the_same_are_refused() -> None:
    with pytest.raises(PolicyInvalid) as invalid:
        bounds.read([{"subject": "officer", "count": 3}, {"subject": "officer", "amount": 3}])
    assert invalid.value.key == "bounds[1]"


def test_every_excess_is_a_subject_and_a_measure_and_has_its_words() -> None:
    assert set(Excess) == {f"{subject}_{measure}" for subject in BoundSubject for measure in ("count", "amount")}
    assert all(i18n.term(excess, lang) for excess in Excess for lang in i18n.LANGUAGES)
