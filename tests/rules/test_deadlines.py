"""Time limits of the default profile, which override wins, and the instants that come of them."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import deadlines, disclose, extend, freeze, lift, preserve, recall, takedown, trace
from workflows.deadlines import Limit, LimitOverride
from workflows.terms import MONEY_TARGETS, Action, LegalBasis, Measure, Sector, Stage, TargetKind, Urgency

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STAGES = (Stage.RECEIPT, Stage.ACKNOWLEDGE, Stage.EXECUTE)
AWARE = st.timedeltas(timedelta(0), timedelta(days=7300)).map(datetime(2020, 1, 1, tzinfo=UTC).__add__)
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=366))
DURATIONS = st.integers(1, 10**6).map(lambda seconds: timedelta(seconds=seconds))
OVERRIDES = st.builds(
    LimitOverride,
    stage=st.sampled_from(STAGES),
    within=DURATIONS,
    action=st.sampled_from([None, Action.FREEZE, Action.LIFT]),
    target_kind=st.sampled_from([None, TargetKind.ACCOUNT, TargetKind.CARD]),
    participant_id=st.sampled_from([None, "bank_a", "bank_b"]),
    legal_basis=st.sampled_from([None, LegalBasis.DECREE_52_11, LegalBasis.EMERGENCY]),
)


def execute_within(
    action: Action, kind: TargetKind, sector: Sector, *, measure: Measure | None = None, intimate: bool = False
) -> timedelta:
    limits = deadlines.limits_for(action, kind, sector, measure=measure, intimate=intimate)
    return {limit.stage: limit.within for limit in limits}[Stage.EXECUTE]


@pytest.mark.parametrize(
    ("action", "kind", "sector", "expected"),
    [
        (Action.FREEZE, TargetKind.ACCOUNT, Sector.BANK, 10 * MINUTE),
        (Action.FREEZE, TargetKind.WALLET, Sector.WALLET, 10 * MINUTE),
        (Action.FREEZE, TargetKind.CARD, Sector.BANK, 10 * MINUTE),
        (Action.LIFT, TargetKind.ACCOUNT, Sector.BANK, 5 * MINUTE),
        (Action.EXTEND, TargetKind.ACCOUNT, Sector.BANK, HOUR),
        (Action.PRESERVE, TargetKind.CONTENT, Sector.PLATFORM, HOUR),
        (Action.RECALL, TargetKind.ACCOUNT, Sector.BANK, 10 * MINUTE),
        (Action.RECALL, TargetKind.WALLET, Sector.WALLET, 10 * MINUTE),
        (Action.DISCLOSE, TargetKind.ACCOUNT, Sector.BANK, 24 * HOUR),
        (Action.TRACE, TargetKind.ACCOUNT, Sector.BANK, 5 * MINUTE),
        (Action.TRACE, TargetKind.WALLET, Sector.WALLET, 5 * MINUTE),
        (Action.DISCLOSE, TargetKind.SOCIAL_ACCOUNT, Sector.PLATFORM, 24 * HOUR),
        (Action.DISCLOSE, TargetKind.DOMAIN, Sector.REGISTRAR, 24 * HOUR),
        (Action.TAKEDOWN, TargetKind.PHONE, Sector.TELECOM, 10 * MINUTE),
        (Action.TAKEDOWN, TargetKind.SMS_SENDER, Sector.TELECOM, 30 * MINUTE),
        (Action.TAKEDOWN, TargetKind.DOMAIN, Sector.ISP, HOUR),
        (Action.TAKEDOWN, TargetKind.URL, Sector.ISP, HOUR),
        (Action.TAKEDOWN, TargetKind.DOMAIN, Sector.REGISTRAR, 6 * HOUR),
        (Action.TAKEDOWN, TargetKind.URL, Sector.PLATFORM, 3 * HOUR),
        (Action.TAKEDOWN, TargetKind.DOMAIN, Sector.PLATFORM, 3 * HOUR),
        (Action.TAKEDOWN, TargetKind.CONTENT, Sector.PLATFORM, 3 * HOUR),
        (Action.TAKEDOWN, TargetKind.SOCIAL_ACCOUNT, Sector.PLATFORM, 3 * HOUR),
        (Action.TAKEDOWN, TargetKind.EMAIL, Sector.PLATFORM, 24 * HOUR),
    ],
)
def test_the_default_profile_gives_each_sector_its_time_to_execute(
    action: Action, kind: TargetKind, sector: Sector, expected: timedelta
) -> None:
    assert execute_within(action, kind, sector) == expected


def test_an_account_lock_has_the_legal_day_and_intimate_content_two_hours() -> None:
    social, content = TargetKind.SOCIAL_ACCOUNT, TargetKind.CONTENT
    assert execute_within(Action.TAKEDOWN, social, Sector.PLATFORM, measure=Measure.SUSPEND) == 24 * HOUR
    assert execute_within(Action.TAKEDOWN, content, Sector.PLATFORM, intimate=True) == 2 * HOUR
    assert execute_within(Action.TAKEDOWN, TargetKind.DOMAIN, Sector.ISP, intimate=True) == HOUR


def test_content_filed_as_hoa_toc_has_one_hour_and_money_is_no_faster_for_it() -> None:
    for kind, sector, expected in (
        (TargetKind.CONTENT, Sector.PLATFORM, HOUR),
        (TargetKind.URL, Sector.PLATFORM, 3 * HOUR),
        (TargetKind.PHONE, Sector.TELECOM, 10 * MINUTE),
    ):
        limits = deadlines.limits_for(Action.TAKEDOWN, kind, sector, urgency=Urgency.HOA_TOC)
        assert limits[-1] == Limit(Stage.EXECUTE, expected)


@pytest.mark.parametrize("urgency", Urgency)
def test_a_disclosure_marked_hoa_toc_has_three_hours_and_nothing_else_has(urgency: Urgency) -> None:
    limits = deadlines.limits_for(Action.DISCLOSE, TargetKind.PHONE, Sector.TELECOM, urgency=urgency)
    expected = 3 * HOUR if urgency is Urgency.HOA_TOC else 24 * HOUR
    assert limits[-1] == Limit(Stage.EXECUTE, expected)


TARGETS_OF = {
    Action.FREEZE: freeze.TARGETS,
    Action.LIFT: lift.TARGETS,
    Action.EXTEND: extend.TARGETS,
    Action.TAKEDOWN: takedown.TARGETS,
    Action.PRESERVE: preserve.TARGETS,
    Action.RECALL: recall.TARGETS,
    Action.DISCLOSE: disclose.TARGETS,
    Action.TRACE: trace.TARGETS,
}


@pytest.mark.parametrize("sector", Sector)
@pytest.mark.parametrize("intimate", [True, False])
@pytest.mark.parametrize("urgency", Urgency)
def test_every_order_has_the_three_stages_each_longer_than_the_one_before(
    sector: Sector, intimate: bool, urgency: Urgency
) -> None:
    for action, kinds in TARGETS_OF.items():
        for kind in kinds:
            for measure in (None, *Measure):
                limits = deadlines.limits_for(action, kind, sector, measure=measure, intimate=intimate, urgency=urgency)
                assert tuple(limit.stage for limit in limits) == STAGES
                assert timedelta(0) < limits[0].within < limits[1].within < limits[2].within


def test_a_lift_is_faster_than_the_freeze_was() -> None:
    assert lift.TIME_LIMITS[Stage.EXECUTE] < freeze.TIME_LIMITS[Stage.EXECUTE]


def test_money_is_frozen_and_everything_else_is_taken_down() -> None:
    assert freeze.TARGETS == extend.TARGETS == MONEY_TARGETS
    assert set(TargetKind) == takedown.TARGETS | MONEY_TARGETS
    assert not takedown.TARGETS & MONEY_TARGETS
    assert set(TargetKind) == preserve.TARGETS == lift.TARGETS


def test_each_target_of_a_takedown_has_a_measure_and_no_phone_number_can_be_removed() -> None:
    assert set(takedown.MEASURES) == takedown.TARGETS
    assert all(takedown.MEASURES.values())
    assert Measure.REMOVE not in takedown.MEASURES[TargetKind.PHONE]


def test_only_provisional_takedowns_of_one_kind_have_a_default_length() -> None:
    phone, page = frozenset({TargetKind.PHONE}), frozenset({TargetKind.SOCIAL_ACCOUNT})
    assert takedown.default_length(phone, Measure.BLOCK) == timedelta(days=7)
    assert takedown.default_length(page, Measure.SUSPEND) == timedelta(days=7)
    assert takedown.default_length(page, Measure.REMOVE) is None
    assert takedown.default_length(phone, None) is None
    assert takedown.default_length(phone | page, Measure.BLOCK) is None
    assert takedown.default_length(frozenset({TargetKind.DOMAIN}), Measure.BLOCK) is None


def test_every_action_says_how_long_received_keeps_the_clock_quiet() -> None:
    assert set(deadlines.ACKNOWLEDGEMENT_VALID_FOR) == set(Action)
    assert all(length > timedelta(0) for length in deadlines.ACKNOWLEDGEMENT_VALID_FOR.values())


BASIS = LegalBasis.DECREE_52_11
LADDER_OF_OVERRIDES = (  # each one beats all those before it
    LimitOverride(Stage.EXECUTE, 1 * MINUTE),
    LimitOverride(Stage.EXECUTE, 2 * MINUTE, action=Action.FREEZE),
    LimitOverride(Stage.EXECUTE, 3 * MINUTE, target_kind=TargetKind.ACCOUNT),
    LimitOverride(Stage.EXECUTE, 4 * MINUTE, action=Action.FREEZE, target_kind=TargetKind.ACCOUNT),
    LimitOverride(Stage.EXECUTE, 5 * MINUTE, legal_basis=BASIS),
    LimitOverride(Stage.EXECUTE, 6 * MINUTE, participant_id="bank_a"),
    LimitOverride(Stage.EXECUTE, 7 * MINUTE, participant_id="bank_a", legal_basis=BASIS),
)


def freeze_at_bank_a(overrides: tuple[LimitOverride, ...]) -> dict[Stage, timedelta]:
    limits = deadlines.limits_for(
        Action.FREEZE,
        TargetKind.ACCOUNT,
        Sector.BANK,
        participant_id="bank_a",
        legal_basis=BASIS,
        overrides=overrides,
    )
    return {limit.stage: limit.within for limit in limits}


def test_the_most_specific_override_wins_whatever_the_order_they_stand_in() -> None:
    for size in range(1, len(LADDER_OF_OVERRIDES) + 1):
        winner = LADDER_OF_OVERRIDES[size - 1]
        for pair in permutations(LADDER_OF_OVERRIDES[:size], min(size, 3)):
            if winner in pair:
                assert freeze_at_bank_a(pair)[Stage.EXECUTE] == winner.within


def test_of_two_equal_overrides_the_later_wins() -> None:
    twins = (LimitOverride(Stage.EXECUTE, 3 * MINUTE), LimitOverride(Stage.EXECUTE, 2 * MINUTE))
    assert freeze_at_bank_a(twins)[Stage.EXECUTE] == 2 * MINUTE


@given(st.lists(OVERRIDES, max_size=8))
def test_an_override_for_somebody_else_changes_nothing(rows: list[LimitOverride]) -> None:
    def fits(row: LimitOverride) -> bool:
        return (
            row.action in (None, Action.FREEZE)
            and row.target_kind in (None, TargetKind.ACCOUNT)
            and row.participant_id in (None, "bank_a")
            and row.legal_basis in (None, BASIS)
        )

    fitting = tuple(row for row in rows if fits(row))
    found = freeze_at_bank_a(tuple(rows))
    assert found == freeze_at_bank_a(fitting)
    for stage, within in found.items():
        possible = [row.within for row in fitting if row.stage is stage] or [freeze.TIME_LIMITS[stage]]
        assert within in possible


def test_without_overrides_the_profile_stands() -> None:
    assert freeze_at_bank_a(()) == dict(freeze.TIME_LIMITS)


def test_the_hubs_own_clocks_are_overridden_the_same_way() -> None:
    rows = (LimitOverride(Stage.REVIEW, MINUTE), LimitOverride(Stage.APPROVAL, HOUR))
    assert deadlines.within(Stage.REVIEW, 2 * HOUR, overrides=rows) == MINUTE
    assert deadlines.within(Stage.TASK, deadlines.TASK_WITHIN, overrides=rows) == deadlines.TASK_WITHIN


@given(AWARE, DURATIONS, st.integers(-14, 14))
def test_a_due_instant_is_utc_and_exactly_the_limit_after_the_start(start: datetime, length: timedelta, h: int) -> None:
    local = start.astimezone(timezone(timedelta(hours=h)))
    due = deadlines.due(Limit(Stage.EXECUTE, length), local)
    assert due.tzinfo is UTC
    assert due - start == length


@given(AWARE, LENGTHS, LENGTHS, LENGTHS)
def test_a_later_start_or_a_longer_limit_is_never_due_earlier(
    start: datetime, later: timedelta, short: timedelta, more: timedelta
) -> None:
    first = deadlines.due(Limit(Stage.EXECUTE, short), start)
    assert first <= deadlines.due(Limit(Stage.EXECUTE, short), start + later)
    assert first <= deadlines.due(Limit(Stage.EXECUTE, short + more), start)


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        deadlines.due(Limit(Stage.RECEIPT, MINUTE), datetime(2026, 3, 2, 9))  # noqa: DTZ001 - the point of the test


def test_the_warning_comes_twelve_hours_before_the_end_unless_the_hold_is_shorter() -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert deadlines.end_warning(start, start + 72 * HOUR) == start + 60 * HOUR
    assert deadlines.end_warning(start, start + 12 * HOUR) is None
    assert deadlines.end_warning(start, start + 5 * MINUTE, before=MINUTE) == start + 4 * MINUTE


def test_a_deadline_over_tet_is_not_moved_because_these_clocks_run_day_and_night() -> None:
    eve = datetime(2026, 2, 16, 16, 55, tzinfo=UTC)
    limits = deadlines.limits_for(Action.FREEZE, TargetKind.ACCOUNT, Sector.BANK)
    dues = [deadlines.due(limit, eve) - eve for limit in limits]
    assert dues == [MINUTE, 5 * MINUTE, 10 * MINUTE]
