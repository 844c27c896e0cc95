"""Nodes as real processes: they share the work, refuse what they may not do, and leave without losing an answer."""

import asyncio
import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import journey_history
import journey_network
import pytest
import sqlalchemy as sa
from journey_history import Found
from journey_network import AGENCY, BANKS, Network, Police
from journey_processes import Process, until
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.base import DeliveryFailed
from adapters.sandbox.server import EmbeddedServer
from adapters.sandbox.tls import SandboxTls
from service import db
from service.db import Database
from service.models import Attempt, QueueItem
from service.settings import Settings
from service.web import front
from workflows.terms import OrderState

_ATTEMPTS = sa.inspect(Attempt).local_table
_QUEUE = sa.inspect(QueueItem).local_table
PROMPT = {name: BANKS[name] for name in ("vietcombank", "techcombank")}
pytestmark = pytest.mark.xdist_group("processes")


async def file(police: Police, number: int) -> str:
    """File a freeze at one of the prompt banks and have it approved; return the request's id."""
    return await active(police, journey_network.freeze(f"999{number:010d}", sorted(PROMPT)[number % 2]))


async def active(police: Police, body: dict[str, Any]) -> str:
    """File a request and have a second officer approve it."""
    answer = await police.submit(body)
    assert answer.status == 201, answer.body
    request_id: str = json.loads(answer.body)["id"]
    approved = await police.approve(request_id, body, f"{AGENCY}-approver")
    assert approved.status == 201, approved.body
    return request_id


async def executed(network: Network, count: int) -> Found:
    """Wait until so many orders are executed, and return what the database holds."""
    async with journey_network.reading(network.settings) as database:

        async def all_executed() -> bool:
            found = await journey_history.read(database)
            states = [order["state"] for orders in found.orders.values() for order in orders]
            return len(states) >= count and set(states) == {OrderState.EXECUTED} and not found.queued

        await until(all_executed, 60, f"{count} executed orders", every=0.2)
        return await journey_history.read(database, verify=True)


async def test_two_nodes_on_one_postgresql_share_the_work(tmp_path: Path) -> None:
    async with asyncio.timeout(180), journey_network.database_of("postgresql") as url:
        settings = journey_network.settings_of(tmp_path, url, policy="vn-default", node="a")
        network = await journey_network.enroll(settings, PROMPT)
        serving = Process(settings)
        watched = journey_network.free_port()
        working = Process(
            settings.model_copy(update={"node": "b"}), "worker", more={"HOATOC_HEALTH_PORT": str(watched)}
        )
        async with network.playing(), serving.running(), working.running(wait=False):
            await until(lambda: _says(working, "worker b is running"), 60, lambda: working.text)
            police, filed = network.police(AGENCY), 0

            async def both_have_sent() -> bool:
                nonlocal filed
                await asyncio.gather(*(file(police, filed + more) for more in range(1, 9)))
                filed += 8
                async with journey_network.reading(settings) as database, database.read() as conn:
                    nodes = set((await conn.execute(sa.select(_ATTEMPTS.c.node).distinct())).scalars())
                return nodes == {"a", "b"} and filed >= 40

            await until(both_have_sent, 60, "work by both nodes", every=0.5)
            found = await executed(network, filed)
            await _is_watched(watched)
            assert await working.stop() == 0, working.text
            assert await serving.stop() == 0, serving.text
    assert found.findings == ()
    received = Counter(data["order_id"] for data in network.told("received"))
    assert set(received.values()) == {1} and len(received) == filed
    assert network.told("duplicate") == []


async def _is_watched(port: int) -> None:
    """Look at a worker as the operator's monitoring does: it tells of itself, and opens no other door."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["faults"]) == (200, []), ready.text
        assert (await http.get("/healthz")).status_code == 200
        figures = {
            sample.name: sample
            for family in text_string_to_metric_families((await http.get("/metrics")).text)
            for sample in family.samples
        }
        assert figures["hoatoc_delivery_attempts_total"].value > 0
        assert abs(figures["hoatoc_clock_offset_seconds"].value) < 1
        for path in ("/v1/requests", "/", "/oauth/token", "/jwks.json"):
            assert (await http.get(path)).status_code == 404, path


async def test_a_worker_whose_door_is_taken_says_so_and_does_not_start(tmp_path: Path) -> None:
    async with asyncio.timeout(120), journey_network.database_of("postgresql") as url:
        settings = journey_network.settings_of(tmp_path, url)
        await journey_network.enroll(settings, {})
        with front.bound(settings.host, 0) as taken:
            taken.listen()
            port = str(taken.getsockname()[1])
            worker = Process(settings, "worker", more={"HOATOC_HEALTH_PORT": port})
            async with worker.running(wait=False):
                assert await worker.ended() == 1
    assert f"port {port} of {settings.host} is taken" in worker.text and "HOATOC_HEALTH_PORT" in worker.text
    assert "Traceback" not in worker.text and "is running" not in worker.text


async def test_a_second_process_on_the_embedded_database_is_refused(tmp_path: Path) -> None:
    async with asyncio.timeout(120):
        settings = journey_network.settings_of(tmp_path, None)
        await journey_network.enroll(settings, {})
        first = Process(settings)
        async with first.running():
            elsewhere = settings.model_copy(update={"port": journey_network.free_port(), "node": "second"})
            second = Process(elsewhere)
            async with second.running(wait=False):
                assert await second.ended() == 1
            assert "another process holds" in second.text and "PostgreSQL" in second.text
            assert "Traceback" not in second.text
            worker = Process(elsewhere, "worker")
            async with worker.running(wait=False):
                assert await worker.ended() == 1
            assert "hoatoc serve has the worker inside" in worker.text
            await first.ready()
            assert await first.stop() == 0, first.text


@pytest.mark.parametrize("kind", journey_network.DATABASES)
async def test_a_node_that_is_told_to_stop_finishes_what_is_under_way(kind: str, tmp_path: Path) -> None:
    """A delivery is half way and clients are filing; each of them gets its answer, and none is sent a second time."""
    async with asyncio.timeout(180), journey_network.database_of(kind) as url:
        settings = journey_network.settings_of(tmp_path, url, policy="vn-default", node="leaving")
        # The longest that an endpoint may think: what is tested is a stop, not a slow machine.
        network = await journey_network.enroll(settings, BANKS, timeout_seconds=30)
        slow = SlowReceiver(network.settings, int(network.sandboxes["bidv"].url.split(":")[2].split("/")[0]))
        del network.sandboxes["bidv"]
        node, police = Process(settings), network.police(AGENCY)
        answered: list[str] = []
        async with network.playing(), slow, node.running():
            answered.append(await active(police, journey_network.freeze("9990000000000", "bidv")))
            await asyncio.wait_for(slow.got_it.wait(), 20)
            filing = [asyncio.create_task(_file_until_refused(police, at * 1_000, answered)) for at in range(1, 5)]
            await until(lambda: _count(answered, 9), 30, "some load")
            stopping = asyncio.create_task(node.stop())
            # The first that is refused shows that the node is leaving; from then on its eight seconds may run.
            await asyncio.wait(filing, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            slow.go_on.set()
            await asyncio.wait_for(asyncio.gather(*filing), 30)
            assert await stopping == 0, node.text
            assert "Traceback" not in node.text
            async with journey_network.reading(settings) as database:
                found = await journey_history.read(database)
                async with database.read() as conn:
                    leased = (await conn.execute(sa.select(_QUEUE.c.id).where(_QUEUE.c.leased))).all()
            assert set(answered) <= {str(one) for one in found.requests}
            assert leased == []
            [order] = found.orders[uuid.UUID(answered[0])]
            assert order["state"] is OrderState.DELIVERED, "the delivery that was half way"
    assert slow.messages == 1


@pytest.mark.parametrize("command", ["worker", "serve"])
async def test_a_node_refuses_to_run_on_another_schema(command: str, tmp_path: Path) -> None:
    async with asyncio.timeout(120), journey_network.database_of("postgresql") as url:
        settings = journey_network.settings_of(tmp_path, url)
        await journey_network.enroll(settings, {})
        # Only the owner's login may write it, which is not the one that the node works as.
        owner = Database(settings.owner_url)
        await owner.write(
            lambda conn: conn.exec_driver_sql("UPDATE alembic_version SET version_num = 'from-the-future'"), db.NOBODY
        )
        await owner.close()
        node = Process(settings, command)
        async with node.running(wait=False):
            assert await node.ended() == 1
    assert "the database is at from-the-future" in node.text and "hoatoc db upgrade" in node.text
    assert "Traceback" not in node.text


class SlowReceiver:
    """A bank whose system takes an order and thinks about it until it is told to go on."""

    def __init__(self, settings: Settings, port: int) -> None:
        app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])
        self._server = EmbeddedServer(app, port, SandboxTls(settings.data_dir / "tls").files)
        self.got_it, self.go_on = asyncio.Event(), asyncio.Event()
        self.messages = 0

    async def __aenter__(self) -> "SlowReceiver":
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go_on.set()
        await self._server.stop()

    async def _take(self, request: Request) -> Response:
        await request.body()
        self.messages += 1
        self.got_it.set()
        await self.go_on.wait()
        return Response(status_code=202)


async def _file_until_refused(police: Police, first: int, answered: list[str]) -> None:
    """File one after the other until the node takes no connection any more; what it took, it must have answered."""
    for number in range(first, first + 1_000):
        try:
            answered.append(await file(police, number))
        except DeliveryFailed:
            return


async def _says(process: Process, line: str) -> bool:
    return line in process.text


async def _count(of: list[str], least: int) -> bool:
    return len(of) >= least
