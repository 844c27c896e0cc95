"""When an endpoint is passed over, and which one comes next."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from workflows import channels
from workflows.channels import Way
from workflows.terms import Channel, PassedOver

AT, WITHIN = datetime(2026, 11, 30, 3, tzinfo=UTC), timedelta(seconds=60)
A, B, C = (UUID(int=number) for number in (1, 2, 3))


def ways(*works: bool) -> list[Way]:
    kinds = (Channel.WEBHOOK, Channel.PULL, Channel.ISO20022)
    return [Way(*each) for each in zip((A, B, C), kinds, works, strict=True)]


@pytest.mark.parametrize(
    ("works", "within", "after", "why"),
    [
        (True, WITHIN, 59, None),
        (True, WITHIN, 60, PassedOver.NOT_RECEIVED),
        (True, None, 10_000, None),
        (False, WITHIN, 0, PassedOver.UNREACHABLE),
    ],
)
def test_an_endpoint_is_passed_over_when_it_does_not_work_or_its_time_is_over(
    works: bool, within: timedelta | None, after: int, why: PassedOver | None
) -> None:
    assert channels.passed_over(A, ways(works, True, True), AT, within, AT + timedelta(seconds=after)) is why


def test_an_endpoint_that_is_gone_is_unreachable() -> None:
    assert channels.passed_over(A, ways(True, True, True)[1:], AT, WITHIN, AT) is PassedOver.UNREACHABLE


def test_an_endpoint_in_maintenance_is_passed_over_for_one_that_is_served_and_for_no_other() -> None:
    one, two, three = (
        Way(each, Channel.WEBHOOK, works=True, is_served=served) for each, served in ((A, False), (B, False), (C, True))
    )
    assert channels.passed_over(A, [one, two, three], AT, WITHIN, AT) is PassedOver.MAINTENANCE
    assert channels.following([one, two, three], {A}, PassedOver.MAINTENANCE) == three
    assert channels.following([one, two], {A}, PassedOver.MAINTENANCE) is None
    # Where the first does not work at all, one that is announced not to be served is better than none.
    assert channels.following([one, two], {A}, PassedOver.UNREACHABLE) == two
    assert channels.following([one, two, three], {A}, PassedOver.NOT_RECEIVED) == three


def test_a_maintenance_of_all_endpoints_takes_nothing_from_the_time_for_the_receipt() -> None:
    both = [Way(each, Channel.WEBHOOK, works=True, is_served=False) for each in (A, B)]
    early, late = AT + WITHIN - timedelta(seconds=1), AT + WITHIN
    assert channels.passed_over(A, both, AT, WITHIN, early) is PassedOver.MAINTENANCE
    assert channels.passed_over(A, both, AT, WITHIN, late) is PassedOver.NOT_RECEIVED
    assert channels.following(both, {A}, PassedOver.NOT_RECEIVED) == both[1]


def test_the_first_that_works_and_was_not_tried_comes_next() -> None:
    assert channels.following(ways(True, True, True), {A}) == ways(True, True, True)[1]
    assert channels.following(ways(True, False, True), {A}) == ways(True, False, True)[2]
    assert channels.following(ways(True, True, True), {A, B, C}) is None
