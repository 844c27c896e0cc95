"""The way out of the hub, for the tests that send something to servers of their own."""

from collections.abc import AsyncIterator

import pytest
from wire_servers import to_loopback

from adapters.transport import Transport


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """A transport for which every name is this machine."""
    made = Transport(allow_loopback=True, resolve=to_loopback)
    yield made
    await made.aclose()
