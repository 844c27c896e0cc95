"""Trust tests stand on what hub tests stand on: a hub on each database, its doors, and time that moves."""

import pytest

# Imported here before a test names it in pytest_plugins, which asks for this.
pytest.register_assert_rewrite("api_fixtures", "nodes_trust")

from api_fixtures import api  # noqa: E402
from hub.conftest import FastForward, build, database_url, fast_forward, hub, rig, templates  # noqa: E402
from nodes_trust import nodes  # noqa: E402

__all__ = ["FastForward", "api", "build", "database_url", "fast_forward", "hub", "nodes", "rig", "templates"]
