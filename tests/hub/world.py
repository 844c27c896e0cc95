"""A small network for tests of the verbs: an agency with officers, banks, telecoms, an ISP of the real directory."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import bounding
import sqlalchemy as sa
from builders import make_hub, put_in_force, table
from joserfc.jwk import ECKey
from opening import opened
from pydantic import TypeAdapter

from service import clock, db, directory
from service.actions import acknowledge_order, approve_request, submit_request, withdraw_request
from service.engine import firing, order_keys
from service.engine.hub import OPERATOR, Hub
from service.models import (
    ActionRequest,
    Alias,
    CalendarDay,
    Contact,
    Deadline,
    Dispatch,
    Endpoint,
    Escalation,
    Officer,
    Order,
    Participant,
    PublicKey,
    Task,
)
from service.models.subject_key import KeyOwner
from service.queries import timeline
from service.schemas.demands import SubmitRequest
from service.schemas.orders import AcknowledgementAccepted, AcknowledgementBody
from service.schemas.requests import RequestAccepted
from service.security import scopes, signatures
from service.security.principals import Principal
from service.security.signatures import Kind
from service.settings import Settings
from service.vault import subjects
from workflows.terms import ActorKind, Channel, Purpose, Role, Sector

AGENCY = "ca-tinh-79"
MEMBERS = ("vietcombank", "techcombank", "bidv", "momo", "viettel", "vinaphone", "mobifone", "fpt-isp")
SUBMIT: TypeAdapter[Any] = TypeAdapter(SubmitRequest)


def freeze(**changes: Any) -> dict[str, Any]:
    """The body of a good freeze of 150,000,000 ₫ at Vietcombank; the account number is made up."""
    return {
        "case_number": "01/2026/CA",
        "action": "freeze",
        "urgency": "hoa_toc",
        "legal_basis": "decree_52_11",
        "officer_id": "maker",
        "document": {"number": "15/QD-PC02", "date": "2026-11-20", "sha256": "ab" * 32},
        "contact": {"name": "Trực ban PC02", "phone": "+84283000111"},
        "target": {
            "kind": "account",
            "value": "9990001112223",
            "institution": "970436",
            "holder_name": "NGUYEN VAN MAU",
        },
        "amount": {"value": "150000000", "currency": "VND"},
        **changes,
    }


def takedown(*targets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a good takedown."""
    body = freeze(action="takedown", legal_basis="decree_147", measure="block", targets=list(targets), **changes)
    return {name: value for name, value in body.items() if name not in {"target", "amount"}}


def lift(original: UUID, **changes: Any) -> dict[str, Any]:
    """The body of a lift."""
    body = freeze(action="lift", original_request_id=str(original), **changes)
    return {name: value for name, value in body.items() if name not in {"target", "amount"}}


# The networks that tests find settled in, by the URL of a test's database; and of which one each of those is a copy.
_SETTLED: dict[str, "World"] = {}
_KEPT: dict[str, "World"] = {}


async def keep_settled(url: str | None, folder: Path) -> None:
    """Let a network settle in on an empty database, which tests then get copies of."""
    hub = make_hub(url, folder)
    kept = World(hub, room=False)
    await kept.settle_in()
    _KEPT[hub.database.dialect] = kept
    await hub.database.close()


def is_settled(url: str | None, folder: Path) -> None:
    """Say that a test's database is such a copy."""
    settings = Settings(data_dir=folder, database_url=url)
    _SETTLED[settings.url] = _KEPT[sa.make_url(settings.url).get_backend_name()]


@functools.cache
def _shipped() -> list[directory.ParticipantRow]:
    return [row for row in directory.participants() if row.sector is not Sector.AGENCY or row.id == AGENCY]


@dataclass
class World:
    """What a test does with the network, without a door in between."""

    hub: Hub
    # Whether more may be filed in an hour than the shipped bounds let pass; a test of the bounds wants none of it.
    room: bool = True
    police: Principal = field(init=False)
    endpoints: dict[str, UUID] = field(default_factory=dict)
    # The signature keys of the officers and participants, by their ids.
    keys: dict[str, ECKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.police = _principal("pc02-system", AGENCY, Sector.AGENCY, Role.MAKER, Role.APPROVER)

    @property
    def coordinator(self) -> Principal:
        """A coordinator at the hub."""
        return _principal("trực ban", OPERATOR, Sector.HUB, Role.COORDINATOR)

    def participant(self, name: str, sector: Sector = Sector.BANK) -> Principal:
        """The system of a participant."""
        return _principal(f"{name}-system", name, sector, Role.PARTICIPANT_OPERATOR)

    async def settle_in(self) -> None:
        """Fill the registry: the real directory, three officers, an endpoint and a duty contact for each member."""
        kept = _SETTLED.get(self.hub.settings.url)
        if kept is None:
            await self._settle()
        else:
            self.endpoints |= kept.endpoints
            self.keys |= kept.keys
        if self.room:
            policy = self.hub.settings.policy
            await self.hub.writer.run(lambda conn: bounding.shipped_with_room(conn, policy), reach=db.HUB)

    async def _settle(self) -> None:
        async def unit(conn: Any) -> None:
            now = await db.now(conn)
            await db.insert_rows(conn, table(Participant), [_participant(row, now) for row in _shipped()])
            await db.insert_rows(conn, table(Alias), [_alias(row) for row in directory.aliases()])
            days = [{"day": day, "kind": "holiday"} for day in directory.holidays()]
            days += [{"day": day, "kind": "workday"} for day in directory.workdays()]
            await db.insert_rows(conn, table(CalendarDay), days)
            await db.insert_rows(conn, table(Officer), [await self._officer(conn, *row, now) for row in _OFFICERS])
            signers = [("officer", name, AGENCY) for name, *_ in _OFFICERS]
            signers += [("participant", name, name) for name in MEMBERS]
            await db.insert_rows(conn, table(PublicKey), [self.new_key(*signer, now) for signer in signers])
            for name in (*MEMBERS, OPERATOR, "sbv", "vnta"):
                await self._member(conn, name, now)
            await order_keys.register(conn, self.hub)

        await self.hub.writer.run(unit, reach=db.HUB)

    def new_key(self, kind: str, owner: str, tenant: str, now: Any) -> dict[str, Any]:
        """Make a signature key for an officer or participant, remember it and return the registry's row."""
        key = self.keys[owner] = ECKey.generate_key("P-256")
        public = key.as_dict(private=False)
        return {
            "kid": key.thumbprint(),
            "tenant": tenant,
            "owner_kind": kind,
            "owner_id": owner,
            "purpose": "signature",
            "jwk": {name: public[name] for name in ("kty", "crv", "x", "y")},
            "not_before": now - timedelta(days=1),
            "not_after": now + timedelta(days=365),
        }

    async def give_key(self, officer: str) -> None:
        """Register a signature key for one more officer."""

        async def unit(conn: Any) -> None:
            row = self.new_key("officer", officer, AGENCY, await db.now(conn))
            await db.insert_rows(conn, table(PublicKey), [row])

        await self.hub.writer.run(unit, reach=db.HUB)

    def sign(self, kind: Kind, raw: bytes, who: str, about: Any = None) -> str:
        """Sign the canonical form of a JSON text as an officer or participant."""
        key = self.keys[who]
        private: Any = key.private_key
        payload = signatures.canonical(raw)
        about = None if about is None else str(about)
        at, audience = clock.utc_now(), self.hub.settings.address
        return signatures.sign(private, key.thumbprint(), kind, payload, at=at, about=about, audience=audience)

    async def filed_bytes(self, request_id: UUID) -> bytes:
        """Return the bytes of a request as they were received."""
        (row,) = await self.rows(ActionRequest, id=request_id)
        return (await opened(self.hub, "requests", request_id, row["tenant"], row["body_sealed"])).encode()

    async def approve(self, request_id: UUID, officer: str = "approver") -> None:
        """Approve a request as its second officer, who signs what the first one signed."""
        signature = self.sign(Kind.APPROVAL, await self.filed_bytes(request_id), officer, request_id)
        await approve_request.approve(self.hub, self.police, request_id, officer, signature)

    async def review(self, request_id: UUID, officer: str = "approver") -> None:
        """Review an emergency hold as its second officer."""
        signature = self.sign(Kind.REVIEW, await self.filed_bytes(request_id), officer, request_id)
        await approve_request.review(self.hub, self.police, request_id, officer, signature)

    async def withdraw(self, request_id: UUID, officer: str = "maker", who: Principal | None = None) -> None:
        """Take a request back in the name of one of the agency's officers."""
        raw = json.dumps({"officer_id": officer}).encode()
        signature = self.sign(Kind.WITHDRAWAL, raw, officer if officer in self.keys else "maker", request_id)
        await withdraw_request.withdraw(self.hub, who or self.police, request_id, officer, raw, signature)

    async def _member(self, conn: Any, name: str, now: Any) -> None:
        orders, notices = uuid4(), uuid4()
        self.endpoints[name] = orders
        base = {
            "tenant": name,
            "channel": Channel.WEBHOOK,
            "url": f"https://{name}.example/hook",
            "network": "10.20.0.0/16",
            "max_in_flight": 8,
            "timeout_seconds": 10,
            "position": 1,
            "inbox_position": 0,
            "active": True,
            "created_at": now,
        }
        rows = [{**base, "id": notices, "purpose": Purpose.NOTICES}]
        if name in MEMBERS:
            rows.append({**base, "id": orders, "purpose": Purpose.ORDERS})
        await db.insert_rows(conn, table(Endpoint), rows)
        await put_in_force(conn, *(row["id"] for row in rows))
        contact_id = uuid4()
        key = await subjects.begin(conn, self.hub.vault, name, KeyOwner.CONTACT, str(contact_id))
        contact = {
            "id": contact_id,
            "tenant": name,
            "name_sealed": self.hub.vault.seal(key, "contacts", contact_id, "Trực ban mẫu"),
            "endpoint_id": notices,
            "position": 1,
            "active": True,
            "created_at": now,
        }
        await db.insert_rows(conn, table(Contact), [contact])

    async def _officer(self, conn: Any, name: str, rank: str, powers: list[str], now: Any) -> dict[str, Any]:
        return {
            "id": name,
            "tenant": AGENCY,
            "name_sealed": await name_of(conn, self.hub, name),
            "rank": rank,
            "number": f"079-{name}",
            "powers": powers,
            "active": True,
            "created_at": now,
        }

    async def submit(self, body: Mapping[str, Any], key: str | None = None) -> RequestAccepted:
        """File a request as the agency's system."""
        raw = json.dumps(body).encode()
        shape = SUBMIT.validate_python(body)
        who = body["officer_id"] if body["officer_id"] in self.keys else "maker"
        signature = self.sign(Kind.REQUEST, raw, who)
        return (await submit_request.submit(self.hub, self.police, key or uuid4().hex, shape, raw, signature)).answer

    async def active(self, body: Mapping[str, Any]) -> RequestAccepted:
        """File a request and have it approved where it needs a second officer."""
        filed = await self.submit(body)
        if filed.approvals_needed > 1:
            await self.approve(filed.id)
        return filed

    async def answer(self, order: Mapping[str, Any], **body: Any) -> AcknowledgementAccepted:
        """Answer an order as its participant."""
        raw = json.dumps(body).encode()
        shape = AcknowledgementBody.model_validate(body)
        who = self.participant(order["participant_id"])
        signature = self.sign(Kind.ANSWER, raw, order["participant_id"], order["id"])
        return await acknowledge_order.acknowledge(self.hub, who, order["id"], shape, raw, signature)

    async def fire(self) -> int:
        """Fire whatever is due, as the worker's loop does."""
        total = 0
        while fired := (await firing.fire_once(self.hub)).fired:
            total += fired
        return total

    async def rows(self, model: Any, **where: Any) -> list[dict[str, Any]]:
        """Read the rows of a table, oldest first."""
        rows = table(model)
        query = sa.select(rows).where(*(rows.c[name] == value for name, value in where.items()))
        for column in ("placed_at", "created_at", "opened_at", "raised_at", "due_at", "id"):
            if column in rows.c:
                query = query.order_by(rows.c[column])
        async with self.hub.database.read(db.HUB) as conn:
            return [dict(row._mapping) for row in (await conn.execute(query)).all()]

    async def orders(self, request_id: UUID) -> list[dict[str, Any]]:
        """Read the orders of a request."""
        return await self.rows(Order, request_id=request_id)

    async def facts(self, request_id: UUID) -> list[str]:
        """Read the codes of a request's timeline."""
        async with self.hub.database.read(db.HUB) as conn:
            told = await timeline.tell(conn, self.coordinator, request_id)
        assert told is not None
        return [fact.code for fact in told.facts]


_OFFICERS = (
    ("maker", "dai_uy", ["order", "emergency"]),
    ("approver", "thieu_ta", ["order", "approve"]),
    ("junior", "thieu_uy", ["order"]),
)

TABLES = (Deadline, Dispatch, Escalation, Task)


def _principal(client: str, tenant: str, sector: Sector, *roles: Role) -> Principal:
    held = frozenset(roles)
    return Principal(client, tenant, sector, held, scopes.scopes_of(held, sector), None, ActorKind.CLIENT)


def _participant(row: Any, now: Any) -> dict[str, Any]:
    joined = {*MEMBERS, AGENCY, OPERATOR, "sbv", "vnta"}
    return {
        "id": row.id,
        "sector": row.sector,
        "name_vi": row.name_vi,
        "name_en": row.name_en,
        "short_name": row.short_name,
        "status": "active" if row.id in joined else "listed",
        "supervisor_id": row.supervisor_id,
        "level": row.level,
        "province_code": row.province_code,
        "parent_id": None,
        "to_be_confirmed": row.to_be_confirmed,
        "created_at": now,
    }


def _alias(row: Any) -> dict[str, Any]:
    return {
        "participant_id": row.participant_id,
        "scheme": row.scheme,
        "value": row.value,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
    }


async def name_of(conn: Any, hub: Hub, officer: str, tenant: str = AGENCY) -> bytes:
    """Seal the name of an officer of a test, in a transaction."""
    key = await subjects.of_subject(conn, hub.vault, tenant, KeyOwner.OFFICER, officer)
    return hub.vault.seal(key, "officers", officer, "Cán bộ mẫu")


def new_key() -> str:
    """Return an idempotency key that nobody used."""
    return str(clock.new_id())
