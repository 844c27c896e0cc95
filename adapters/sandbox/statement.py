"""What moved on each account of a sandbox: the same made-up story within whatever window is asked about."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from workflows.terms import Direction, MovementKind, TargetKind

# How far into the window, which way, how much in ₫, how, and to whom: kind, number, institution. Nobody of them exists.
_STORY = (
    (0.25, Direction.IN, 200_000_000, MovementKind.TRANSFER, (TargetKind.ACCOUNT, "9704000000001", "970422")),
    (0.40, Direction.OUT, 120_000_000, MovementKind.TRANSFER, (TargetKind.ACCOUNT, "9704000000002", "970418")),
    (0.50, Direction.OUT, 49_000_000, MovementKind.TOP_UP, (TargetKind.WALLET, "0980000002", "MoMo")),
    (0.60, Direction.OUT, 20_000_000, MovementKind.CASH, None),
)


def moved(since: str, until: str) -> Sequence[dict[str, Any]]:
    """Return the movements of a window, the largest first, as an acknowledgement has them; both are RFC 3339 texts."""
    start, end = datetime.fromisoformat(since), datetime.fromisoformat(until)
    return [
        {
            "direction": direction,
            "amount": {"value": str(amount), "currency": "VND"},
            "at": _written(start + (end - start) * share),
            "kind": kind,
            **({"counterparty": _named(*other)} if other else {}),
        }
        for share, direction, amount, kind, other in sorted(_STORY, key=lambda each: each[2], reverse=True)
    ]


def _named(kind: TargetKind, value: str, institution: str) -> dict[str, str]:
    return {"kind": kind, "value": value, "institution": institution}


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
