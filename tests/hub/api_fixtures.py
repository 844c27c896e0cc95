"""The fixture of the tests that stand before the real door; each of them names this module in ``pytest_plugins``."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from apis import DAY, Api
from world import World

from service import app as application
from service import db
from service.engine.hub import Hub
from service.security.keyring import SigningKey
from service.web.limits import Limits


@pytest.fixture
async def api(hub: Hub) -> AsyncIterator[Api]:
    """The application on each of the two databases, with systems that have their tokens."""
    async with hub.database.read() as conn:
        now = await db.now(conn)
    keys = tuple(SigningKey.generate(not_before=now - DAY, not_after=now + 90 * DAY) for _ in range(2))
    signing = replace(hub, signing=keys)
    app = application.create_app(signing)
    app.state.limits = {name: Limits(100_000, 1_000_000) for name in app.state.limits}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=signing.settings.address) as http:
        made = Api(World(signing), http, app)
        await made.settle_in()
        yield made
