"""The fixture of the tests that make a drill's database; each of them names this module in ``pytest_plugins``."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from postgres import OWNER


@pytest.fixture(params=["sqlite", "postgresql"])
async def nothing(request: pytest.FixtureRequest, templates: Any) -> AsyncIterator[str | None]:
    """An empty PostgreSQL database, by the login that owns it, or None: an embedded one that nobody has made yet."""
    if request.param == "sqlite":
        yield None
        return
    name = f"test_{uuid4().hex}"
    await templates.admin(f'CREATE DATABASE "{name}" OWNER {OWNER}')
    yield templates.url(name, OWNER)
    await templates.admin(f'DROP DATABASE "{name}" WITH (FORCE)')
