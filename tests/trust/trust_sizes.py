"""How much a trust test tries, from which seed, and how it reports what it found.

``make test`` runs these tests at gate size, ``make trust`` at full size::

    N = trust_sizes.size(gate=200, full=2_000)
    draw = random.Random(trust_sizes.seed())
    …
    record_property(*trust_sizes.figure("P12", "T-4EYES", n=N, violations=len(wrong), database=kind))
    assert not wrong
"""

import json
import os

VARIABLE = "HOATOC_TRUST"
SEED = "HOATOC_SEED"
GATE_SEED = 20261124


def is_full() -> bool:
    """Tell whether this is a run at full size."""
    return os.environ.get(VARIABLE) == "1"


def size(gate: int, full: int) -> int:
    """Return how many attempts to make: ``gate`` on every merge, ``full`` before a promise is said to anybody."""
    return full if is_full() else gate


def seed() -> int:
    """Return the seed of this run: HOATOC_SEED, or at gate size always the same."""
    return int(os.environ.get(SEED) or GATE_SEED)


def figure(promise: str, what: str, *, n: int, violations: int, **more: str | int | float) -> tuple[str, str]:
    """Return a promise's figure as what ``record_property`` takes; record it before the assertion, or it is not seen.

    ``promise`` is its id (P8), ``what`` the test's name in short and what was tried, ``n`` the attempts really made.
    """
    return "trust", json.dumps(
        {"promise": promise, "what": what, "n": n, "seed": seed(), "violations": violations, **more}
    )
