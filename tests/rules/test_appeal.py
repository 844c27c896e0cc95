"""Appeals by the rules alone: what may be contested, each move, both clocks, and who may decide."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import appeal, deadlines, policy
from workflows.authority import AuthorityRefused
from workflows.authority_rules import Power
from workflows.states import IllegalMove
from workflows.terms import Action, AppealReason, AppealState, OrderState, Reach, Stage
from workflows.working_hours import VIETNAM, Calendar, is_working_day, working_days_end

# A made-up year with the New Year, Tết from 14 to 22 February and one make-up Saturday in it.
CALENDAR = Calendar(
    holidays=frozenset({date(2026, 1, 1), *(date(2026, 2, day) for day in range(14, 23))}),
    workdays=frozenset({date(2026, 8, 22)}),
    known_from=date(2026, 1, 1),
    known_to=date(2026, 12, 31),
)


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=VIETNAM)  # type: ignore[misc]


@pytest.mark.parametrize(("action", "state"), [*itertools.product(Action, OrderState)])
def test_only_what_is_held_now_can_be_contested(action: Action, state: OrderState) -> None:
    holds = action in {Action.FREEZE, Action.TAKEDOWN} and state is OrderState.EXECUTED
    assert appeal.is_contestable(action, state, False) is holds
    assert not appeal.is_contestable(action, state, True)


ALLOWED = {
    (AppealState.FILED, AppealState.ANSWERED),
    (AppealState.FILED, AppealState.UPHELD),
    (AppealState.FILED, AppealState.REJECTED),
    (AppealState.ANSWERED, AppealState.UPHELD),
    (AppealState.ANSWERED, AppealState.REJECTED),
}


@pytest.mark.parametrize(("state", "to"), [*itertools.product(AppealState, AppealState)])
def test_each_move_of_an_appeal_is_allowed_or_refused(state: AppealState, to: AppealState) -> None:
    if (state, to) in ALLOWED:
        assert appeal.advance(state, to) is to
    else:
        with pytest.raises(IllegalMove):
            appeal.advance(state, to)


def test_each_state_is_open_or_decided_and_each_reason_goes_with_one_outcome() -> None:
    assert frozenset(AppealState) == appeal.OPEN | appeal.DECIDED and not appeal.OPEN & appeal.DECIDED
    assert appeal.REASONS.keys() == appeal.DECIDED
    upheld, rejected = (appeal.REASONS[outcome] for outcome in (AppealState.UPHELD, AppealState.REJECTED))
    assert upheld | rejected == frozenset(AppealReason) and not upheld & rejected


@pytest.mark.parametrize(
    ("filed_at", "due_at"),
    [
        # Tuesday morning: the whole of Wednesday. The day of filing is not counted.
        (local(2026, 11, 24, 9), local(2026, 11, 26)),
        (local(2026, 11, 24, 23, 59), local(2026, 11, 26)),
        # Friday evening, Saturday and Sunday: Monday.
        (local(2026, 11, 27, 18), local(2026, 12, 1)),
        (local(2026, 11, 28, 12), local(2026, 12, 1)),
        # The last day before Tết: the first Monday after it.
        (local(2026, 2, 13, 10), local(2026, 2, 24)),
        # A Saturday that is worked to make up for a holiday.
        (local(2026, 8, 21, 10), local(2026, 8, 23)),
    ],
)
def test_a_decision_is_due_when_the_next_working_day_is_over(filed_at: datetime, due_at: datetime) -> None:
    assert appeal.decision_due(filed_at, CALENDAR) == due_at.astimezone(UTC)


@pytest.mark.parametrize(
    ("filed_at", "due_at"),
    [
        (local(2026, 12, 31, 10), local(2027, 1, 2)),
        (local(2027, 3, 1, 10), local(2027, 3, 3)),
        (local(2025, 3, 1, 10), local(2025, 3, 3)),
        # Filed on a day that it does not know, before a holiday that it knows.
        (local(2025, 12, 31, 10), local(2026, 1, 3)),
    ],
)
def test_a_day_that_the_calendar_does_not_know_counts_as_a_working_day(filed_at: datetime, due_at: datetime) -> None:
    assert appeal.decision_due(filed_at, CALENDAR) == due_at.astimezone(UTC)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
def test_every_appeal_has_at_least_a_day_and_is_due_at_midnight_in_vietnam(naive: datetime) -> None:
    filed_at = naive.replace(tzinfo=UTC)
    due = appeal.decision_due(filed_at, CALENDAR)
    assert timedelta(days=1) < due - filed_at <= timedelta(days=12)
    assert due.astimezone(VIETNAM).time().isoformat() == "00:00:00"
    last = (due - timedelta(seconds=1)).astimezone(VIETNAM).date()
    if CALENDAR.known_from <= last <= CALENDAR.known_to:
        assert is_working_day(last, CALENDAR)
    if CALENDAR.known_from <= filed_at.astimezone(VIETNAM).date() and last <= CALENDAR.known_to:
        assert due == working_days_end(filed_at, 1, CALENDAR)
    assert appeal.decision_due(filed_at, CALENDAR) > filed_at + appeal.ANSWER_WITHIN


def test_an_appeal_without_a_time_zone_starts_no_clock() -> None:
    with pytest.raises(ValueError, match="aware"):
        appeal.decision_due(datetime(2026, 11, 24, 9), CALENDAR)  # noqa: DTZ001


POWERS = frozenset({Power.APPROVE})


@pytest.mark.parametrize(
    ("rule", "officer", "powers", "active"),
    [
        ("same_officer", "maker", POWERS, True),
        ("power_missing", "second", frozenset({Power.ORDER, Power.EMERGENCY}), True),
        ("power_missing", "second", frozenset(), True),
        ("officer_inactive", "second", POWERS, False),
    ],
)
def test_who_may_not_decide_is_told_which_rule_says_so(
    rule: str, officer: str, powers: frozenset[Power], active: bool
) -> None:
    with pytest.raises(AuthorityRefused) as refused:
        appeal.check_decider(officer, filed_by="maker", powers=powers, officer_active=active)
    assert refused.value.rule == rule


def test_another_officer_who_may_approve_decides_whatever_his_rank() -> None:
    appeal.check_decider("second", filed_by="maker", powers=POWERS, officer_active=True)


@pytest.mark.parametrize("name", policy.SHIPPED)
@pytest.mark.parametrize("stage", [Stage.APPEAL_ANSWER, Stage.APPEAL_DECISION])
def test_a_missed_clock_calls_the_agency_then_the_coordinator_then_whoever_stands_above(
    name: str, stage: Stage
) -> None:
    shipped = policy.loads(name)
    ladder = policy.rungs(shipped, None, None, stage)
    assert [set(rung.reach) for rung in ladder] == [
        {Reach.AGENCY},
        {Reach.AGENCY, Reach.COORDINATOR},
        {Reach.COORDINATOR, Reach.SUPERVISOR},
    ]


def test_nobody_is_called_about_an_appeal_before_it_is_late() -> None:
    shipped = policy.loads("vn-default")
    answer = policy.rungs(shipped, None, None, Stage.APPEAL_ANSWER, within=appeal.ANSWER_WITHIN)
    assert answer[0].after == appeal.ANSWER_WITHIN
    for hours in (24, 31, 48, 240):
        within = timedelta(hours=hours)
        ladder = policy.rungs(shipped, None, None, Stage.APPEAL_DECISION, within=within)
        assert [rung.after - within for rung in ladder] == [timedelta(hours=late) for late in (0, 4, 12)]


def test_the_demo_decides_in_seconds() -> None:
    demo = policy.loads("demo-seconds")
    for stage in (Stage.APPEAL_ANSWER, Stage.APPEAL_DECISION):
        within = deadlines.within(stage, timedelta(days=1), overrides=demo.limit_overrides)
        assert within <= timedelta(seconds=30)
        assert policy.rungs(demo, None, None, stage, within=within)[0].after == within
