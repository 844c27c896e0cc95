"""Opens the hub that certifies, in an empty folder: the directory, an agency with two officers, and the real doors."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
import uvicorn
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.transport import Transport as Wire
from service import app as wiring
from service import clock, db
from service.actions import changes, enroll_client, enroll_key, enroll_officer, load_directory, set_policy
from service.certification.bench import AGENCY, APPROVER, MAKER, SECOND, Bench, Caught
from service.certification.calls import Calls
from service.certification.shelves import Shelves
from service.engine.hub import OPERATOR, Hub
from service.models import Participant, table_of
from service.queries import policies
from service.schemas.policies import NewPolicy
from service.schemas.registry import NewClient, NewKey, NewOfficer
from service.security.keyring import SigningKey
from service.settings import Settings
from service.web import front
from service.web.connections import Gate
from service.worker import Worker
from workflows.terms import Role

POLICY = "vn-default"
_KEY_LASTS = timedelta(days=1)
# An examination files more in a few minutes than an officer ever would.
_BOUNDS = "".join(
    f'\n[[bounds]]\nsubject = "{subject}"\ncount = 1_000_000\namount = 1_000_000_000_000_000\n'
    for subject in ("officer", "agency", "pair")
)


class _Alone(Settings):
    """What it is made with, and nothing else: no key, relay or rule of the machine's own hub reaches a bench."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read neither the environment nor a file."""
        return (init_settings,)


@contextlib.asynccontextmanager
async def bench(folder: Path, host: str, port: int, issuer: str = "") -> AsyncIterator[Bench]:
    """Run a hub in a folder that is empty, and close it at the end; ``issuer`` is its address where others see another.

    Raises ``front.PortTaken`` where somebody listens there already.
    """
    door = front.bound(host, port)
    try:
        settings = _Alone(
            data_dir=folder,
            profile="demo",
            host=host,
            port=door.getsockname()[1],
            issuer=issuer,
            policy=POLICY,
            log_level="error",
        )
        hub = await wiring.open_hub(settings, migrate=True)
        try:
            made = Bench(hub, Wire(allow_loopback=True), Caught(), Calls(), Shelves(), await _settle_in(hub))
            async with _serving(made, door):
                yield made
            await made.wire.aclose()
        finally:
            await wiring.close_hub(hub)
    finally:
        door.close()


async def _settle_in(hub: Hub) -> dict[str, SigningKey]:
    """Load the directory, enroll two officers and a second administrator, and return their keys."""
    who = changes.local_administrator("certify")
    await load_directory.load(hub, who)
    await hub.writer.run(_join_agency, reach=db.HUB)
    async with hub.database.read(db.HUB) as conn:
        shipped = await policies.newest(conn, POLICY)
    assert shipped is not None, "the default policy is shipped"
    text = shipped.text.partition("\n[[bounds]]")[0]
    text = text.replace(f"version = {shipped.version}", f"version = {shipped.version + 1}", 1) + _BOUNDS
    await set_policy.set_policy(hub, who, POLICY, NewPolicy(text=text))
    now = clock.utc_now()
    keys = {name: SigningKey.generate(not_before=now, not_after=now + _KEY_LASTS) for name in (MAKER, APPROVER, SECOND)}
    second = {"id": SECOND, "roles": [Role.HUB_ADMIN], "key": keys[SECOND].public_jwk()}
    await enroll_client.enroll(hub, who, OPERATOR, NewClient.model_validate(second))
    for number, officer in enumerate((MAKER, APPROVER), start=1):
        about = {"id": officer, "name": "Cán bộ kiểm thử", "rank": "thuong_ta", "number": f"000-{number}"}
        await enroll_officer.enroll(
            hub, who, AGENCY, NewOfficer.model_validate({**about, "powers": ["order", "approve"]})
        )
        signing = {"officer_id": officer, "key": keys[officer].public_jwk()}
        await enroll_key.enroll(hub, who, AGENCY, NewKey.model_validate(signing))
    return keys


async def _join_agency(conn: AsyncConnection) -> None:
    # It has no system of its own, by whose key a member joins: what it files is filed in here.
    table = table_of(Participant)
    await conn.execute(sa.update(table).where(table.c.id == AGENCY).values(status="active"))


@contextlib.asynccontextmanager
async def _serving(made: Bench, door: socket.socket) -> AsyncIterator[None]:
    worker = Worker(made.hub, made.caught, made.wire)
    app = wiring.create_app(made.hub, worker)
    made.shelves.mount(app)
    made.calls.app = app
    server = _Server(front.config(made.calls, Gate(), made.hub.settings.host, made.hub.settings.port))
    serving = asyncio.create_task(server.serve(sockets=[door]))
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield
    finally:
        ready.cancel()
        await made.shelves.close()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The process belongs to whoever runs the loop: Ctrl-C must reach that one.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
