"""The way out of the hub, for the tests that send something to servers of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from wire_servers import to_loopback

from adapters.transport import Transport


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """A transport for which every name is this machine."""
    made = Transport(allow_loopback=True, resolve=to_loopback)
    yield made
    await made.aclose()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Let what speaks to others be tested on the loop that nodes run on (ADR 0069)."""
    return {"uvloop": uvloop.new_event_loop}
