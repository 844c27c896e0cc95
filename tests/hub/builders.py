"""Rows for tests, written the way the hub writes them; every name, number and account here is made up."""

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db
from service.db import Database
from service.engine import definitions, outbox, owing, timers
from service.engine.hub import Hub
from service.engine.writer import SingleUse, Writer
from service.models import (
    ActionRequest,
    Approval,
    Case,
    Deadline,
    Endpoint,
    EndpointProposal,
    Officer,
    Order,
    Participant,
    Target,
)
from service.models.subject_key import KeyOwner
from service.queries.registry import Registry
from service.security.keyring import SigningKey
from service.settings import Settings
from service.vault import KeyRow, Vault, subjects
from workflows import policy
from workflows.terms import (
    CALLED,
    Action,
    Actor,
    ActorKind,
    Channel,
    DispatchKind,
    Fact,
    LegalBasis,
    OrderState,
    ProposalState,
    Purpose,
    RequestState,
    Sector,
    Stage,
    SubjectKind,
    TargetKind,
    Urgency,
)

T = TypeVar("T")
AGENCY = "agency-a"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
# The master key of every hub of a test, and the root of its blind indexes.
MASTER = b"k" * 32
SECRET = "whsec_" + "c2VjcmV0" * 4
# What signs the orders of every hub of a test: two nodes share it, as they share a folder.
ORDER_KEY = SigningKey.generate(not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=36_500))


class Everywhere(Database):
    """A database whose reads and writes reach all rows unless it is told otherwise: what tests look at themselves."""

    @contextlib.asynccontextmanager
    async def read(self, reach: db.Reach = db.HUB) -> AsyncIterator[AsyncConnection]:
        """Read as ``Database`` does."""
        async with super().read(reach) as conn:
            yield conn

    async def write(self, unit: db.Unit[T], reach: db.Reach = db.HUB) -> T:
        """Write as ``Database`` does."""
        return await super().write(unit, reach)


class Anybody(Writer):
    """A writer whose units reach all rows unless it is told otherwise; the hub's own code always tells (mypy)."""

    async def run(self, unit: db.Unit[T], singles: Sequence[SingleUse] = (), *, reach: db.Reach = db.HUB) -> T:
        """Run as ``Writer`` does."""
        return await super().run(unit, singles, reach=reach)


def widened(hub: Hub) -> Hub:
    """Let what a test itself asks of a hub that the application opened reach all rows, as with ``make_hub``."""
    hub.database.__class__, hub.writer.__class__ = Everywhere, Anybody
    return hub


def keep_master(folder: Path) -> None:
    """Lay the master key of the tests' databases where a hub that is opened on this data folder looks for it."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    (keys / "vault.key").write_bytes(MASTER)
    (keys / "vault.key").chmod(0o400)


def superuser_url(url: str) -> str:
    """Return the URL of the same database for the server's superuser."""
    login = sa.make_url(os.environ["HOATOC_TEST_POSTGRES"]).username
    return sa.make_url(url).set(username=login).render_as_string(hide_password=False)


@contextlib.asynccontextmanager
async def unbound(hub: Hub) -> AsyncIterator[Database]:
    """Give a test the hub's database past every policy and grant; on SQLite, which has neither, the hub's own."""
    if hub.database.dialect == "sqlite":
        yield hub.database
        return
    made = Everywhere(superuser_url(hub.settings.url), pool=1)
    try:
        yield made
    finally:
        await made.close()


def make_hub(database_url: str | None, folder: Path, node: str = "node-a") -> Hub:
    """Wire a hub like the application does; two of them on one PostgreSQL URL are two nodes."""
    settings = Settings(data_dir=folder, database_url=database_url, node=node, certification="optional")
    database = Everywhere(settings.url)
    return Hub(
        settings=settings,
        database=database,
        vault=Vault.of(MASTER),
        writer=Anybody(database),
        registry=Registry(settings.policy),
        signing=(),
        order_keys=(ORDER_KEY,),
    )


def table(model: Any) -> sa.Table:
    """Return a model's table."""
    made: sa.Table = model.__table__
    return made


# Whom the engine never asks in tests without TLS: what is approved has authorities, whatever they are.
CA_PEM = "made-up authorities"


async def put_in_force(conn: AsyncConnection, *endpoints: UUID) -> None:
    """Let webhooks pass as they are now in their rows, by two administrators."""
    of, proposals = table(Endpoint), table(EndpointProposal)
    for endpoint_id in endpoints:
        await conn.execute(sa.update(of).where(of.c.id == endpoint_id).values(approved_sha256=None))
        row = (await conn.execute(sa.select(of).where(of.c.id == endpoint_id))).one()._mapping
        defined = {name: row[name] for name in definitions.CHANGEABLE}
        defined |= {"ca_pem": row["ca_pem"] or CA_PEM, "port": row["port"] or 443}
        proposal = {
            **defined,
            "id": clock.new_id(),
            "tenant": row["tenant"],
            "endpoint_id": endpoint_id,
            "sha256": definitions.digest({**row, **defined}),
            "state": ProposalState.APPROVED,
            "proposed_by": "administrator-a",
            "proposed_for": row["tenant"],
            "proposed_at": row["created_at"],
            "decided_by": "administrator-b",
            "decided_key": "key-b",
            "decided_at": row["created_at"],
        }
        await db.insert_rows(conn, proposals, [proposal])
        in_force = {
            "approved_sha256": proposal["sha256"],
            "proposed_by": "administrator-a",
            "approved_by": "administrator-b",
            "approved_at": row["created_at"],
        }
        await conn.execute(sa.update(of).where(of.c.id == endpoint_id).values(**defined, **in_force))


async def insert_endpoint(conn: AsyncConnection, row: Any) -> None:
    """Insert an endpoint, perhaps made from another one's row, and let it pass."""
    await db.insert_rows(conn, table(Endpoint), [{**row, "approved_sha256": None}])
    await put_in_force(conn, row["id"])


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was placed at one participant, with the dispatch that carries it."""

    request_id: UUID
    order_id: UUID
    dispatch_id: UUID
    endpoint_id: UUID
    participant_id: str

    @property
    def chain(self) -> str:
        """The audit chain of its request."""
        return audit.request_chain(self.request_id)


async def _owe(conn: AsyncConnection, model: Any, subject: Any) -> None:
    """Let the order say when what it owes is due, as whatever the hub itself writes of an order or its clocks does."""
    if model in (Deadline, Order) and subject is not None:
        await owing.renew(conn, [subject])


class Builder:
    """Writes one noun at a time; what a row hangs on is written first if it is missing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def rows(self, model: Any, **where: Any) -> Sequence[sa.Row[Any]]:
        """Return the rows of a model with these values, in the order of their keys."""
        of = table(model)
        query = sa.select(of).where(*(of.c[name] == value for name, value in where.items()))
        async with self._hub.database.read() as conn:
            return (await conn.execute(query.order_by(*of.primary_key.columns))).all()

    async def row(self, model: Any, **where: Any) -> sa.Row[Any]:
        """Return the only row of a model with these values."""
        (only,) = await self.rows(model, **where)
        return only

    async def facts(self, chain: str) -> list[str]:
        """Return the codes of a chain's facts, in order."""
        async with self._hub.database.read() as conn:
            query = sa.text("SELECT code FROM audit_entries WHERE chain = :chain ORDER BY sequence")
            return list((await conn.execute(query, {"chain": chain})).scalars())

    async def write(self, model: Any, **values: Any) -> None:
        """Insert one row as it is."""
        await self._hub.database.write(lambda conn: self._put(conn, model, values))

    async def change(self, model: Any, key: Any, **values: Any) -> None:
        """Change one row by its ``id``."""
        await self._hub.database.write(lambda conn: self._changed(conn, model, key, values))

    async def _put(self, conn: AsyncConnection, model: Any, values: dict[str, Any]) -> None:
        await db.insert_rows(conn, table(model), [values])
        await _owe(conn, model, values.get("subject_id"))

    async def _changed(self, conn: AsyncConnection, model: Any, key: Any, values: dict[str, Any]) -> None:
        of = table(model)
        await conn.execute(sa.update(of).where(of.c.id == key).values(**values))
        subject = of.c.subject_id if model is Deadline else of.c.id
        await _owe(conn, model, (await conn.execute(sa.select(subject).where(of.c.id == key))).scalar())

    async def key(self, tenant: str, kind: KeyOwner, subject: str) -> KeyRow:
        """Return a subject's key, begun if it has none."""
        return await self._hub.database.write(
            lambda conn: subjects.of_subject(conn, self._hub.vault, tenant, kind, subject)
        )

    async def house(self, tenant: str) -> KeyRow:
        """Return the key of a member's own secrets."""
        await self.participant(tenant)
        return await self.key(tenant, KeyOwner.HOUSE, tenant)

    async def participant(self, participant_id: str, sector: Sector = Sector.BANK, status: str = "active") -> str:
        """Make sure that a participant exists."""
        if not await self.rows(Participant, id=participant_id):
            await self.write(
                Participant,
                id=participant_id,
                sector=sector,
                name_vi=f"Đơn vị {participant_id}",
                name_en=f"Member {participant_id}",
                short_name=participant_id,
                status=status,
                to_be_confirmed=False,
                created_at=LONG_AGO,
            )
        return participant_id

    async def endpoint(
        self,
        participant_id: str,
        *,
        channel: Channel = Channel.WEBHOOK,
        purpose: Purpose = Purpose.ORDERS,
        max_in_flight: int = 8,
        approved: bool = True,
        **values: Any,
    ) -> UUID:
        """Give a participant an endpoint; a webhook is one that two administrators let pass."""
        endpoint_id = clock.new_id()
        house = await self.house(participant_id)
        vault = self._hub.vault
        defaults: dict[str, Any] = {
            "url": f"https://{participant_id}.example/orders" if channel in CALLED else "",
            "network": "203.0.113.0/24",
            "port": 443,
            "secret_sealed": vault.seal(house, "endpoints", endpoint_id, SECRET),
            "timeout_seconds": 10,
            "position": 1,
            "inbox_position": 0,
            "active": True,
        }
        if channel is Channel.EMAIL:
            defaults["address_sealed"] = vault.seal(house, "endpoints", endpoint_id, "duty@bank.example")
        await self.write(
            Endpoint,
            id=endpoint_id,
            tenant=participant_id,
            channel=channel,
            purpose=purpose,
            max_in_flight=max_in_flight,
            created_at=LONG_AGO,
            **{**defaults, **values},
        )
        if approved and channel in CALLED:
            await self._hub.database.write(lambda conn: put_in_force(conn, endpoint_id))
        return endpoint_id

    async def officer(self, agency: str = AGENCY, officer_id: str = "officer-a") -> str:
        """Make sure that an officer exists."""
        if not await self.rows(Officer, id=officer_id):
            key = await self.key(agency, KeyOwner.OFFICER, officer_id)
            await self.write(
                Officer,
                id=officer_id,
                tenant=agency,
                name_sealed=self._hub.vault.seal(key, "officers", officer_id, "Nguyễn Văn Thử"),
                rank="head",
                number=f"SH-{officer_id}",
                powers=[],
                active=True,
                created_at=LONG_AGO,
            )
        return officer_id

    async def request(
        self, agency: str = AGENCY, *, action: Action = Action.FREEZE, state: RequestState = RequestState.ACTIVE
    ) -> UUID:
        """File a request about one account, with its case, officer and first fact."""
        await self.participant(agency, Sector.AGENCY)
        await self.officer(agency)
        await self.officer(agency, "officer-b")
        request_id, case_id, target_id = clock.new_id(), clock.new_id(), clock.new_id()
        vault = self._hub.vault
        is_freeze = action is Action.FREEZE

        async def unit(conn: AsyncConnection) -> None:
            now = await db.now(conn)
            key = await subjects.of_request(conn, vault, agency, request_id)
            case = {"id": case_id, "tenant": agency, "number": f"CASE-{case_id.hex[-8:]}", "opened_at": now}
            await db.insert_rows(conn, table(Case), [case])
            row = {
                "id": request_id,
                "tenant": agency,
                "case_id": case_id,
                "reference": f"HT-{request_id.hex[-12:]}",
                "action": action,
                "state": state,
                "urgency": Urgency.HOA_TOC,
                "legal_basis": LegalBasis.DECREE_52_11,
                "authority_rule": "decree_52_11",
                "client_id": "client-a",
                "officer_id": "officer-a",
                "approvals_needed": 2,
                "measure": None,
                "amount": 150_000_000 if is_freeze else None,
                "currency": "VND" if is_freeze else None,
                "whole_account": False,
                "document_number": "12/QĐ",
                "document_date": date(2026, 11, 23),
                "document_sha256": "0" * 64,
                "contact_sealed": vault.seal(key, "requests", request_id, '{"name":"Trực ban"}'),
                "starts_at": now,
                "ends_at": now + timedelta(hours=72) if is_freeze else None,
                "body_sealed": vault.seal(key, "requests", request_id, "{}"),
                "body_sha256": "0" * 64,
                "policy": policy.to_snapshot(policy.loads("vn-default")),
                "submitted_at": now,
                "activated_at": now,
            }
            await db.insert_rows(conn, table(ActionRequest), [row])
            approval = {
                "id": clock.new_id(),
                "tenant": agency,
                "request_id": request_id,
                "officer_id": "officer-b",
                "client_id": "client-a",
                "kind": "approval",
                "body_sha256": "0" * 64,
                "approved_at": now,
            }
            await db.insert_rows(conn, table(Approval), [approval])
            target = {
                "id": target_id,
                "tenant": agency,
                "request_id": request_id,
                "position": 0,
                "kind": TargetKind.ACCOUNT,
                "value_sealed": vault.seal(key, "targets", target_id, "0000 made up"),
                "value_index": vault.blind_index(agency, "account", "0000 made up"),
                "intimate": False,
            }
            await db.insert_rows(conn, table(Target), [target])
            chain = audit.request_chain(request_id)
            log = await audit.Log.open(conn, now, [chain])
            actor = Actor(ActorKind.CLIENT, "client-a", agency)
            log.record(chain, Fact.REQUEST_SUBMITTED, actor, agency, request_id=request_id)
            await log.flush()

        await self._hub.writer.run(unit)
        return request_id

    async def order(
        self,
        request_id: UUID,
        participant_id: str,
        *,
        state: OrderState = OrderState.PLACED,
        action: Action | None = None,
    ) -> UUID:
        """Place an order of a request at a participant, with its receipt deadline in one minute."""
        await self.participant(participant_id)
        request = await self.row(ActionRequest, id=request_id)
        (target, *_) = await self.rows(Target, request_id=request_id)
        order_id = clock.new_id()

        async def unit(conn: AsyncConnection) -> None:
            now = await db.now(conn)
            row = {
                "id": order_id,
                "tenant": request.tenant,
                "participant_id": participant_id,
                "request_id": request_id,
                "target_id": target.id,
                "action": action or request.action,
                "state": state,
                "sequence": 1,
                "subject_index": self._hub.vault.blind_index(participant_id, "account", "0000 made up"),
                "amount": request.amount,
                "ends_at": request.ends_at,
                "lift_ordered": False,
                "placed_at": now,
                "changed_at": now,
            }
            await db.insert_rows(conn, table(Order), [row])
            receipt = timers.Timer(
                tenant=request.tenant,
                subject_kind=SubjectKind.ORDER,
                subject_id=order_id,
                chain=audit.request_chain(request_id),
                stage=Stage.RECEIPT,
                started_at=now,
                due_at=now + timedelta(minutes=1),
                request_id=request_id,
                participant_id=participant_id,
            )
            await timers.start(conn, [receipt])
            await owing.renew(conn, [order_id])

        await self._hub.writer.run(unit)
        return order_id

    async def dispatch(
        self,
        participant_id: str,
        endpoint_id: UUID,
        *,
        kind: DispatchKind = DispatchKind.ORDER,
        channel: Channel = Channel.WEBHOOK,
        agency: str = AGENCY,
        message_type: str = "vn.hoatoc.order.freeze",
        request_id: UUID | None = None,
        order_id: UUID | None = None,
        urgent: bool = True,
        order_key: int | None = None,
        deadline_at: datetime | None = None,
        note: str = "thử",
    ) -> UUID:
        """Put one dispatch into the outbox and its work item into the queue."""
        outgoing = outbox.Outgoing(
            tenant=agency,
            participant_id=participant_id,
            kind=kind,
            endpoint_id=endpoint_id,
            channel=channel,
            message_type=message_type,
            subject=str(order_id or request_id or endpoint_id),
            sequence=1,
            body={"order_id": str(order_id), "note": note},
            request_id=request_id,
            order_id=order_id,
            urgent=urgent,
            order_key=order_key,
            deadline_at=deadline_at,
        )

        async def unit(conn: AsyncConnection) -> list[UUID]:
            return await outbox.enqueue(conn, self._hub.vault, await db.now(conn), [outgoing])

        (dispatch_id,) = await self._hub.writer.run(unit)
        return dispatch_id

    async def placed(self, participant_id: str = "bank-a", endpoint_id: UUID | None = None, **dispatch: Any) -> Placed:
        """Place one freeze order at a participant: request, order, deadline, dispatch and work item."""
        await self.participant(participant_id)
        endpoint_id = endpoint_id or await self.endpoint(participant_id)
        request_id = await self.request()
        order_id = await self.order(request_id, participant_id)
        dispatch_id = await self.dispatch(
            participant_id, endpoint_id, request_id=request_id, order_id=order_id, **dispatch
        )
        return Placed(request_id, order_id, dispatch_id, endpoint_id, participant_id)
