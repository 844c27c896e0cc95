"""A client may knock 20 times a second and 600 times a minute."""

import pytest

from service.errors import TooManyRequests
from service.web.limits import Limits


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def taken(limits: Limits, client: str, tries: int) -> int:
    done = 0
    for _ in range(tries):
        try:
            limits.take(client)
        except TooManyRequests:
            continue
        done += 1
    return done


def test_a_burst_of_twenty_passes_and_the_next_one_is_told_when_to_come_back() -> None:
    limits = Limits(now=Clock())
    assert taken(limits, "police", 20) == 20
    with pytest.raises(TooManyRequests) as caught:
        limits.take("police")
    assert (caught.value.code, caught.value.retry_after) == ("rate.exceeded", 1)


def test_no_client_pays_for_another() -> None:
    limits = Limits(now=Clock())
    taken(limits, "police", 50)
    assert taken(limits, "bank", 20) == 20


def test_a_second_later_there_are_twenty_again() -> None:
    clock = Clock()
    limits = Limits(now=clock)
    taken(limits, "police", 50)
    clock.at += 1
    assert taken(limits, "police", 50) == 20


def test_a_client_at_full_speed_is_held_to_six_hundred_a_minute() -> None:
    clock = Clock()
    limits = Limits(now=clock)
    done = 0
    for _ in range(600):  # ten minutes
        done += taken(limits, "police", 25)
        clock.at += 1
    assert 6_000 <= done <= 6_600


def test_memory_is_bounded_and_the_quiet_are_forgotten_first() -> None:
    limits = Limits(clients=2, now=Clock())
    taken(limits, "a", 20)
    taken(limits, "b", 20)
    taken(limits, "a", 1)
    taken(limits, "c", 20)
    assert taken(limits, "a", 1) == 0
    assert taken(limits, "b", 1) == 1
    assert len(limits._buckets) == 2
