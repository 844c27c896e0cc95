"""What a listener hears of a countdown: half, a quarter, a tenth, and that it is over; nothing in between."""

from datetime import datetime
from typing import Any

import world as worlds
from console_desk import Desk
from console_site import Open

from service.engine.hub import OPERATOR
from workflows.terms import Role

DESK: dict[str, Any] = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
_LISTEN = """() => {
  window.heard = [];
  const line = document.getElementById("spoken");
  new MutationObserver(() => window.heard.push(line.textContent)).observe(line, { childList: true });
}"""


def test_a_countdown_is_heard_at_its_thresholds_and_at_no_other_time(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    page = at_desk(**DESK).page
    page.clock.install()
    page.goto(f"{desk.address}/orders/{order['id']}")
    page.evaluate(_LISTEN)
    timer = page.locator("#order-clock [role=timer][data-what='Vietcombank Thực hiện']")
    due, start = (datetime.fromisoformat(timer.get_attribute(f"data-{name}") or "") for name in ("due", "start"))
    whole, gone = (due - start).total_seconds(), 0.0

    def heard(part: float) -> list[str]:
        """Let time pass until ``part`` of it is gone, and return what was said of the execution so far."""
        nonlocal gone
        page.clock.run_for(int((part - gone) * whole * 1000))
        gone = part
        said: list[str] = page.evaluate("window.heard")
        lines = [line.rstrip(".") for text in said for line in text.split(". ")]
        return [line for line in lines if line.startswith("Vietcombank Thực hiện")]

    expected: list[str] = []
    # The page was loaded some seconds after the clock began: each look is well away from a threshold.
    for before, after, words in (
        (0.40, 0.55, "còn 50 phần trăm thời gian"),
        (0.70, 0.78, "còn 25 phần trăm thời gian"),
        (0.84, 0.93, "còn 10 phần trăm thời gian"),
        (0.94, 1.05, "đã quá hạn"),
    ):
        assert heard(before) == expected
        expected.append(f"Vietcombank Thực hiện: {words}")
        assert heard(after) == expected
    assert heard(1.5) == expected
    assert page.locator("#spoken").get_attribute("role") == "status"
    # What ticks is heard by nobody: a timer is no live region.
    assert timer.get_attribute("aria-live") is None
