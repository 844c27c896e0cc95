"""The door of a worker that has no other: it tells of the worker, or the worker does not start."""

import httpx
import pytest

from service import app as wiring
from service.cli import health_door
from service.engine.hub import Hub
from service.web import front

ANY = 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_it_answers_for_as_long_as_it_is_open(hub: Hub) -> None:
    worker = wiring.make_worker(hub)
    with front.bound("127.0.0.1", ANY) as door:
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        async with health_door.opened(wiring.create_health_app(hub, worker), door), httpx.AsyncClient() as http:
            assert (await http.get(f"{address}/healthz")).json()["status"] == "ok"
            # It has not begun: nobody has seen it, and nothing ticks.
            ready = await http.get(f"{address}/readyz")
            assert (ready.status_code, ready.json()["faults"]) == (503, ["node.unseen", "worker.no_tick"])
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"{address}/healthz")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_another_one_that_listens_there_first_is_told(hub: Hub) -> None:
    with front.bound("127.0.0.1", ANY) as faster, front.bound("127.0.0.1", faster.getsockname()[1]) as door:
        faster.listen()
        with pytest.raises(OSError, match="in use"):
            async with health_door.opened(wiring.create_health_app(hub, wiring.make_worker(hub)), door):
                raise AssertionError("it was opened")
