"""Lays a case out as a drawing: its targets at the left, what each participant did with them towards the right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from service.queries.cases import Step
from workflows.terms import OrderState

# More than this is a list, not a picture: the table says it all.
MOST = 60
WIDE, HIGH, GAP_ACROSS, GAP_DOWN = 290, 52, 80, 14


@dataclass(frozen=True, slots=True)
class Node:
    """A box: ``shape`` repeats in form what ``tone`` says in colour and ``state`` in words."""

    x: int
    y: int
    title: str
    under: str
    tone: str
    shape: str
    state: str

    @property
    def outline(self) -> str:
        """Its shape, as an SVG path."""
        return OUTLINES[self.shape]


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one box to the next, as an SVG path."""

    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole trail and how large it is."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int


_RIGHT, _BOTTOM, _MIDDLE, _CUT, _TIP = WIDE, HIGH, HIGH // 2, 12, WIDE - 18
# The outline of each shape, as an SVG path.
OUTLINES = {
    "box": f"M0 0H{_RIGHT}V{_BOTTOM}H0Z",
    "dashed": f"M0 0H{_RIGHT}V{_BOTTOM}H0Z",
    "arrow": f"M0 0H{_TIP}L{_RIGHT} {_MIDDLE}L{_TIP} {_BOTTOM}H0Z",
    "cut": f"M{_CUT} 0H{_RIGHT - _CUT}L{_RIGHT} {_CUT}V{_BOTTOM - _CUT}L{_RIGHT - _CUT} {_BOTTOM}H{_CUT}"
    f"L0 {_BOTTOM - _CUT}V{_CUT}Z",
    "round": f"M{_MIDDLE} 0H{_RIGHT - _MIDDLE}A{_MIDDLE} {_MIDDLE} 0 0 1 {_RIGHT - _MIDDLE} {_BOTTOM}"
    f"H{_MIDDLE}A{_MIDDLE} {_MIDDLE} 0 0 1 {_MIDDLE} 0Z",
}
_SHAPES = {
    OrderState.EXECUTED: "box",
    OrderState.LIFTED: "round",
    OrderState.REFUSED: "cut",
    OrderState.REROUTED: "arrow",
}


def draw(
    steps: Sequence[Step],
    *,
    target: Callable[[Step], tuple[str, str]],
    member: Callable[[Step], tuple[str, str, str, str]],
) -> Drawing | None:
    """Return the drawing of at most ``MOST`` steps, or None where there is none or are more.

    ``target`` says a step's target: title and what stands under it; ``member`` its participant: title, what stands
    under it, the tone and the word of its state. An order that was passed on stands behind the one that it came from.
    """
    if not steps or len(steps) > MOST:
        return None
    column = _columns(steps)
    rows: dict[UUID, int] = {}
    targets: dict[UUID, int] = {}
    for step in steps:
        if step.from_id in rows:
            rows[step.id] = rows[step.from_id]
            continue
        rows[step.id] = len([each for each in rows if column[each] == 1])
        targets.setdefault(step.target_id, rows[step.id])
    nodes, edges = [], []
    for step in steps:
        title, under, tone, state = member(step)
        x, y = column[step.id] * (WIDE + GAP_ACROSS), rows[step.id] * (HIGH + GAP_DOWN)
        nodes.append(Node(x, y, title, under, tone, _SHAPES.get(step.state, "dashed"), state))
        before = rows[step.from_id] if step.from_id in rows else targets[step.target_id]
        edges.append(_edge(x - GAP_ACROSS, before * (HIGH + GAP_DOWN), x, y))
        if targets.get(step.target_id) == rows[step.id] and column[step.id] == 1:
            nodes.append(Node(0, y, *target(step), "quiet", "round", ""))
    width = (max(column.values()) + 1) * (WIDE + GAP_ACROSS) - GAP_ACROSS
    return Drawing(tuple(nodes), tuple(edges), width, (max(rows.values()) + 1) * (HIGH + GAP_DOWN) - GAP_DOWN)


def _columns(steps: Sequence[Step]) -> dict[UUID, int]:
    """Return how far to the right each order stands: one behind the order that it was passed on from."""
    column: dict[UUID, int] = {}
    for step in steps:
        column[step.id] = column.get(step.from_id, 0) + 1 if step.from_id else 1
    return column


def _edge(x1: int, y1: int, x2: int, y2: int) -> Edge:
    start, end, middle = y1 + HIGH // 2, y2 + HIGH // 2, (x1 + x2) // 2
    return Edge(f"M{x1} {start}C{middle} {start} {middle} {end} {x2} {end}")
