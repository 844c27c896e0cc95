"""The benchmarks run, the smallest of them here; a missed goal is said; the figures of the handbook are measured."""

import asyncio
import importlib
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import bench_a1
import bench_figures
import bench_flame
import bench_ground
import bench_load
import bench_page
import bench_soak
import bench_svg
import pytest
from bench_figures import Goal, Outcome
from bench_profile import Profiles
from postgres import VARIABLE

HERE = Path(bench_page.__file__).parent


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.py")))
def test_each_part_of_the_benchmarks_loads(name: str) -> None:
    assert importlib.import_module(name).__doc__


def test_the_handbooks_figures_are_those_of_the_committed_measurement() -> None:
    assert bench_page.main(["--check"]) == 0, "python tests/benchmarks/bench_page.py"


def test_a_figure_that_somebody_typed_is_found() -> None:
    measured = json.loads(bench_page.MEASURED.read_text())
    page = bench_page.PAGES["en"].read_text()
    typed = re.sub(r"(\n\| [^|\n]+ \| )(?=\d)", r"\g<1>9", page, count=1)
    assert typed != page
    assert bench_page.rendered(typed, measured, "en") == page


def test_a_missed_goal_is_said_to_be_missed_and_by_how_much() -> None:
    goals = [Goal("rate", 50), Goal("p99", 100, most=True), Goal("never measured", 1)]
    joined = bench_figures.joined([Outcome({"rate": rate, "p99": 90}, goals) for rate in (30, 45, 40)])
    rate, late = joined["figures"]["rate"], joined["figures"]["p99"]
    assert (rate["median"], rate["spread"]) == (40, 15)
    assert rate["goal"] == {"bound": 50, "most": False, "met": False, "missed_by": "10 (20 %)"}
    assert late["goal"]["met"]
    assert joined["remarks"] == ["not measured: never measured"]
    page = bench_page.figures({"benchmarks": {"A1": {**joined, "seconds": 1}}, "flames": {}}, "en")
    assert "| rate | 40 | 15 | ≥ 50 | **missed** by 10 (20 %) |" in page


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert bench_figures.percentile([*range(100, 0, -1)], share) == expected


def test_a_small_or_hurried_measurement_is_not_for_the_record() -> None:
    measured = {"scale": 1.0, "runs": 3, "load_before": 0.2}
    assert bench_page.is_record(measured)
    assert not bench_page.is_record({**measured, "scale": 0.1})
    assert not bench_page.is_record({**measured, "runs": 1})
    assert not bench_page.is_record({**measured, "load_before": 3.0})


def test_a_chart_shows_each_figure_and_its_goal() -> None:
    entry = bench_figures.joined([Outcome({"requests/s": 100.0, "pgbench/s": 400.0}, [Goal("requests/s", 200)])])
    drawn = ElementTree.fromstring(bench_svg.chart("A1", "a <title>", entry))
    space = "{http://www.w3.org/2000/svg}"
    bars = [float(bar.attrib["width"]) for bar in drawn.iter(f"{space}rect")][1:]
    assert bars[1] == pytest.approx(4 * bars[0], rel=0.01)
    (goal,) = drawn.iter(f"{space}line")
    assert float(goal.attrib["x1"]) == pytest.approx(230 + bars[1] / 2, rel=0.01)


def drawn(*frames: tuple[str, int, int, int]) -> str:
    """Write frames, each with its row, where it begins and how wide it is, as py-spy draws them."""
    return "".join(
        f'<g><title>{escape(name)} ({wide:,} samples, {wide / 10:.2f}%)</title><rect x="0.0000%" y="{36 + 16 * row}"'
        f' width="1.0000%" height="15" fill="rgb(227,0,7)" fg:x="{at}" fg:w="{wide}"/></g>'
        for name, row, at, wide in frames
    )


GRAPH = drawn(
    ("all", 0, 0, 1000),
    ("<module> (service/cli/__main__.py:5)", 1, 0, 1000),
    ("Runner.run (asyncio/runners.py:118)", 2, 0, 1000),
    ("Starlette.__call__ (starlette/applications.py:96)", 3, 0, 800),
    ("SecurityHeaders.__call__ (service/web/guards.py:58)", 4, 0, 800),
    ("request_response.<locals>.app (fastapi/routing.py:175)", 5, 0, 700),
    ("submit (service/actions/submit_request.py:70)", 6, 0, 300),
    ("dumps (json/__init__.py:231)", 7, 0, 40),
    ("execute (sqlalchemy/engine/base.py:1494)", 7, 40, 160),
    ("fetch (asyncpg/prepared_stmt.py:177)", 8, 40, 60),
    ("submit (service/actions/submit_request.py:71)", 6, 300, 150),
    ("sign (service/security/signatures.py:114)", 7, 300, 150),
    ("lone (greenlet/one.py:1)", 7, 450, 3),
)


def test_a_flame_graph_is_folded_into_functions_of_ours_and_packages_of_others() -> None:
    submit = "fastapi;service/actions/submit_request.submit"
    assert bench_flame.folded(GRAPH) == [
        " 200",
        "fastapi 350",
        f"{submit} 140",
        f"{submit};service/security/signatures.sign 150",
        f"{submit};sqlalchemy 100",
        f"{submit};sqlalchemy;asyncpg 60",
    ]
    with pytest.raises(ValueError, match="no flame graph"):
        bench_flame.folded("<svg/>")


def test_the_shares_of_a_flame_graph_are_those_of_its_innermost_boxes() -> None:
    stacks = bench_flame.folded(GRAPH)
    shares = {"database": 16, "doors": 35, "crypto": 15, "house": 14, "loop": 20, "other": 0}
    assert bench_flame.shares(stacks) == pytest.approx(shares)
    assert bench_flame.counted(stacks) == 1000
    assert bench_flame.told(stacks, "en").startswith("HTTP, input 35 %, loop, sockets, TLS 20 %")


def test_a_box_of_a_flame_graph_is_as_wide_as_its_share_and_below_what_called_it() -> None:
    picture = ElementTree.fromstring(bench_flame.chart("a <title>", bench_flame.folded(GRAPH)))
    space = "{http://www.w3.org/2000/svg}"
    boxes = {box[0].text: box.attrib for box in picture.iter(f"{space}rect") if len(box)}
    outer, inner = boxes["fastapi: 80.0 %"], boxes["service/actions/submit_request.submit: 45.0 %"]
    assert float(inner["width"]) == pytest.approx(float(outer["width"]) * 45 / 80)
    assert float(inner["y"]) == float(outer["y"]) + 19
    assert float(inner["x"]) + float(inner["width"]) <= float(outer["x"]) + float(outer["width"])


def test_what_was_not_measured_anew_stays_and_says_when_it_was() -> None:
    kept = json.loads(bench_page.MEASURED.read_text()) | {"measured_at": "then", "commit": "c" * 40}
    kept["benchmarks"] = {name: {**kept["benchmarks"][name]} for name in ("A1", "A2")}
    kept["flames"] = {"A1": ["fastapi 1"], "A2": ["asyncpg 1"]}
    new = kept | {"measured_at": "now", "commit": "d" * 40, "benchmarks": {"A1": {"new": True}}}
    new["flames"] = {"A1": ["fastapi 2"]}
    both = bench_page.merged(kept, new)
    assert list(both["benchmarks"]) == ["A1", "A2"]
    assert (both["measured_at"], both["benchmarks"]["A1"]) == ("now", {"new": True})
    assert both["benchmarks"]["A2"]["measured"] == {"at": "then", "commit": "c" * 12}
    assert both["flames"] == {"A1": ["fastapi 2"], "A2": ["asyncpg 1"]}
    again = bench_page.merged(both, new | {"measured_at": "later"})
    assert again["benchmarks"]["A2"]["measured"]["at"] == "then"
    assert "Measured at then, commit `cccccccccccc`" in bench_page.figures(
        {**both, "benchmarks": {"A2": both["benchmarks"]["A2"]}}, "en"
    )


def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Enrol a handful of agencies and platforms only; return how many agencies."""
    agencies = bench_ground.AGENCIES[:8]
    for module in (bench_ground, bench_load):
        monkeypatch.setattr(module, "AGENCIES", agencies)
        monkeypatch.setattr(module, "PLATFORMS", bench_ground.PLATFORMS[: bench_load.ORDERS])
    return len(agencies)


@pytest.mark.xdist_group("processes")
async def test_the_smallest_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_a1, "WARM_UP", few(monkeypatch))
    async with asyncio.timeout(240):
        grounds = bench_ground.Grounds(tmp_path, os.environ[VARIABLE])
        ground = await grounds.fresh("postgresql")
        try:
            outcome = await bench_a1.run(ground, 0.01, Profiles.none())
        finally:
            await grounds.drop(ground)
            await grounds.close()
    assert outcome.values["requests/s"] > 0 and outcome.values["pgbench/s"] > 0
    rows = outcome.settings["rows a request"]
    assert {rows["requests"], rows["cases"], rows["audit_heads"]} == {1}
    assert rows["orders"] == rows["dispatches"] == rows["dispatch_queue"] == bench_load.ORDERS
    assert rows["deadlines"] >= 2 * rows["orders"]


@pytest.mark.xdist_group("processes")
async def test_a_short_soak_loses_nothing_behind_an_open_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch)
    async with asyncio.timeout(240):
        grounds = bench_ground.Grounds(tmp_path, os.environ[VARIABLE])
        ground = await grounds.fresh("postgresql")
        try:
            soaked = await bench_soak.run(ground, minutes=2, rate=2, length=3.0)
        finally:
            await grounds.drop(ground)
            await grounds.close()
    assert (soaked.wrong, [each.filed for each in soaked.minutes]) == ([], [6, 6])
    assert all(each.snapshot_s > 0 and each.memory_mib > 0 for each in soaked.minutes)


def test_a_soak_says_what_grew_worse_and_nothing_of_noise() -> None:
    def minute(number: int, ms: float, memory: float) -> bench_soak.Minute:
        return bench_soak.Minute(number, 300, 0, ms, 20, 100, memory, 0, 1, 60 * number)

    start = minute(1, 900, 100)
    steady = [start, *(minute(number, 20 + number % 3, 300) for number in range(2, 11))]
    assert bench_soak.worse(steady) == bench_soak.worse([start]) == []
    assert bench_soak.worse([start, *(minute(number, 20 * number, 300) for number in range(2, 11))]) == [
        "claim_ms: 60 -> 180"
    ]
    assert bench_soak.worse([start, *(minute(number, 20, 60.0 * number) for number in range(2, 11))]) == [
        "memory_mib: 180 -> 540"
    ]
