"""What every benchmark stands on: a network enrolled once, a fresh copy of its database each time, real processes."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import journey_network
import sqlalchemy as sa
from journey_network import Network
from journey_processes import Process, environment, until
from postgres import LOGIN, OWNER

from adapters.sandbox.behaviour import Silent
from adapters.sandbox.tls import SandboxTls
from service import directory
from service.settings import Settings
from workflows.terms import Sector

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# An agency files 20 a second at most: together they must be faster than the hub.
AGENCIES = tuple(
    row.id for row in directory.participants() if row.sector is Sector.AGENCY and row.id.startswith(("pc02-", "pa05-"))
)[:60]
PLATFORMS = tuple(
    row for row in directory.participants() if row.sector is Sector.PLATFORM and len(row.short_name or "") > 1
)[:20]
READY_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Ground:
    """One benchmark's own hub: ``url`` is None for an embedded database, ``network`` who is enrolled with it."""

    kind: str
    network: Network
    admin_url: str | None

    @property
    def settings(self) -> Settings:
        """The settings of its first node."""
        return self.network.settings

    def node(self, name: str, *, delivers: bool = True, door: bool = True) -> Process:
        """Return a node of this hub that is not started yet: with a door or a worker, or both."""
        port = self.settings.port if name == "a" else journey_network.free_port()
        settings = self.settings.model_copy(update={"node": name, "port": port})
        if self.kind == "sqlite":
            return Process(settings) if delivers else _Doors(settings)
        command = ("serve",) if delivers else ("serve", "--no-worker")
        return Process(settings, *(command if door else ("worker",)))

    @contextlib.asynccontextmanager
    async def running(self, *nodes: Process) -> AsyncIterator[None]:
        """Run these nodes; return when each is ready; stop them in order."""
        async with contextlib.AsyncExitStack() as stack:
            # A log is gone on with: what a former self said in it is not said by this one.
            said = [node.log.stat().st_size if node.log.exists() else 0 for node in nodes]
            for node in nodes:
                await stack.enter_async_context(node.running(wait="worker" not in node.command))
            for node, before in zip(nodes, said, strict=True):
                if "worker" in node.command:
                    await _works(node, before)
            yield
            for node in nodes:
                if node.child is not None and node.child.returncode is None:
                    await node.stop()

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection past every policy, on PostgreSQL."""
        assert self.admin_url is not None
        conn = await asyncpg.connect(self.admin_url.replace("+asyncpg", ""))
        try:
            yield conn
        finally:
            await conn.close()

    @contextlib.asynccontextmanager
    async def receivers(
        self, behaviour: Mapping[str, Mapping[str, Any]] | None = None, *, answers: Sequence[Process] = ()
    ) -> AsyncIterator["Receivers"]:
        """Run the participants' HTTPS servers as a process; ``behaviour`` names a delay, or that one hangs.

        Each order is answered as executed at the doors of ``answers``, in turn; at none where there are none.
        """
        receivers = Receivers(self, dict(behaviour or {}), answers)
        await receivers.start()
        try:
            yield receivers
        finally:
            await receivers.stop()


class _Doors(Process):
    """A node of an embedded database that only takes what comes: no command is that."""

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                *(sys.executable, str(HERE / "bench_doors.py")),
                env={**environment(self.settings), "PYTHONPATH": str(HERE.parents[1])},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


async def _works(node: Process, before: int) -> None:
    async def is_running() -> bool:
        assert node.child is not None and node.child.returncode is None, node.text[-2000:]
        return b"is running" in node.log.read_bytes()[before:]

    await until(is_running, READY_WITHIN, lambda: f"the worker does not run:\n{node.text[-2000:]}")


class Receivers:
    """Twenty receivers in one process; afterwards ``heard`` are the arrivals: instant, participant, webhook id."""

    def __init__(self, ground: Ground, behaviour: dict[str, Mapping[str, Any]], answers: Sequence[Process]) -> None:
        network, folder = ground.network, ground.settings.data_dir
        self._said = folder / "heard.tsv"
        self._log = folder / "receivers.log"
        tls = SandboxTls(folder / "tls")
        ports = {str(port_of(network, name)): {"name": name, **behaviour.get(name, {})} for name in network.sandboxes}
        self._plan = {"files": tls.files, "ports": ports, "heard": str(self._said)}
        if answers:
            signers = {name: network.signers[name].as_dict(private=True) for name in network.sandboxes}
            keys = {name: network.keys[name] for name in network.sandboxes}
            doors = [(node.settings.host, node.settings.port) for node in answers]
            self._plan |= {"hub": ground.settings.address, "doors": doors, "keys": keys, "signers": signers}
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when all ports are open."""
        plan = self._said.with_suffix(".json")
        plan.write_text(json.dumps(self._plan))
        with self._log.open("wb") as log:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, str(HERE / "bench_receivers.py"), str(plan)),
                env={"PYTHONPATH": str(HERE.parents[1]), "PATH": "/usr/bin:/bin"},
                stdout=log,
                stderr=log,
            )

        async def is_ready() -> bool:
            assert self._child is not None and self._child.returncode is None, self._log.read_text()[-2000:]
            return "ready" in self._log.read_text()

        await until(is_ready, READY_WITHIN, lambda: self._log.read_text()[-2000:])

    async def stop(self) -> None:
        """End them; what they heard is on the disk then."""
        assert self._child is not None
        if self._child.returncode is None:
            self._child.send_signal(signal.SIGTERM)
            await self._child.wait()

    def heard(self) -> list[tuple[float, str, str]]:
        """Return what arrived, in order: seconds since 1970, the participant, the webhook id."""
        lines = (line.split("\t") for line in self._said.read_text().splitlines())
        return [(float(at), name, webhook_id) for at, name, webhook_id in lines]


def port_of(network: Network, name: str) -> int:
    """Return the port that a participant was registered with."""
    url = network.sandboxes[name].url
    return int(url.rpartition(":")[2].partition("/")[0])


class Grounds:
    """Enrols a network on each kind of database once and gives out copies of it."""

    def __init__(self, folder: Path, server: str) -> None:
        self._folder, self._server = folder, server
        self._made: dict[str, tuple[Network, str | None]] = {}

    async def fresh(self, kind: str) -> Ground:
        """Return a copy that nobody has used."""
        if kind not in self._made:
            self._made[kind] = await self._enrol(kind)
        network, template = self._made[kind]
        folder = self._folder / f"{kind}-{uuid.uuid4().hex[:8]}"
        shutil.copytree(network.settings.data_dir, folder)
        if template is None:
            return Ground(kind, self._moved(network, folder, None), None)
        name = f"bench_{uuid.uuid4().hex}"
        await self._server_runs(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Ground(kind, self._moved(network, folder, self._url(name, LOGIN)), f"{self._server}/{name}")

    async def drop(self, ground: Ground) -> None:
        """Remove a copy: a benchmark leaves no work for the next one's checkpoints."""
        shutil.rmtree(ground.settings.data_dir, ignore_errors=True)
        if ground.admin_url is not None:
            name = ground.admin_url.rpartition("/")[2]
            await self._server_runs(f'DROP DATABASE "{name}" WITH (FORCE)')
            await self._server_runs("CHECKPOINT")

    async def close(self) -> None:
        """Remove the databases that copies were made of: a server may outlive the benchmarks."""
        for _, template in self._made.values():
            if template is not None:
                await self._server_runs(f'DROP DATABASE "{template}" WITH (FORCE)')

    async def _enrol(self, kind: str) -> tuple[Network, str | None]:
        folder = self._folder / kind
        folder.mkdir()
        url = name = None
        if kind == "postgresql":
            name = f"bench_{uuid.uuid4().hex}"
            await self._server_runs(f'CREATE DATABASE "{name}" OWNER {OWNER}')
            url = self._url(name, LOGIN)
        settings = journey_network.settings_of(folder, url, policy="vn-default", address_per_second=100_000)
        # All nodes of a hub have one issuer, whichever port each has.
        settings = settings.model_copy(update={"issuer": settings.address})
        participants = {row.id: (Sector.PLATFORM, Silent()) for row in PLATFORMS}
        return await journey_network.enroll(settings, participants, agencies=AGENCIES), name

    def _moved(self, network: Network, folder: Path, url: str | None) -> Network:
        changed: dict[str, Any] = {"data_dir": folder, "database_url": url}
        if url is not None:
            changed["migration_url"] = sa.make_url(url).set(username=OWNER).render_as_string(hide_password=False)
        return replace(network, settings=network.settings.model_copy(update=changed), events=[])

    def _url(self, name: str, login: str) -> str:
        return sa.make_url(f"{self._server}/{name}").set(username=login).render_as_string(hide_password=False)

    async def _server_runs(self, statement: str) -> None:
        conn = await asyncpg.connect(self._server.replace("+asyncpg", "") + "/postgres")
        try:
            await conn.execute(statement)
        finally:
            await conn.close()
