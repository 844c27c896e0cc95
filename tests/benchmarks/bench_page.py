"""The handbook's figures: tables and charts made of a committed measurement, never typed.

``python tests/benchmarks/bench_page.py`` writes them anew into both languages' pages; ``--keep build/bench.json`` makes
that measurement the committed one first: what it did not measure stays, and says when it was measured.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import bench_flame
import bench_svg

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "service" / "handbook"
MEASURED = BOOK / "benchmarks.json"
PICTURES = BOOK / "pictures"
PAGES = {"en": BOOK / "en" / "capacity.md", "vi": BOOK / "vi" / "nang-luc.md"}
_BLOCK = re.compile(r"(<!-- (figures|machine|capacity) -->\n).*?(<!-- /\2 -->)", re.DOTALL)

TITLES = {
    "A1": ("Accepting requests", "Tiếp nhận yêu cầu"),
    "A2": ("Delivering orders", "Chuyển lệnh"),
    "A3": ("One of twenty endpoints hangs", "Một trong hai mươi điểm nhận bị treo"),
    "A4": ("Deadlines on two nodes", "Thời hạn trên hai nút"),
    "A5": ("kill -9 of one of two nodes", "kill -9 một trong hai nút"),
    "A6": ("Rows behind it", "Khi dữ liệu cũ nhiều lên"),
    "A7": ("The busiest hour, five times as fast", "Giờ cao điểm, nhanh gấp năm"),
    "A8": ("SQLite, one process", "SQLite, một tiến trình"),
    "A9": ("Each page behind 100,000 orders", "Từng trang khi có 100.000 lệnh"),
}
HEADS = {
    "en": ("figure", "median", "spread", "goal", "reached"),
    "vi": ("số đo", "trung vị", "độ phân tán", "mục tiêu", "kết quả"),
}
WORDS = {
    "en": {
        "met": "yes",
        "missed": "**missed** by {by}",
        "elsewhere": "Measured at {at}, commit `{commit}`, unlike the rest of this page.",
        "flame": "Where the time of a node went, in {samples:,} samples: {told}.",
        "picture": "flame graph",
    },
    "vi": {
        "met": "đạt",
        "missed": "**không đạt**, thiếu {by}",
        "elsewhere": "Đo lúc {at}, bản `{commit}`, khác với phần còn lại của trang này.",
        "flame": "Thời gian của một nút đi vào đâu, qua {samples:,} mẫu: {told}.",
        "picture": "biểu đồ ngọn lửa",
    },
}
# What 100,000 requests a day with four orders each need in their busiest hour, at ten times the mean.
_PEAK = 100_000 / 86_400 * 10
_NEEDS = (
    ("A1", "requests/s", _PEAK, ("requests accepted a second, two nodes", "yêu cầu tiếp nhận mỗi giây, hai nút")),
    ("A2", "orders/s", 4 * _PEAK, ("orders delivered a second, one node", "lệnh chuyển đi mỗi giây, một nút")),
    (
        "A4",
        "at one instant: deadlines/s",
        12 * _PEAK,
        ("deadlines fired a second, two nodes", "thời hạn được kích hoạt mỗi giây, hai nút"),
    ),
)


def number(value: float) -> str:
    """Return a figure as a page shows it: three digits that mean something, thousands apart."""
    if value != value:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def figures(measured: dict[str, Any], language: str) -> str:
    """Return the tables of all benchmarks, and of each that has a chart its picture."""
    words, parts = WORDS[language], []
    for name, entry in measured["benchmarks"].items():
        title = TITLES[name][language == "vi"]
        parts.append(f"### {name}: {title}\n")
        parts.append("| " + " | ".join(HEADS[language]) + " |\n|---|--:|--:|--:|---|")
        for figure, told in entry["figures"].items():
            goal = told.get("goal")
            bound = f"{'≤' if goal['most'] else '≥'} {number(goal['bound'])}" if goal else ""
            verdict = ""
            if goal:
                verdict = words["met"] if goal["met"] else words["missed"].format(by=goal["missed_by"])
            if "postgresql" in told:
                verdict = f"PostgreSQL: {number(told['postgresql'])}"
            spread = number(told["spread"]) if len(told["runs"]) > 1 else "–"
            parts.append(f"| {figure} | {number(told['median'])} | {spread} | {bound} | {verdict} |")
        parts.append("")
        parts += [f"{remark[0].upper()}{remark[1:]}.\n" for remark in entry["remarks"]]
        if "measured" in entry:
            parts.append(words["elsewhere"].format(**entry["measured"]) + "\n")
        if bench_svg.has_chart(name, entry):
            parts.append(f"![{title}](../pictures/bench-{name.lower()}.svg)\n")
        if stacks := measured["flames"].get(name):
            told = bench_flame.told(stacks, language)
            parts.append(words["flame"].format(samples=bench_flame.counted(stacks), told=told) + "\n")
            parts.append(f"![{title}: {words['picture']}](../pictures/flame-{name.lower()}.svg)\n")
    return "\n".join(parts)


def machine(measured: dict[str, Any], language: str) -> str:
    """Return on what, when and how it was measured, and whether it may be quoted."""
    on, versions = measured["machine"], measured["versions"]
    if language == "vi":
        said = (
            f"Đo lúc {measured['measured_at']} trên {on['cpus']} lõi ({on['model']}, {on['memory_gib']} GiB), "
            f"{versions['postgresql']}, Python {versions['python']}; cỡ {measured['scale']:g}, {measured['runs']} lần; "
            f"bản `{measured['commit'][:12]}`."
        )
        warning = "> **Chưa phải số liệu chính thức**: đo thử ở cỡ nhỏ, hoặc khi máy đang bận.\n"
    else:
        said = (
            f"Measured at {measured['measured_at']} on {on['cpus']} cores ({on['model']}, {on['memory_gib']} GiB) with "
            f"{versions['postgresql']} and Python {versions['python']}; scale {measured['scale']:g}, "
            f"{measured['runs']} runs; commit `{measured['commit'][:12]}`."
        )
        warning = "> **Not for the record**: measured at a small scale, or while the machine was busy.\n"
    return said + "\n" + ("" if is_record(measured) else "\n" + warning)


def is_record(measured: dict[str, Any]) -> bool:
    """Tell whether a measurement may be quoted: large enough, repeated, on a machine that did nothing else."""
    return measured["scale"] >= 0.5 and measured["runs"] >= 3 and measured["load_before"] < 1


def capacity(measured: dict[str, Any], language: str) -> str:
    """Return the table for planning: what one node does an hour, and how far that is from the loads to plan for."""

    def median(name: str, figure: str) -> float | None:
        told = measured["benchmarks"].get(name, {}).get("figures", {}).get(figure)
        return told["median"] if told else None

    rows = []
    for name, figure, need, labels in _NEEDS:
        found = median(name, figure)
        if found is not None:
            rows.append(f"| {labels[language == 'vi']} | {number(found)} | {number(need)} | {found / need:.1f} × |")
    head = {
        "en": "| what | measured | needed at the peak of 100,000 requests a day | room |\n|---|--:|--:|--:|",
        "vi": "| việc | đo được | cần ở giờ cao điểm của 100.000 yêu cầu một ngày | dư |\n|---|--:|--:|--:|",
    }[language]
    return "\n".join([head, *rows, ""])


def rendered(page: str, measured: dict[str, Any], language: str) -> str:
    """Return a page with what stands between its marks made anew."""
    makers = {"figures": figures, "machine": machine, "capacity": capacity}
    return _BLOCK.sub(lambda found: f"{found[1]}\n{makers[found[2]](measured, language)}\n{found[3]}", page)


def merged(kept: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the new measurement and, of what it did not measure, what was kept, with when that was."""
    of_then = {"at": kept["measured_at"], "commit": kept["commit"][:12]}
    benchmarks, flames = dict(new["benchmarks"]), dict(new["flames"])
    for name, entry in kept["benchmarks"].items():
        if name not in benchmarks:
            benchmarks[name] = {"measured": of_then, **entry}
            if name in kept["flames"]:
                flames[name] = kept["flames"][name]
    # In the order of the page, whatever was measured when.
    ordered = {name: benchmarks[name] for name in kept["benchmarks"] | benchmarks}
    return {**new, "benchmarks": ordered, "flames": flames}


def main(arguments: list[str]) -> int:
    """Write both pages and the charts; with ``--check`` only say whether they are as they would be written."""
    parser = argparse.ArgumentParser(description="write the handbook's figures anew")
    parser.add_argument("--keep", type=Path, help="the measurement to commit, as make bench wrote it")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    measured = json.loads(MEASURED.read_text())
    if given.keep is not None:
        measured = merged(measured, json.loads(given.keep.read_text()))
        MEASURED.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    wanted = {page: rendered(page.read_text(), measured, language) for language, page in PAGES.items()}
    for name, entry in measured["benchmarks"].items():
        if bench_svg.has_chart(name, entry):
            wanted[PICTURES / f"bench-{name.lower()}.svg"] = bench_svg.chart(name, TITLES[name][0], entry)
    for name, stacks in measured["flames"].items():
        title = f"{name}: where the time of a node went"
        wanted[PICTURES / f"flame-{name.lower()}.svg"] = bench_flame.chart(title, stacks)
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(path.relative_to(ROOT))
        if not given.check:
            path.write_text(wanted[path])
    return int(given.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
