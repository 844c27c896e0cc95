"""Figures: percentiles, goals, the median and spread of several runs, and what a missed goal is missed by."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the values do not exceed (nearest rank); nan for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1))]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must reach: at least ``bound``, or with ``most`` at the most."""

    figure: str
    bound: float
    most: bool = False

    def met(self, value: float) -> bool:
        """Tell whether a value reaches it; what was not measured does not."""
        return value <= self.bound if self.most else value >= self.bound

    def missed_by(self, value: float) -> str:
        """Say by how much it is missed, in the figure's own unit and as a share of the goal."""
        by = value - self.bound if self.most else self.bound - value
        share = f" ({100 * by / self.bound:.0f} %)" if self.bound else ""
        return f"{by:.4g}{share}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of one benchmark measured; ``remarks`` say what could not be, and why."""

    values: Mapping[str, float]
    goals: Sequence[Goal]
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def joined(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return a benchmark's runs as one entry: per figure the runs, their median and spread, its goal and verdict."""
    goals = {goal.figure: goal for outcome in outcomes for goal in outcome.goals}
    figures: dict[str, Any] = {}
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.values):
        runs = [round(float(outcome.values[name]), 4) for outcome in outcomes if name in outcome.values]
        median = statistics.median(runs)
        entry: dict[str, Any] = {"runs": runs, "median": round(median, 4), "spread": round(max(runs) - min(runs), 4)}
        goal = goals.get(name)
        if goal is not None:
            entry["goal"] = {"bound": goal.bound, "most": goal.most, "met": goal.met(median)}
            if not goal.met(median):
                entry["goal"]["missed_by"] = goal.missed_by(median)
        figures[name] = entry
    remarks = list(dict.fromkeys(remark for outcome in outcomes for remark in outcome.remarks))
    remarks += [f"not measured: {name}" for name in goals if name not in figures]
    return {"figures": figures, "settings": dict(outcomes[-1].settings), "remarks": remarks}
