"""How the tests run: on the loop that nodes run on (ADR 0069), with a collector that is as rarely at work as theirs."""

import asyncio
import gc
from collections.abc import Callable, Mapping

import uvloop

# So many new objects between two looks at the young ones, and so many of those between two at all there are.
_YOUNG, _MIDDLE, _ALL = 50_000, 20, 100


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one way in which pytest-asyncio makes a loop."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Look no more at what was imported: it stays, and looking through it takes a tenth of all the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _ALL)
