"""Where a watched node's time went: the flame graph that py-spy drew, folded, as shares and as a chart of the house."""

import html
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# What stands in the hub's own folders is named by file and function, everything else by its package.
HOUSE = ("service", "adapters", "workflows")
# They call each other at every step: one box.
FRAMEWORK = "fastapi"
_FRAMEWORK = frozenset({"fastapi", "starlette", "uvicorn", "anyio"})
# In the order in which they are told: what the innermost package of a stack is counted as.
KINDS = {
    "database": ("database driver, SQL", "trình điều khiển cơ sở dữ liệu, SQL"),
    "doors": ("HTTP, input", "HTTP, đầu vào"),
    "crypto": ("signatures, sealing", "chữ ký, niêm phong"),
    "house": ("the hub's code", "mã của hệ thống"),
    "loop": ("loop, sockets, TLS", "vòng lặp, socket, TLS"),
    "other": ("other", "khác"),
}
_PACKAGES = {
    **dict.fromkeys(("sqlalchemy", "asyncpg", "aiosqlite", "greenlet", "sqlmodel"), "database"),
    **dict.fromkeys((FRAMEWORK, "h11", "pydantic", "httpx", "httpcore"), "doors"),
    **dict.fromkeys(("cryptography", "jose", "service/vault", "service/security"), "crypto"),
    **dict.fromkeys(HOUSE, "house"),
}
# Thinner than this share of all is counted to what called it: nobody could read it.
LEAST = 0.005
_FRAME = re.compile(
    r'<g><title>(.*?) \([\d,]+ samples, [\d.]+%\)</title><rect [^>]*? y="(\d+)" [^>]*fg:x="(\d+)" fg:w="(\d+)"'
)
_PLACE = re.compile(r"^(.*) \((.+?)(?:\.py)?:\d+\)$")
_WIDTH, _ROW, _TOP, _CHARACTER = 960, 19, 84, 6.3
_STYLE = (
    ":root { color-scheme: light dark; } .paper { fill: #fbfaf7; } .ink { fill: #22262b; } .soft { fill: #636a72; }"
    " .house { fill: #f0a58c; } .crypto { fill: #e3c26b; } .database { fill: #a9c3d6; } .doors { fill: #b7cfae; }"
    " .loop, .other { fill: #d5d2ca; } .word { fill: #22262b; } rect { stroke: #fbfaf7; stroke-width: 0.5; }"
    " @media (prefers-color-scheme: dark) { .paper { fill: #14171a; } .ink { fill: #e8e6e1; } .soft { fill: #a4abb2; }"
    " rect { stroke: #14171a; } }"
)


@dataclass
class _Node:
    samples: int = 0
    below: "dict[str, _Node]" = field(default_factory=dict)

    def add(self, stack: Sequence[str], samples: int) -> None:
        self.samples += samples
        if stack:
            self.below.setdefault(stack[0], _Node()).add(stack[1:], samples)

    def stacks(self, least: float, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
        shown = {name: node for name, node in self.below.items() if node.samples >= least}
        if alone := self.samples - sum(node.samples for node in shown.values()):
            yield above, alone
        for name, node in sorted(shown.items()):
            yield from node.stacks(least, (*above, name))


def folded(drawn: str) -> list[str]:
    """Return py-spy's graph as folded stacks, ``outer;inner samples``: lines joined to functions, packages to names.

    What is on every stack says nothing and is left out: the command line, the runner, the loop's own call.
    """
    tree = _Node()
    for stack, samples in _stacks(drawn):
        tree.add(_named(stack), samples)
    return [f"{';'.join(stack)} {samples}" for stack, samples in tree.stacks(LEAST * tree.samples)]


def shares(stacks: Iterable[str]) -> dict[str, float]:
    """Return how many per cent of the samples each of ``KINDS`` has: a stack is what its innermost box is."""
    found = dict.fromkeys(KINDS, 0)
    for stack, samples in map(_parted, stacks):
        found[_kind(stack[-1]) if stack else "loop"] += samples
    total = sum(found.values()) or 1
    return {kind: 100 * samples / total for kind, samples in found.items()}


def counted(stacks: Iterable[str]) -> int:
    """Return of how many samples the stacks are."""
    return sum(samples for _, samples in map(_parted, stacks))


def chart(title: str, stacks: Sequence[str]) -> str:
    """Return the graph: outer calls above what they called, each as wide as its share of the samples."""
    tree = _Node()
    for stack, samples in map(_parted, stacks):
        tree.add(stack, samples)
    boxes = list(_boxes(tree, 0, 0))
    height = _TOP + _ROW * (1 + max((row for _, row, _, _ in boxes), default=0)) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d"'
        " font-family=\"'Be Vietnam Pro', 'Segoe UI', 'Helvetica Neue', Arial, sans-serif\">",
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(told(stacks, "en"))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        f'<text class="ink" x="20" y="32" font-size="17" font-weight="600">{escape(title)}</text>',
        f'<text class="soft" x="{_WIDTH - 20}" y="32" font-size="12" text-anchor="end">{tree.samples:,} samples</text>',
    ]
    x = 20.0
    for kind, share in _largest(stacks):
        word = f"{KINDS[kind][0]} {share:.0f} %"
        parts += [
            f'<rect class="{kind}" x="{x:.1f}" y="51" width="12" height="12"/>',
            f'<text class="ink" x="{x + 17:.1f}" y="61" font-size="12">{escape(word)}</text>',
        ]
        x += 34 + len(word) * _CHARACTER
    for name, row, at, samples in boxes:
        x, wide = 20 + (_WIDTH - 40) * at / tree.samples, (_WIDTH - 40) * samples / tree.samples
        y = _TOP + _ROW * row
        said = f"{name}: {100 * samples / tree.samples:.1f} %"
        parts.append(
            f'<rect class="{_kind(name)}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{_ROW}">'
            f"<title>{escape(said)}</title></rect>"
        )
        short = name.rpartition("/")[2]
        room = int((wide - 6) / _CHARACTER)
        if room >= 4:
            word = short if len(short) <= room else f"{short[: room - 1]}…"
            parts.append(f'<text class="word" x="{x + 4:.1f}" y="{y + 13}" font-size="11">{escape(word)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def told(stacks: Sequence[str], language: str) -> str:
    """Return the shares as words, the largest first."""
    return ", ".join(f"{KINDS[kind][language == 'vi']} {share:.0f} %" for kind, share in _largest(stacks))


def _largest(stacks: Sequence[str]) -> list[tuple[str, float]]:
    return sorted(((kind, share) for kind, share in shares(stacks).items() if share >= 1), key=lambda each: -each[1])


def _stacks(drawn: str) -> Iterator[tuple[list[str], int]]:
    frames = [(int(at), int(y), int(wide), html.unescape(name)) for name, y, at, wide in _FRAME.findall(drawn)]
    if not frames:
        raise ValueError("no flame graph of py-spy")
    frames.sort()
    # The root is what is as wide as all; every other frame hangs below one that spans it.
    open_: list[tuple[int, int, str, int]] = []

    def leave(until: int | None) -> Iterator[tuple[list[str], int]]:
        while open_ and (until is None or open_[-1][1] <= until):
            names, (_, _, _, alone) = [each[2] for each in open_], open_.pop()
            if alone:
                yield names[1:], alone

    for at, _, wide, name in frames:
        yield from leave(at)
        if open_:
            begin, end, outer, alone = open_[-1]
            open_[-1] = (begin, end, outer, alone - wide)
        open_.append((at, at + wide, name, wide))
    yield from leave(None)


def _named(stack: Sequence[str]) -> list[str]:
    names: list[str] = []
    for frame in stack:
        name = _name(frame)
        if name is not None and (not names or names[-1] != name):
            names.append(name)
    return names


def _name(frame: str) -> str | None:
    found = _PLACE.match(frame)
    if found is None:
        return None
    function, path = found[1], found[2]
    package = path.partition("/")[0]
    if package in HOUSE:
        # A middleware only hands on, and the command line only waits.
        passes = path.startswith("service/cli/") or (path.startswith("service/web/") and function.endswith("__call__"))
        return None if passes else f"{path}.{function.rpartition('.')[2]}"
    if package in _FRAMEWORK:
        return FRAMEWORK
    # Python's own library is counted to whoever called it.
    return None if package in sys.stdlib_module_names or path.startswith("<") or package == "typer" else package


def _kind(name: str) -> str:
    parts = name.partition(".")[0].split("/")
    return next((_PACKAGES[each] for each in ("/".join(parts[:2]), parts[0]) if each in _PACKAGES), "other")


def _parted(line: str) -> tuple[tuple[str, ...], int]:
    stack, _, samples = line.rpartition(" ")
    return tuple(stack.split(";")) if stack else (), int(samples)


def _boxes(node: _Node, row: int, at: int) -> Iterator[tuple[str, int, int, int]]:
    for name, below in sorted(node.below.items(), key=lambda each: -each[1].samples):
        yield name, row, at, below.samples
        yield from _boxes(below, row + 1, at)
        at += below.samples
