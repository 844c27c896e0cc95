"""What a recall, a disclosure and a trace are about: targets, what may be asked, which refusals speak of a payment."""

from datetime import date, timedelta

import pytest

from workflows import bounds, disclose, extend, lift, recall, routing, takedown, trace
from workflows.routing import AliasEntry, Directory, Member, RoutingTarget, UnknownInstitution
from workflows.terms import (
    CONFIDENTIAL,
    MONEY_TARGETS,
    ONCE,
    Action,
    BoundKind,
    Datum,
    RefusalCode,
    Sector,
    Stage,
    TargetKind,
)

TODAY = date(2026, 3, 2)
DIRECTORY = Directory(
    by_alias={
        ("tld", "vn"): (AliasEntry("vnnic"),),
        ("host", "facebook.com"): (AliasEntry("facebook"),),
        ("e164_prefix", "+8498"): (AliasEntry("viettel"),),
    },
    participants={
        "vnnic": Member("vnnic", Sector.REGISTRAR),
        "fpt": Member("fpt", Sector.ISP),
        "facebook": Member("facebook", Sector.PLATFORM),
        "viettel": Member("viettel", Sector.TELECOM),
    },
)


def test_these_are_done_once_and_nothing_else_is() -> None:
    assert set(ONCE) == {Action.RECALL, Action.DISCLOSE, Action.TRACE}
    assert set(CONFIDENTIAL) == set(ONCE) - {Action.RECALL}
    assert not (ONCE & lift.ABOUT or ONCE & extend.ABOUT)


def test_a_recall_is_about_where_a_payment_arrives() -> None:
    assert MONEY_TARGETS - {TargetKind.CARD} == recall.TARGETS


def test_what_may_be_asked_is_the_least_that_each_kind_knows() -> None:
    everything = set(Datum)
    for kind, allowed in disclose.MAY_BE_ASKED.items():
        assert {Datum.HOLDER_NAME, Datum.OPENED_ON, Datum.STATE} <= allowed < everything, kind
    assert Datum.CONTACT_PHONE not in disclose.MAY_BE_ASKED[TargetKind.PHONE]
    papers = {kind for kind in disclose.TARGETS if disclose.may_be_asked(Datum.HOLDER_DOCUMENT, kind)}
    assert papers == MONEY_TARGETS | {TargetKind.PHONE, TargetKind.DOMAIN}


@pytest.mark.parametrize("kind", sorted(frozenset(TargetKind) - disclose.TARGETS))
@pytest.mark.parametrize("datum", Datum)
def test_nothing_may_be_asked_about_what_nobody_holds(kind: TargetKind, datum: Datum) -> None:
    assert kind in takedown.TARGETS
    assert not disclose.may_be_asked(datum, kind)


def test_the_refusals_of_a_payment_are_codes_that_no_hold_needs() -> None:
    assert set(RefusalCode) > recall.OF_THE_PAYMENT
    of_holds = {RefusalCode.NO_BALANCE, RefusalCode.TARGET_CLOSED, RefusalCode.HOLDER_MISMATCH}
    assert not recall.OF_THE_PAYMENT & of_holds


def test_all_stay_open_longer_than_their_execution_takes() -> None:
    assert recall.TIME_LIMITS[Stage.EXECUTE] + timedelta(hours=1) < recall.OPEN_FOR
    assert timedelta(days=10) < disclose.OPEN_FOR
    assert trace.TIME_LIMITS[Stage.EXECUTE] + timedelta(hours=1) < trace.OPEN_FOR


def test_what_is_asked_about_people_is_counted_by_itself() -> None:
    assert bounds.actions_of(BoundKind.DISCLOSURES) == (Action.DISCLOSE, Action.TRACE)


def routed(kind: TargetKind, value: str, action: Action) -> list[str]:
    route = routing.route(RoutingTarget(kind, value), DIRECTORY, TODAY, action=action)
    return [recipient.participant_id for recipient in route.participants]


def test_who_holds_a_domain_is_asked_of_the_registrar_of_its_ending_alone() -> None:
    assert routed(TargetKind.DOMAIN, "ngan-hang.example.vn", Action.DISCLOSE) == ["vnnic"]
    assert routed(TargetKind.DOMAIN, "facebook.com", Action.TAKEDOWN) == ["fpt", "facebook"]
    with pytest.raises(UnknownInstitution) as unknown:
        routed(TargetKind.DOMAIN, "facebook.com", Action.DISCLOSE)
    assert unknown.value.field == "value"


def test_a_subscriber_is_asked_of_the_telecom_of_the_number() -> None:
    assert routed(TargetKind.PHONE, "+84980000001", Action.DISCLOSE) == ["viettel"]
