"""Tells the scene in the terminal as it happens, and prints timelines in both languages."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from service import clock
from service.i18n import formats
from workflows import working_hours

# What a sandbox participant reports, in words.
_HAPPENED = {
    "received": "has the order ({action})",
    "executed": "executed the order ({action}){amount}",
    "grown": "now holds{amount}",
    "refused": "refused: {refusal_code}",
    "not_mine": "says: not mine, ported to {ported_to}",
    "lifted": "has let go of the money",
    "notice": "is called: {type}",
    "answer_failed": "could not answer: {code}",
    "signature_refused": "REFUSED A SIGNATURE: {reason}",
}
_SELDOM = 5  # a hundred orders of one kind are told by their first few


class Teller:
    """Writes lines with the time since the start; what repeats itself many times is counted instead."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.began = clock.monotonic()
        self.seen: Counter[tuple[str, str]] = Counter()

    def say(self, text: str, style: str = "") -> None:
        """Write one line."""
        elapsed = clock.monotonic() - self.began
        self.console.print(f"[dim]{elapsed:6.2f} s[/dim]  {escape(text)}", style=style, soft_wrap=True)

    def step(self, text: str) -> None:
        """Announce a step of the scene."""
        self.console.print()
        self.say(text, style="bold")

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell what a sandbox participant reports."""
        if kind not in _HAPPENED:
            return
        amount = f": {formats.money(data['amount_held'])}" if data.get("amount_held") is not None else ""
        line = _HAPPENED[kind].format_map({"action": "", **data, "amount": amount})
        about = (str(data["participant"]), f"{kind}{data.get('reference', '')}")
        self.seen[about] += 1
        if self.seen[about] <= _SELDOM:
            self.say(f"  {data['participant']} {line}")
        elif self.seen[about] == _SELDOM + 1:
            self.say(f"  {data['participant']} … and so on")

    def timeline(self, title: str, told: Mapping[str, Any]) -> None:
        """Print a timeline in Vietnamese and English, long runs of one kind of fact folded."""
        for language in ("vi", "en"):
            self.console.print()
            self.console.rule(f"{escape(title)} · {escape(told['reference'])} · {language}", align="left")
            codes: Counter[str] = Counter()
            for fact in told["facts"]:
                codes[fact["code"]] += 1
                if codes[fact["code"]] > 2 * _SELDOM:
                    continue
                at = datetime.fromisoformat(fact["at"]).astimezone(working_hours.VIETNAM)
                number = f"  {fact['sequence']:>4}  {at:%H:%M:%S.%f}"[:-3]
                self.console.print(f"{number}  {escape(fact['text'][language])}", soft_wrap=True)
            for code, count in codes.items():
                if count > 2 * _SELDOM:
                    self.console.print(f"        … {count} × {code}", style="dim")
