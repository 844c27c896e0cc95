"""Turns at the doors: so many at once, the urgent first, and none is lost however somebody who waits goes away."""

import asyncio
from collections.abc import Callable

import pytest

from service.web.turns import Turns, WaitedTooLong


async def _spin() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Line:
    """Calls that wait for their turns; ``order`` says who got one, and each holds it until it is let go."""

    def __init__(self, at_once: int) -> None:
        self.turns, self.order, self.gate = Turns(at_once, "filings"), list[str](), asyncio.Event()
        # What happens in the very moment in which somebody has given his turn on.
        self.then: dict[str, Callable[[], object]] = {}

    async def join(self, name: str, *, urgent: bool = False) -> asyncio.Task[None]:
        """Let somebody come."""

        async def one() -> None:
            async with self.turns.turn(urgent=urgent):
                self.order.append(name)
                await self.gate.wait()
            self.then.get(name, lambda: None)()

        task = asyncio.create_task(one())
        await _spin()
        return task


async def test_so_many_at_once_and_the_urgent_first() -> None:
    line = Line(2)
    tasks = [await line.join(name) for name in ("a", "b", "c")]
    tasks += [await line.join(name, urgent=True) for name in ("x", "y")]
    assert line.order == ["a", "b"]
    line.gate.set()
    await asyncio.gather(*tasks)
    assert line.order == ["a", "b", "x", "y", "c"]


async def test_of_four_turns_one_is_for_who_can_wait() -> None:
    line = Line(1)
    tasks = [await line.join(name) for name in ("a", "b", "c")]
    tasks += [await line.join(name, urgent=True) for name in "stuvwxyz"]
    line.gate.set()
    await asyncio.gather(*tasks)
    assert "".join(line.order) == "astubvwxcyz"


async def test_whoever_goes_away_leaves_his_turn_to_the_next() -> None:
    line = Line(1)
    first, second, third = [await line.join(name) for name in ("first", "second", "third")]
    second.cancel()
    await _spin()
    first.cancel()
    await _spin()
    assert line.order == ["first", "third"]
    line.gate.set()
    await third


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_turn_given_to_somebody_who_goes_at_that_instant_is_passed_on(cancelled_first: bool) -> None:
    line = Line(1)
    first, second, third = [await line.join(name) for name in ("first", "second", "third")]
    if cancelled_first:
        second.cancel()
    else:
        line.then["first"] = second.cancel
    line.gate.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert line.order == ["first", "third"]
    async with line.turns.turn():
        assert second.cancelled()


async def test_nobody_waits_for_longer_than_a_client_would() -> None:
    turns = Turns(1, "filings", patience=0)
    async with turns.turn():
        with pytest.raises(WaitedTooLong):
            async with turns.turn(urgent=True):
                raise AssertionError("no turn was free")
    async with turns.turn():
        pass
