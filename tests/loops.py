"""The loop that the tests run on: the one that nodes run on (ADR 0069)."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one way in which pytest-asyncio makes a loop."""
    return {"uvloop": uvloop.new_event_loop}
