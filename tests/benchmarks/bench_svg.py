"""Bar charts as SVG, in the handbook's colours, light and dark: a few rectangles need no library."""

from typing import Any
from xml.sax.saxutils import escape

# Per benchmark: the figures that stand side by side, in one unit.
SERIES = {
    "A1": ("requests/s", "pgbench/s"),
    "A2": ("orders/s", "bare transport/s", "pgqueuer/s", "procrastinate/s"),
    "A3": ("median ms without", "median ms", "p99 ms without", "p99 ms"),
    "A4": ("p50 ms late", "p99 ms late"),
    "A6": ("claim ×", "fire ×", "timeline ×"),
    "A7": ("first attempt p50 s", "first attempt p99 s"),
    "A9": tuple(f"{page} ms p50" for page in ("/board", "/", "/tasks", "/escalations", "/delivery", "/participants")),
    "A8": ("A1 requests/s", "A2 orders/s", "A4 at one instant: deadlines/s"),
}
# What stands there to compare with.
_OTHERS = ("pgbench", "bare", "pgqueuer", "procrastinate", "without")
_WIDTH, _ROW, _TOP, _LEFT, _RIGHT = 720, 34, 56, 230, 110
_STYLE = (
    ":root { color-scheme: light dark; } .paper { fill: #fbfaf7; } .ink { fill: #22262b; } .soft { fill: #636a72; }"
    " .ours { fill: #c8481f; } .other { fill: #5b87a6; } .goal { stroke: #22262b; stroke-dasharray: 4 3; }"
    " @media (prefers-color-scheme: dark) { .paper { fill: #14171a; } .ink { fill: #e8e6e1; } .soft { fill: #a4abb2; }"
    " .goal { stroke: #e8e6e1; } }"
)


def has_chart(name: str, entry: dict[str, Any]) -> bool:
    """Tell whether there is anything of this benchmark to show side by side."""
    return len(_shown(name, entry)) > 1


def chart(name: str, title: str, entry: dict[str, Any]) -> str:
    """Return the chart: a bar a figure, its spread as a thin line, its goal as a dashed one."""
    shown = _shown(name, entry)
    goals = [told["goal"]["bound"] for told in shown.values() if "goal" in told]
    most = max([*(max(told["runs"]) for told in shown.values()), *goals]) or 1.0
    height = _TOP + _ROW * len(shown) + 16

    def across(value: float) -> float:
        return (_WIDTH - _LEFT - _RIGHT) * value / most

    said = "; ".join(f"{figure} {told['median']:.3g}" for figure, told in shown.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d"'
        " font-family=\"'Be Vietnam Pro', 'Segoe UI', 'Helvetica Neue', Arial, sans-serif\">",
        f'<title id="t">{escape(name)}: {escape(title)}</title>',
        f'<desc id="d">{escape(said)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        f'<text class="ink" x="20" y="32" font-size="17" font-weight="600">{escape(name)}: {escape(title)}</text>',
    ]
    for at, (figure, told) in enumerate(shown.items()):
        y = _TOP + at * _ROW
        is_ours = not any(word in figure for word in _OTHERS)
        median, low, high = told["median"], min(told["runs"]), max(told["runs"])
        x, end = _LEFT + across(median), _LEFT + across(max(median, high))
        parts += [
            f'<text class="ink" x="{_LEFT - 12}" y="{y + 16}" font-size="13" text-anchor="end">{escape(figure)}</text>',
            f'<rect class="{"ours" if is_ours else "other"}" x="{_LEFT}" y="{y}" width="{x - _LEFT:.1f}" height="22"/>',
        ]
        if high > low:
            ends = f'x1="{_LEFT + across(low):.1f}" x2="{end:.1f}" y1="{y + 11}" y2="{y + 11}"'
            parts.append(f'<line class="goal" {ends} style="stroke-dasharray: none"/>')
        if "goal" in told:
            x = _LEFT + across(told["goal"]["bound"])
            parts.append(f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 4}" y2="{y + 26}"/>')
        value = f"{median:,.0f}" if median >= 1000 else f"{median:.3g}"
        parts.append(f'<text class="soft" x="{end + 8:.1f}" y="{y + 16}" font-size="13">{value}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _shown(name: str, entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = entry["figures"]
    return {figure: found[figure] for figure in SERIES.get(name, ()) if figure in found}
