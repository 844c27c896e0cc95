"""The cases of a certification: every one rests on earlier ones, and a result counts only where all passed, in time."""

from datetime import UTC, datetime, timedelta

import pytest

from workflows import conformance
from workflows.conformance import RULES, Case, Profile, Verdict
from workflows.terms import Channel, Sector

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


def test_a_case_rests_only_on_cases_before_it_that_its_profiles_have() -> None:
    order = list(RULES)
    assert set(order) == set(Case)
    for case, rule in RULES.items():
        for need in rule.needs:
            assert order.index(need) < order.index(case)
            assert rule.profiles <= RULES[need].profiles
            assert rule.money or not RULES[need].money


def test_only_who_holds_money_is_asked_for_more_than_there_is() -> None:
    assert Case.AMOUNT_PARTIAL in conformance.cases(Profile.PULL, Sector.WALLET)
    assert Case.AMOUNT_PARTIAL not in conformance.cases(Profile.PULL, Sector.TELECOM)


@pytest.mark.parametrize("wrong", [Verdict.FAILED, Verdict.NOT_REACHED, None])
def test_one_case_that_did_not_pass_is_enough(wrong: Verdict | None) -> None:
    cases = conformance.cases(Profile.BANK_WEBHOOK, Sector.BANK)
    verdicts = dict.fromkeys(cases, Verdict.PASSED)
    assert conformance.is_passed(Profile.BANK_WEBHOOK, Sector.BANK, verdicts)
    for case in cases:
        found = {**verdicts, case: wrong} if wrong else {each: Verdict.PASSED for each in cases if each is not case}
        assert not conformance.is_passed(Profile.BANK_WEBHOOK, Sector.BANK, found)


def test_a_case_is_reached_once_all_that_it_rests_on_passed() -> None:
    assert conformance.is_reached(Case.DELIVERY_TAKEN, {})
    assert not conformance.is_reached(Case.LIFT_FIRST, {Case.LIFT_EXECUTED: Verdict.FAILED})
    assert not conformance.is_reached(Case.LIFT_FIRST, {})
    assert conformance.is_reached(Case.LIFT_FIRST, {Case.LIFT_EXECUTED: Verdict.PASSED})


def test_a_profile_fits_an_endpoint_by_its_channel_and_its_members_sector() -> None:
    fitting = {
        (channel, sector): [each for each in Profile if conformance.fits(each, channel, sector)]
        for channel in (Channel.WEBHOOK, Channel.ISO20022, Channel.ETSI, Channel.PULL)
        for sector in (Sector.BANK, Sector.PLATFORM)
    }
    assert fitting == {
        (Channel.WEBHOOK, Sector.BANK): [Profile.BANK_WEBHOOK],
        (Channel.WEBHOOK, Sector.PLATFORM): [Profile.TELECOM_WEBHOOK],
        (Channel.ISO20022, Sector.BANK): [Profile.BANK_ISO20022],
        (Channel.ISO20022, Sector.PLATFORM): [],
        (Channel.ETSI, Sector.BANK): [],
        (Channel.ETSI, Sector.PLATFORM): [Profile.TELECOM_ETSI],
        (Channel.PULL, Sector.BANK): [Profile.PULL],
        (Channel.PULL, Sector.PLATFORM): [Profile.PULL],
    }


def test_a_certification_counts_for_its_time_and_never_ahead_of_it() -> None:
    assert conformance.is_recent(AT, AT, YEAR)
    assert conformance.is_recent(AT - YEAR + timedelta(seconds=1), AT, YEAR)
    assert not conformance.is_recent(AT - YEAR, AT, YEAR)
    assert not conformance.is_recent(AT + timedelta(seconds=1), AT, YEAR)
