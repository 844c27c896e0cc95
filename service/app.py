"""Wires a node together: settings to a hub, a hub to its doors and its worker; nothing is decided here."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from fastapi import FastAPI

from adapters.iso20022.adapter import Iso20022
from adapters.notice import Mail
from adapters.registry import Adapters
from adapters.transport import Transport
from adapters.webhook import Webhook
from service import __version__, clock, console, db, log, metrics, migrations, row_security
from service.api import (
    appeals,
    business_messages,
    endpoints,
    escalations,
    etsi,
    health,
    maintenance,
    oauth,
    orders,
    read_backs,
    registry,
    replays,
    requests,
    silence_ends,
    tasks,
)
from service.api import signing_keys as signing_keys_door
from service.db import Database
from service.engine import order_keys
from service.engine.hub import Hub
from service.engine.writer import Writer
from service.queries.registry import Registry
from service.security import signing_keys, tokens
from service.settings import Settings
from service.vault import FileMasters, Masters, hardware, roots
from service.vault.hardware import TokenMasters
from service.web import addresses, guards, streams
from service.web.refusals import Refusals
from service.worker import Worker

_log = log.get(__name__)


async def open_hub(settings: Settings, *, migrate: bool = False) -> Hub:
    """Open a node's means. Raises ``SchemaMismatch`` unless the database is at this build's schema.

    Raises ``WrongKind`` where the settings are a drill's and the database is not, or the other way round.
    Raises ``Unprotected`` where policies do not bind the login that it works as; the demo is told, and goes on.

    ``migrate`` brings the database there first: for the embedded edition, which nobody else uses.
    """
    tokens.assert_backend()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if migrate:
        await _migrate(settings)
    database = Database(settings.url, settings.database_pool)
    try:
        await migrations.check(database, drill=settings.drill)
        await _check_role(settings, database)
    except BaseException:
        await database.close()
        raise
    try:
        vault = await roots.open_vault(database, masters(settings))
    except BaseException:
        await database.close()
        raise
    hub = Hub(
        settings=settings,
        database=database,
        vault=vault,
        writer=Writer(database),
        registry=Registry(settings.policy),
        signing=signing_keys.load(settings.keys_dir, clock.utc_now()),
        order_keys=signing_keys.load(settings.keys_dir, clock.utc_now(), signing_keys.ORDERS),
    )
    try:
        await _show_keys(hub)
    except BaseException:
        await database.close()
        raise
    return hub


async def _migrate(settings: Settings) -> None:
    database = Database(settings.owner_url, pool=2)
    try:
        await migrations.upgrade(database, drill=settings.drill)
    finally:
        await database.close()


async def _check_role(settings: Settings, database: Database) -> None:
    async with database.read(db.NOBODY) as conn:
        found = await row_security.faults(conn)
    if found and settings.profile == "production":
        raise row_security.Unprotected(found)
    for fault in found:
        _log.warning("isolation.void", code=fault.code, detail=fault.detail)


def masters(settings: Settings, *, begin: bool = True) -> Masters:
    """Return the vault's master keys of this node; with ``begin``, the first one is made where there is none.

    Raises PermissionError for a file that others may read.
    """
    if settings.pkcs11_module is None or settings.pkcs11_token is None or settings.pkcs11_pin_file is None:
        return FileMasters.at(settings.keys_dir, begin=begin)
    # Of before the token, until a rotation replaces them.
    files = FileMasters.at(settings.keys_dir, begin=False)
    prefix = hardware.DRILL_PREFIX if settings.drill else hardware.PREFIX
    return TokenMasters(settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file, files, prefix)


async def _show_keys(hub: Hub) -> None:
    async with hub.database.read(db.HUB) as conn:
        missing = await order_keys.unregistered(conn, hub)
    # Read first: a command that only looks writes nothing into a database that another process works on.
    if missing:
        await hub.writer.run(lambda conn: order_keys.register(conn, hub), reach=db.HUB)


async def close_hub(hub: Hub) -> None:
    """Close what ``open_hub`` opened."""
    await hub.database.close()


def make_worker(hub: Hub) -> Worker:
    """Make the worker of this node, with the adapters that its settings allow."""
    settings = hub.settings
    mail = None
    if settings.smtp_host:
        mail = Mail(
            settings.smtp_host,
            settings.smtp_port,
            settings.mail_from,
            security=settings.smtp_tls,
            username=settings.smtp_user,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        )
    transport = Transport(allow_loopback=settings.profile == "demo", own_networks=settings.own_networks)
    iso20022 = Iso20022(settings.address, lambda at: order_keys.key_at(hub, at))
    return Worker(hub, Adapters(Webhook(settings.address), mail, iso20022), transport)


def include_doors(app: FastAPI) -> None:
    """Add the machines' doors to an application: all that ``openapi/hub.v1.json`` promises."""
    for door in (
        *(health, oauth, signing_keys_door, requests, orders, read_backs, silence_ends, business_messages, etsi),
        *(appeals, escalations, tasks, replays, registry, endpoints, maintenance),
    ):
        app.include_router(door.router)


def create_health_app(hub: Hub, worker: Worker) -> FastAPI:
    """Make the application of a worker that has no other door: what the operator's monitoring asks, and nothing else.

    Whoever starts the worker stops it; this only tells of it.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, telemetry=None)
    app.state.hub = hub
    app.state.is_leaving = False
    app.state.worker = worker
    app.include_router(health.router)
    guards.install(app, drill=hub.settings.drill)
    metrics.DRILL.set(hub.settings.drill)
    return app


def create_app(hub: Hub, worker: Worker | None = None) -> FastAPI:
    """Make the application of one node; with a worker, its loops start and stop with the application."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        listening = None
        if hub.database.dialect == "postgresql":
            listening = asyncio.create_task(hub.writer.doorbell.listen_forever(hub.database), name="doorbell")
        if worker is not None:
            await worker.start()
        # What start-up made lives as long as the process: the collector need not walk it again (p99 75 → 16 ms).
        gc.collect()
        gc.freeze()
        yield
        if listening is not None:
            listening.cancel()
        await app.state.refusals.flush()
        if worker is not None:
            await worker.stop()

    app = FastAPI(
        title="Hỏa Tốc",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=None,
    )
    app.state.hub = hub
    app.state.is_leaving = False
    app.state.worker = worker
    app.state.streams = streams.Streams()
    include_doors(app)
    console.mount(app)
    settings = hub.settings
    guards.install(
        app,
        addresses.networks(settings.proxies),
        settings.address_per_second,
        connections=settings.database_pool,
        drill=settings.drill,
    )
    metrics.DRILL.set(settings.drill)
    app.state.refusals = Refusals(hub, app.state)
    return app
