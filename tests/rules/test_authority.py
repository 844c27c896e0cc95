"""Who may order what: each rule once granting and once refusing, with its boundaries exactly at the cap."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import authority
from workflows.authority import AgencyLevel, AuthorityRefused, Demand, EndBeyondMaximum, EndInPast, Power, Rank
from workflows.authority_rules import RANK_ORDER
from workflows.terms import Action, LegalBasis, Measure, TargetKind, Urgency
from workflows.working_hours import BeyondCalendar, Calendar

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CALENDAR = Calendar(
    frozenset(date(2026, 2, day) for day in range(16, 21)), frozenset(), date(2026, 1, 1), date(2026, 12, 31)
)
BILLION = 1_000_000_000

FREEZE = Demand(
    action=Action.FREEZE,
    basis=LegalBasis.DECREE_52_11,
    target_kinds=frozenset({TargetKind.ACCOUNT}),
    amount=150_000_000,
    whole_account=False,
    rank=Rank.DAI_UY,
    powers=frozenset({Power.ORDER}),
    agency_level=AgencyLevel.WARD,
    agency_province="79",
    target_provinces=frozenset(),
    officer_active=True,
    starts_at=NOW,
    ends_at=NOW + 72 * HOUR,
    now=NOW,
    urgency=Urgency.THUONG_KHAN,
)
AML = replace(FREEZE, basis=LegalBasis.AML_POSTPONEMENT, rank=Rank.THIEU_TA, agency_level=AgencyLevel.PROVINCE)
CPC = replace(FREEZE, basis=LegalBasis.CPC_129, rank=Rank.TRUNG_TA, agency_level=AgencyLevel.PROVINCE)
EMERGENCY = replace(
    FREEZE,
    basis=LegalBasis.EMERGENCY,
    rank=Rank.TRUNG_UY,
    powers=frozenset({Power.EMERGENCY}),
    urgency=Urgency.HOA_TOC,
    ends_at=NOW + 24 * HOUR,
)
TAKEDOWN = replace(
    FREEZE,
    action=Action.TAKEDOWN,
    basis=LegalBasis.DECREE_147,
    target_kinds=frozenset({TargetKind.PHONE, TargetKind.DOMAIN}),
    amount=None,
    ends_at=None,
)
LIFT = replace(FREEZE, action=Action.LIFT, amount=None, ends_at=None)
FIRST_DAY = datetime(2024, 6, 30, 17, tzinfo=UTC)
EXTEND = replace(FREEZE, action=Action.EXTEND, starts_at=NOW - 3 * DAY, ends_at=NOW + 7 * DAY)
PRESERVE = replace(TAKEDOWN, action=Action.PRESERVE, ends_at=NOW + 90 * DAY)


RECALL = replace(FREEZE, action=Action.RECALL, target_kinds=frozenset({TargetKind.ACCOUNT}), ends_at=NOW + DAY)
DISCLOSE = replace(
    FREEZE,
    action=Action.DISCLOSE,
    basis=LegalBasis.CPC_88,
    rank=Rank.THIEU_TA,
    agency_level=AgencyLevel.PROVINCE,
    amount=None,
    target_kinds=frozenset({TargetKind.ACCOUNT, TargetKind.PHONE, TargetKind.DOMAIN}),
    ends_at=NOW + 20 * DAY,
)


TRACE = replace(DISCLOSE, action=Action.TRACE, target_kinds=frozenset({TargetKind.ACCOUNT}), ends_at=NOW + 3 * DAY)


def refusal(demand: Demand) -> AuthorityRefused:
    with pytest.raises(AuthorityRefused) as refused:
        authority.check(demand, CALENDAR)
    return refused.value


def grants(demand: Demand) -> authority.Granted:
    return authority.check(demand, CALENDAR)


# One pair a rule: the refused demand, and the nearest one that is granted.
Pair = tuple[Demand, Demand]
PAIRS: dict[str, list[Pair]] = {
    "basis_not_in_force": [
        (
            replace(FREEZE, now=datetime(2024, 6, 30, 16, 59, tzinfo=UTC)),
            # 1 July 2024 has begun in Vietnam.
            replace(FREEZE, now=FIRST_DAY, starts_at=FIRST_DAY, ends_at=FIRST_DAY + DAY),
        )
    ],
    "action_not_covered": [
        (replace(AML, action=Action.EXTEND), AML),
        (replace(EMERGENCY, action=Action.EXTEND), EMERGENCY),
        (replace(TAKEDOWN, basis=LegalBasis.DECREE_52_11), TAKEDOWN),
        (replace(TAKEDOWN, basis=LegalBasis.EMERGENCY), TAKEDOWN),
        (replace(FREEZE, basis=LegalBasis.DECREE_147), FREEZE),
        (replace(RECALL, basis=LegalBasis.AML_POSTPONEMENT), RECALL),
        (
            replace(EMERGENCY, action=Action.RECALL, target_kinds=frozenset({TargetKind.ACCOUNT})),
            replace(CPC, action=Action.RECALL, target_kinds=frozenset({TargetKind.ACCOUNT}), ends_at=NOW + DAY),
        ),
        (replace(DISCLOSE, basis=LegalBasis.DECREE_52_11), DISCLOSE),
        (replace(DISCLOSE, basis=LegalBasis.CPC_129), DISCLOSE),
        (replace(TRACE, basis=LegalBasis.DECREE_52_11), TRACE),
        (replace(FREEZE, basis=LegalBasis.CPC_88, agency_level=AgencyLevel.PROVINCE), FREEZE),
    ],
    "target_not_covered": [
        (
            replace(FREEZE, target_kinds=frozenset({TargetKind.ACCOUNT, TargetKind.PHONE})),
            replace(FREEZE, target_kinds=frozenset({TargetKind.ACCOUNT, TargetKind.CARD, TargetKind.WALLET})),
        ),
        (
            replace(CPC, target_kinds=frozenset({TargetKind.DOMAIN})),  # evidence about it may be kept, not frozen
            replace(CPC, action=Action.PRESERVE, target_kinds=frozenset({TargetKind.DOMAIN})),
        ),
        (replace(TAKEDOWN, target_kinds=frozenset({TargetKind.ACCOUNT})), TAKEDOWN),
        (replace(PRESERVE, target_kinds=frozenset({TargetKind.ACCOUNT})), PRESERVE),
        (replace(RECALL, target_kinds=frozenset({TargetKind.CARD})), RECALL),
        (replace(DISCLOSE, target_kinds=frozenset({TargetKind.URL})), DISCLOSE),
        (replace(TRACE, target_kinds=frozenset({TargetKind.PHONE})), TRACE),
        (
            replace(DISCLOSE, basis=LegalBasis.DECREE_147, target_kinds=frozenset({TargetKind.ACCOUNT})),
            replace(DISCLOSE, basis=LegalBasis.DECREE_147, target_kinds=frozenset({TargetKind.EMAIL})),
        ),
    ],
    "officer_inactive": [(replace(FREEZE, officer_active=False), FREEZE), (replace(LIFT, officer_active=False), LIFT)],
    "power_missing": [
        (replace(FREEZE, powers=frozenset({Power.APPROVE, Power.EMERGENCY})), FREEZE),
        (replace(EMERGENCY, powers=frozenset({Power.ORDER, Power.APPROVE})), EMERGENCY),
    ],
    "rank_too_low": [
        (replace(FREEZE, rank=Rank.THUONG_UY), FREEZE),
        (replace(AML, rank=Rank.DAI_UY), AML),
        (replace(CPC, rank=Rank.THIEU_TA), CPC),
        (replace(EMERGENCY, rank=Rank.THIEU_UY), EMERGENCY),
        (replace(DISCLOSE, rank=Rank.DAI_UY), DISCLOSE),
        (replace(TRACE, rank=Rank.DAI_UY), TRACE),
        (replace(TAKEDOWN, rank=Rank.THUONG_UY), TAKEDOWN),
        (replace(LIFT, rank=Rank.THUONG_UY), LIFT),
    ],
    "agency_level_not_covered": [
        (replace(AML, agency_level=AgencyLevel.WARD), AML),
        (replace(CPC, agency_level=AgencyLevel.WARD), replace(CPC, agency_level=AgencyLevel.CENTRAL)),
    ],
    "urgency_too_low": [(replace(EMERGENCY, urgency=Urgency.THUONG_KHAN), EMERGENCY)],
    "outside_territory": [
        (replace(FREEZE, target_provinces=frozenset({"01"})), replace(FREEZE, target_provinces=frozenset({"79"}))),
        (
            replace(FREEZE, target_provinces=frozenset({"79", "01"})),
            replace(FREEZE, target_provinces=frozenset({"79", "01"}), agency_level=AgencyLevel.CENTRAL),
        ),
        (
            replace(EMERGENCY, agency_province=None, target_provinces=frozenset({"01"})),
            replace(CPC, agency_province=None, target_provinces=frozenset({"01"})),  # a procedure's order goes anywhere
        ),
    ],
    "whole_account_not_covered": [
        (replace(EMERGENCY, whole_account=True, amount=None), EMERGENCY),
        (replace(CPC, whole_account=True, rank=Rank.DAI_TUONG), CPC),
        (replace(AML, whole_account=True), AML),
    ],
    "whole_account_needs_senior": [
        (
            replace(FREEZE, whole_account=True, amount=None),
            replace(FREEZE, whole_account=True, amount=None, rank=Rank.THIEU_TA),
        ),
        (replace(EXTEND, whole_account=True), replace(EXTEND, whole_account=True, rank=Rank.THIEU_TA)),
    ],
    "amount_missing": [(replace(FREEZE, amount=None), replace(EXTEND, amount=None))],
    "amount_over_cap": [
        (replace(FREEZE, amount=2 * BILLION + 1), replace(FREEZE, amount=2 * BILLION)),
        (
            replace(FREEZE, rank=Rank.TRUNG_TA, amount=20 * BILLION + 1),
            replace(FREEZE, rank=Rank.TRUNG_TA, amount=20 * BILLION),
        ),
        (replace(FREEZE, amount=2 * BILLION + 1), replace(FREEZE, rank=Rank.THIEU_TA, amount=2 * BILLION + 1)),
        (
            replace(FREEZE, rank=Rank.TRUNG_TA, amount=900 * BILLION),
            replace(FREEZE, rank=Rank.THUONG_TA, amount=900 * BILLION),
        ),
        (replace(EMERGENCY, amount=500_000_001), replace(EMERGENCY, amount=500_000_000)),
        (replace(EMERGENCY, rank=Rank.DAI_TUONG, amount=500_000_001), EMERGENCY),
        (replace(EXTEND, amount=2 * BILLION + 1), EXTEND),
    ],
    "end_missing": [(replace(FREEZE, ends_at=None), FREEZE), (replace(PRESERVE, ends_at=None), PRESERVE)],
}
CASES = [(rule, *pair) for rule, pairs in PAIRS.items() for pair in pairs]


@pytest.mark.parametrize(("rule", "refused", "granted"), CASES)
def test_each_rule_refuses_by_its_name_and_grants_the_nearest_demand_that_keeps_it(
    rule: str, refused: Demand, granted: Demand
) -> None:
    assert refusal(refused).rule == rule
    assert grants(granted).rule_name.startswith(granted.basis)


def test_a_basis_without_any_rule_is_unknown() -> None:
    with pytest.raises(AuthorityRefused) as refused:
        authority.check(FREEZE, CALENDAR, rules=())
    assert refused.value.rule == "basis_unknown"
    assert set(LegalBasis) == {rule.basis for rule in authority.RULES}


def test_every_refusal_has_its_name_in_the_list_and_its_own_test() -> None:
    assert set(authority.RULE_NAMES) == {*PAIRS, "basis_unknown", "emergency_in_a_row"}
    assert len(set(authority.RULE_NAMES)) == len(authority.RULE_NAMES)


def test_a_refusal_says_what_would_have_been_allowed() -> None:
    over = refusal(replace(EMERGENCY, amount=500_000_001))
    assert over.params == {"basis": "emergency", "cap": "500000000", "rank": "trung_uy"}
    assert refusal(replace(CPC, rank=Rank.DAI_UY)).params == {"basis": "cpc_129", "rank": "trung_ta"}


def test_the_first_broken_rule_is_the_one_named() -> None:
    assert refusal(replace(FREEZE, rank=Rank.THIEU_UY, amount=999 * BILLION, ends_at=None)).rule == "rank_too_low"


@pytest.mark.parametrize(
    ("demand", "officers"),
    [(FREEZE, 2), (EXTEND, 2), (PRESERVE, 2), (AML, 2), (CPC, 2), (LIFT, 1), (TAKEDOWN, 1), (EMERGENCY, 1)],
)
def test_a_hold_takes_two_officers_and_a_lift_or_takedown_one(demand: Demand, officers: int) -> None:
    assert grants(demand).approvals_needed == officers


def test_only_an_emergency_freeze_is_reviewed_and_within_two_hours() -> None:
    assert grants(EMERGENCY).review_within == 2 * HOUR
    assert all(grants(demand).review_within is None for demand in (FREEZE, AML, CPC, LIFT, EXTEND, PRESERVE, TAKEDOWN))


def test_a_lift_on_the_emergency_basis_needs_neither_that_power_nor_a_review_nor_haste() -> None:
    demand = replace(LIFT, basis=LegalBasis.EMERGENCY, target_provinces=frozenset({"01"}))
    assert grants(demand) == authority.Granted("emergency:2024-07-01", 1, None, None)


def test_a_lift_outlives_its_legal_basis() -> None:
    ended = tuple(replace(rule, valid_to=date(2026, 3, 1)) for rule in authority.RULES)
    assert authority.check(LIFT, CALENDAR, ended).approvals_needed == 1
    with pytest.raises(AuthorityRefused, match="basis_not_in_force"):
        authority.check(FREEZE, CALENDAR, ended)


def test_the_last_day_of_a_rule_is_inside_and_its_successor_takes_over_the_day_after() -> None:
    last, first = date(2026, 3, 2), date(2026, 3, 3)
    rule = next(rule for rule in authority.RULES if rule.basis is LegalBasis.DECREE_52_11)
    dated = (replace(rule, valid_from=first), replace(rule, valid_to=last))
    assert authority.check(FREEZE, CALENDAR, dated).rule_name == "decree_52_11:2024-07-01"
    tomorrow = replace(FREEZE, now=NOW + 8 * HOUR)  # 00:00 in Vietnam
    assert authority.check(tomorrow, CALENDAR, dated).rule_name == "decree_52_11:2026-03-03"


ENDS: list[tuple[Demand, datetime]] = [
    (FREEZE, NOW + 30 * DAY),
    (EXTEND, NOW + 27 * DAY),  # the hold began three days ago: thirty days in all
    (CPC, NOW + 180 * DAY),
    (EMERGENCY, NOW + DAY),
    (AML, datetime(2026, 3, 5, 17, tzinfo=UTC)),  # Monday 2 March excluded, Thursday 24:00 in Vietnam
    (PRESERVE, NOW + 180 * DAY),
]


@pytest.mark.parametrize(("demand", "latest"), ENDS)
def test_a_hold_may_end_at_its_maximum_and_not_a_moment_later(demand: Demand, latest: datetime) -> None:
    assert grants(replace(demand, ends_at=latest)).latest_end == latest
    with pytest.raises(EndBeyondMaximum) as beyond:
        grants(replace(demand, ends_at=latest + timedelta(microseconds=1)))
    assert beyond.value.latest == latest


def test_three_working_days_filed_before_tet_end_after_it() -> None:
    eve = datetime(2026, 2, 13, 3, tzinfo=UTC)
    demand = replace(AML, now=eve, starts_at=eve, ends_at=eve + DAY)
    assert grants(demand).latest_end == datetime(2026, 2, 25, 17, tzinfo=UTC)


def test_three_working_days_beyond_the_calendar_are_refused() -> None:
    late = datetime(2026, 12, 30, 3, tzinfo=UTC)
    with pytest.raises(BeyondCalendar):
        grants(replace(AML, now=late, starts_at=late, ends_at=late + DAY))


@pytest.mark.parametrize("demand", [FREEZE, EXTEND, PRESERVE, TAKEDOWN])
def test_an_end_in_the_past_or_now_is_refused(demand: Demand) -> None:
    with pytest.raises(EndInPast):
        grants(replace(demand, ends_at=NOW))
    assert grants(replace(demand, ends_at=NOW + timedelta(microseconds=1)))


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(EndInPast):
        grants(replace(FREEZE, starts_at=NOW + 2 * DAY, ends_at=NOW + DAY))


def test_the_maximum_counts_from_now_when_the_start_lies_ahead() -> None:
    ahead = replace(EMERGENCY, starts_at=NOW + 300 * DAY, ends_at=NOW + 301 * DAY)
    with pytest.raises(EndBeyondMaximum) as beyond:
        grants(ahead)
    assert beyond.value.latest == NOW + DAY


def test_a_takedown_needs_no_end_and_has_no_maximum() -> None:
    assert grants(TAKEDOWN).latest_end is None
    assert grants(replace(TAKEDOWN, ends_at=NOW + 7 * DAY)).latest_end is None


def approve(
    basis: LegalBasis = LegalBasis.CPC_129,
    rank: Rank = Rank.TRUNG_TA,
    power: Power = Power.APPROVE,
    active: bool = True,
    whole: bool = False,
) -> None:
    authority.check_approver(
        basis, rank=rank, powers=frozenset({power}), officer_active=active, whole_account=whole, now=NOW
    )


@pytest.mark.parametrize(
    ("rule", "attempt"),
    [
        ("rank_too_low", lambda: approve(rank=Rank.THIEU_TA)),
        ("rank_too_low", lambda: approve(LegalBasis.EMERGENCY, Rank.THUONG_UY)),
        ("power_missing", lambda: approve(power=Power.ORDER)),
        ("officer_inactive", lambda: approve(active=False)),
        ("whole_account_needs_senior", lambda: approve(LegalBasis.DECREE_52_11, Rank.DAI_UY, whole=True)),
        ("whole_account_not_covered", lambda: approve(LegalBasis.CPC_129, Rank.DAI_TUONG, whole=True)),
    ],
)
def test_a_second_officer_needs_the_rank_and_the_power_to_approve(rule: str, attempt: Callable[[], None]) -> None:
    approve()
    approve(LegalBasis.EMERGENCY, Rank.DAI_UY)
    approve(LegalBasis.DECREE_52_11, Rank.THIEU_TA, whole=True)
    with pytest.raises(AuthorityRefused, match=rule):
        attempt()


def test_the_first_officer_is_asked_about_again_whatever_the_end_by_now() -> None:
    assert authority.check_again(replace(FREEZE, ends_at=NOW - DAY)).basis is LegalBasis.DECREE_52_11
    for rule, pairs in PAIRS.items():
        for refused, _ in pairs if rule != "end_missing" else ():
            with pytest.raises(AuthorityRefused, match=rule):
                authority.check_again(refused)


def test_a_third_emergency_hold_waits_until_a_second_officer_has_looked_at_one() -> None:
    for unreviewed in (0, 1):
        authority.check_row(grants(EMERGENCY), LegalBasis.EMERGENCY, unreviewed)
    with pytest.raises(AuthorityRefused, match="emergency_in_a_row") as refused:
        authority.check_row(grants(EMERGENCY), LegalBasis.EMERGENCY, 2)
    assert refused.value.params == {"basis": "emergency", "most": "2"}
    # What two officers sign has no row.
    authority.check_row(grants(FREEZE), LegalBasis.DECREE_52_11, 2)


def test_an_appointment_ends_at_its_instant_and_a_suspension_at_once() -> None:
    assert authority.is_serving(True, None, NOW)
    assert authority.is_serving(True, NOW + timedelta(microseconds=1), NOW)
    assert not authority.is_serving(True, NOW, NOW)
    assert not authority.is_serving(False, None, NOW)


@pytest.mark.parametrize(
    ("action", "basis", "length"),
    [
        (Action.FREEZE, LegalBasis.DECREE_52_11, 72 * HOUR),
        (Action.FREEZE, LegalBasis.CPC_129, 72 * HOUR),
        (Action.FREEZE, LegalBasis.AML_POSTPONEMENT, 72 * HOUR),
        (Action.FREEZE, LegalBasis.EMERGENCY, 24 * HOUR),
        (Action.EXTEND, LegalBasis.DECREE_52_11, 7 * DAY),
        (Action.PRESERVE, LegalBasis.DECREE_147, 90 * DAY),
        (Action.RECALL, LegalBasis.DECREE_52_11, DAY),
        (Action.DISCLOSE, LegalBasis.CPC_88, 20 * DAY),
        (Action.TRACE, LegalBasis.CPC_88, 3 * DAY),
        (Action.LIFT, LegalBasis.DECREE_52_11, None),
        (Action.TAKEDOWN, LegalBasis.DECREE_147, None),
    ],
)
def test_a_request_that_names_no_end_gets_the_default_one(
    action: Action, basis: LegalBasis, length: timedelta | None
) -> None:
    expected = None if length is None else NOW + length
    assert authority.default_end(action, basis, NOW, CALENDAR) == expected


def test_a_recall_and_a_disclosure_take_two_officers_and_their_ends_have_no_maximum_of_the_basis() -> None:
    for demand in (RECALL, DISCLOSE, TRACE):
        granted = grants(demand)
        assert (granted.approvals_needed, granted.review_within, granted.latest_end) == (2, None, None)


def test_a_recall_always_names_an_amount_within_the_officers_cap() -> None:
    assert refusal(replace(RECALL, amount=None)).rule == "amount_missing"
    assert refusal(replace(RECALL, amount=2_000_000_001)).rule == "amount_over_cap"


def test_a_phone_block_is_provisional_for_seven_days() -> None:
    end = authority.default_end(
        Action.TAKEDOWN,
        LegalBasis.DECREE_147,
        NOW,
        CALENDAR,
        target_kinds=frozenset({TargetKind.PHONE}),
        measure=Measure.BLOCK,
    )
    assert end == NOW + 7 * DAY


def test_a_default_extension_stops_at_the_ceiling_and_is_refused_when_none_is_left() -> None:
    def extended(first_start: datetime) -> datetime | None:
        return authority.default_end(Action.EXTEND, LegalBasis.DECREE_52_11, NOW, CALENDAR, first_start=first_start)

    assert extended(NOW - 28 * DAY) == NOW + 2 * DAY
    with pytest.raises(EndBeyondMaximum):
        extended(NOW - 30 * DAY)


@given(
    st.sampled_from([FREEZE, AML, CPC, EMERGENCY]),
    st.timedeltas(-59 * DAY, 290 * DAY).map(NOW.__add__),
)
def test_the_default_end_is_always_granted(demand: Demand, start: datetime) -> None:
    end = authority.default_end(Action.FREEZE, demand.basis, start, CALENDAR)
    granted = grants(replace(demand, now=start, starts_at=start, ends_at=end))
    assert end is not None
    assert end.tzinfo is UTC
    assert granted.latest_end is not None
    assert start < end <= granted.latest_end


@given(st.sampled_from([FREEZE, CPC, EMERGENCY]), st.integers(1, 10**12), st.sampled_from(Rank), st.sampled_from(Rank))
def test_a_higher_rank_is_never_refused_what_a_lower_one_is_granted(
    demand: Demand, amount: int, one: Rank, other: Rank
) -> None:
    lower, higher = sorted((one, other), key=RANK_ORDER.__getitem__)
    try:
        grants(replace(demand, amount=amount, rank=lower))
    except AuthorityRefused:
        return
    grants(replace(demand, amount=amount, rank=higher))


def test_every_rule_waits_for_a_lawyer_and_rises_in_rank() -> None:
    for rule in authority.RULES:
        assert rule.to_be_confirmed
        assert rule.source
        ranks = [RANK_ORDER[tier.rank] for tier in rule.tiers]
        assert ranks == sorted(set(ranks))
        caps = [tier.amount_cap or 10**18 for tier in rule.tiers]
        assert caps == sorted(caps)


def test_ranks_rise_from_second_lieutenant_to_general() -> None:
    officers = "thieu_uy trung_uy thuong_uy dai_uy thieu_ta trung_ta thuong_ta dai_ta"
    generals = "thieu_tuong trung_tuong thuong_tuong dai_tuong"
    assert sorted(RANK_ORDER, key=RANK_ORDER.__getitem__) == f"{officers} {generals}".split()
