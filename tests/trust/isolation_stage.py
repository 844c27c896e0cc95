"""Two agencies, two banks and a telecom with a matter of every kind each, everybody who may call, and what is whose."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import apis
import appeal_steps
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import table
from opening import opened
from world import AGENCY, World

from service import db, models
from service.actions import add_contact, changes, keep_draft
from service.engine.hub import OPERATOR, Hub
from service.models import (
    ActionRequest,
    Appeal,
    Case,
    Client,
    ConsoleSession,
    Contact,
    Dispatch,
    Endpoint,
    Escalation,
    Officer,
    Order,
    Participant,
    PublicKey,
    Target,
    Task,
)
from service.models.subject_key import KeyOwner
from service.queries import cursors
from service.schemas.endpoints import ContactMailbox, NewContact
from service.security import console_session, principals, scopes
from service.security.principals import Principal
from service.vault import subjects
from workflows.entry_terms import Way
from workflows.terms import Channel, Role, Sector

OTHER_AGENCY = "ca-tinh-01"
# What an officer is called here, with his agency behind it.
OFFICER_NAME = "CANARY-OFFICER-NAME"
BANKS = {AGENCY: "vietcombank", OTHER_AGENCY: "techcombank"}
BINS = {"vietcombank": "970436", "techcombank": "970407"}
NOT_JOINED = "970405"
HEADER = "Hoatoc-Signature"
# What changes without anybody's matter being touched: spent proofs, facts of refused calls, and who is there.
ALONGSIDE = frozenset({"spent_identifiers", "audit_entries", "audit_heads", "nodes", "console_sessions"})


@dataclass(frozen=True)
class Caller:
    """Somebody who calls: for whom, as what, and through which system; nobody has none."""

    name: str
    tenant: str
    sector: Sector | None
    roles: tuple[Role, ...]
    system: System | None = None
    session: str = ""

    @property
    def is_the_hubs(self) -> bool:
        """Tell whether this caller watches over all tenants."""
        return self.sector is Sector.HUB


_PEOPLE: tuple[tuple[str, str, Sector, tuple[Role, ...]], ...] = (
    ("agency-a", AGENCY, Sector.AGENCY, (Role.MAKER, Role.APPROVER)),
    ("agency-a-maker", AGENCY, Sector.AGENCY, (Role.MAKER,)),
    ("agency-a-approver", AGENCY, Sector.AGENCY, (Role.APPROVER,)),
    ("agency-a-reader", AGENCY, Sector.AGENCY, (Role.READER,)),
    ("agency-a-admin", AGENCY, Sector.AGENCY, (Role.AGENCY_ADMIN,)),
    ("agency-a-auditor", AGENCY, Sector.AGENCY, (Role.AUDITOR,)),
    ("agency-b", OTHER_AGENCY, Sector.AGENCY, (Role.MAKER, Role.APPROVER)),
    ("agency-b-admin", OTHER_AGENCY, Sector.AGENCY, (Role.AGENCY_ADMIN,)),
    ("bank-a", "vietcombank", Sector.BANK, (Role.PARTICIPANT_OPERATOR,)),
    ("bank-b", "techcombank", Sector.BANK, (Role.PARTICIPANT_OPERATOR,)),
    ("telecom", "viettel", Sector.TELECOM, (Role.PARTICIPANT_OPERATOR,)),
    ("bank-supervisor", "sbv", Sector.SUPERVISOR, (Role.SUPERVISOR, Role.AUDITOR)),
    ("telecom-supervisor", "vnta", Sector.SUPERVISOR, (Role.SUPERVISOR,)),
    ("coordinator", OPERATOR, Sector.HUB, (Role.COORDINATOR,)),
    ("hub-auditor", OPERATOR, Sector.HUB, (Role.AUDITOR,)),
    ("administrator", OPERATOR, Sector.HUB, (Role.HUB_ADMIN,)),
)
NOBODY = Caller("nobody", "", None, ())


@dataclass
class Stage:
    """The network with its matters; ``owners`` tells by slot and id who may know that id, beside the hub."""

    api: Api
    worlds: dict[str, World] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)
    owners: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    # Text that a caller may read only if he is among these tenants; ``OPERATOR`` stands for the hub's own people.
    secrets: dict[str, frozenset[str]] = field(default_factory=dict)
    cursors: list[str] = field(default_factory=list)

    @property
    def world(self) -> World:
        """The first agency's."""
        return self.worlds[AGENCY]

    async def fill(self, fast_forward: Any) -> "Stage":
        """Enrol everybody, let each agency have a matter of every kind, and learn what is whose."""
        first = self.api.world
        self.worlds = {AGENCY: first, OTHER_AGENCY: await self._second_agency(first)}
        await self._pull_inboxes()
        for agency in self.worlds:
            await self._matters(agency)
        await fast_forward(minutes=50)
        await first.fire()
        for name, tenant, sector, roles in _PEOPLE:
            system = await self.api.enroll(System(f"{name}-system"), tenant, *roles)
            session = await self._seat(name, tenant, roles[0])
            self.callers[name] = Caller(name, tenant, sector, roles, system, session)
        self.callers[NOBODY.name] = NOBODY
        await self._learn()
        return self

    async def sign_on(self) -> None:
        """Give every system a fresh token: a walk may last longer than one."""
        for caller in self.callers.values():
            if caller.system is not None:
                await self.api.sign_on(caller.system)

    def principal(self, caller: Caller) -> Principal:
        """Return a caller as the hub's own code knows it."""
        assert caller.sector is not None
        held = frozenset(caller.roles)
        granted = scopes.scopes_of(held, caller.sector)
        return Principal(f"{caller.name}-system", caller.tenant, caller.sector, held, granted, None)

    def may_know(self, caller: Caller, slot: str, value: str) -> bool:
        """Tell whether an id of a slot is the caller's to see."""
        return caller.is_the_hubs or caller.tenant in self.owners[slot].get(value, frozenset())

    def ids(self, caller: Caller, slot: str, *, own: bool) -> list[str]:
        """Return the ids of a slot that are the caller's to see, or those that are not."""
        return [value for value in self.owners[slot] if self.may_know(caller, slot, value) is own]

    def leaks(self, caller: Caller, text: str) -> list[str]:
        """Return what a text tells that this caller may not know."""
        group = OPERATOR if caller.is_the_hubs else caller.tenant
        return [secret for secret, parties in self.secrets.items() if group not in parties and secret in text]

    async def digest(self) -> dict[str, str]:
        """Return a digest of every table that holds somebody's matters."""
        found = {}
        async with self.api.hub.database.read(db.HUB) as conn:
            for name, rows in sorted(models.metadata.tables.items()):
                if name not in ALONGSIDE:
                    query = sa.select(rows).order_by(*rows.primary_key.columns)
                    seen = hashlib.sha256()
                    for row in (await conn.execute(query)).all():
                        seen.update(repr(tuple(row)).encode())
                    found[name] = seen.hexdigest()
        return found

    async def strangers(self, caller: Caller) -> dict[str, str]:
        """Return a digest, by table, of the rows that are neither this caller's nor about a matter that it knows."""
        found = {}
        known = {value for slot in ("request_id", "order_id") for value in self.ids(caller, slot, own=True)}
        known |= {str(row["request_id"]) for row in await self.world.rows(Order) if str(row["id"]) in known}
        async with self.api.hub.database.read(db.HUB) as conn:
            for name, rows in sorted(models.metadata.tables.items()):
                if name in ALONGSIDE or "tenant" not in rows.c:
                    continue
                # How far a bank's inbox has come is moved by whoever sends into it.
                columns = [column for column in rows.c if column.name != "inbox_position"]
                seen = hashlib.sha256()
                query = sa.select(*columns).order_by(*rows.primary_key.columns)
                for row in (await conn.execute(query)).mappings():
                    mine = caller.tenant in {row["tenant"], row.get("participant_id")}
                    if not mine and known.isdisjoint(map(str, row.values())):
                        seen.update(repr(tuple(row.values())).encode())
                found[name] = seen.hexdigest()
        return found

    async def _second_agency(self, first: World) -> World:
        other = World(first.hub)
        other.police = worlds._principal("pc02-01", OTHER_AGENCY, Sector.AGENCY, Role.MAKER, Role.APPROVER)
        other.keys, other.endpoints = first.keys, first.endpoints
        [agency] = await first.rows(Participant, id=AGENCY)
        officers = await first.rows(Officer, tenant=AGENCY)

        async def unit(conn: Any) -> None:
            now = await db.now(conn)
            member = {**agency, "id": OTHER_AGENCY, "province_code": "01", "duty_phone": "+842438222001"}
            await db.insert_rows(conn, table(Participant), [member])
            phone = sa.update(table(Participant)).where(table(Participant).c.id == AGENCY)
            await conn.execute(phone.values(duty_phone="+842838387342"))
            for officer in officers:
                name = f"{officer['id']}-b"
                sealed = await _name_of(conn, first.hub, OTHER_AGENCY, name)
                number = f"001-{officer['id']}"
                row = {**officer, "id": name, "tenant": OTHER_AGENCY, "number": number, "name_sealed": sealed}
                await db.insert_rows(conn, table(Officer), [row])
                await db.insert_rows(conn, table(PublicKey), [first.new_key("officer", name, OTHER_AGENCY, now)])

        await first.hub.writer.run(unit)
        return other

    async def _pull_inboxes(self) -> None:
        async def unit(conn: Any) -> None:
            rows = table(Endpoint)
            pulled = sa.update(rows).where(rows.c.tenant.in_(BANKS.values()), rows.c.purpose == "orders")
            await conn.execute(pulled.values(channel=Channel.PULL, url=""))

        await self.api.hub.writer.run(unit)

    def body(self, agency: str, number: int, **changes: Any) -> dict[str, Any]:
        """The body of a freeze at the agency's bank, in a case and about an account that nobody else has."""
        mark, suffix = ("A", "") if agency == AGENCY else ("B", "-b")
        bank = changes.pop("bank", BANKS[agency])
        return worlds.freeze(
            case_number=f"CASE-{mark}{number}/2026",
            officer_id=f"maker{suffix}",
            document={"number": f"DOC-{mark}{number}", "date": "2026-11-20", "sha256": "ab" * 32},
            target={
                "kind": "account",
                "value": f"{ord(mark)}0{number:02}55566677",
                "institution": BINS.get(bank, bank),
                "holder_name": f"HOLDER {mark}{number}",
            },
            **changes,
        )

    async def _active(self, agency: str, body: Mapping[str, Any]) -> UUID:
        filed = await self.worlds[agency].submit(body)
        if filed.approvals_needed > 1:
            await self.worlds[agency].approve(filed.id, "approver" if agency == AGENCY else "approver-b")
        return filed.id

    async def _matters(self, agency: str) -> None:
        world, other = self.worlds[agency], next(bank for owner, bank in BANKS.items() if owner != agency)
        # What somebody of the agency has begun to file is nobody else's there, and the hub's people's neither.
        writer = principals.of_person(f"writer-of-{agency}", tenant=agency, sector=Sector.AGENCY, roles=[Role.MAKER])
        draft = f"CANARY-DRAFT-{agency}"
        await keep_draft.save(world.hub, writer, lambda _: {"action": "freeze", "text": draft, "case_number": draft})
        self.secrets[draft] = frozenset()
        held = await self._active(agency, self.body(agency, 1))
        [order] = await world.orders(held)
        await world.answer(order, outcome="executed", amount_held=steps.vnd(order["amount"]))
        statement = f"CANARY-STATEMENT-{agency}"
        await appeal_steps.file(world, order, statement=statement)
        # Silence, of the other's bank: it climbs the ladder. One nobody approved, one at a bank that has not joined.
        await self._active(agency, self.body(agency, 2, bank=other))
        await world.submit(self.body(agency, 3))
        await self._active(agency, self.body(agency, 4, bank=NOT_JOINED))
        second = await self._active(agency, self.body(agency, 5))
        [order] = await world.orders(second)
        await world.answer(order, outcome="executed", amount_held=steps.vnd(order["amount"]))
        appellant = {"name": f"CANARY-APPELLANT-{agency}", "phone": "+84980000021"}
        await appeal_steps.file_for_a_person(world, order_id=str(order["id"]), appellant=appellant)
        sender = self.body(agency, 6, action="takedown", legal_basis="decree_147", measure="block")
        sender["targets"] = [{"kind": "sms_sender", "value": f"MAU-{agency[-2:]}"}]
        await self._active(agency, {name: sender[name] for name in sender if name not in {"target", "amount"}})
        line = NewContact(
            name=f"CANARY-ROSTER-{agency}",
            reached_by=ContactMailbox(channel=Channel.EMAIL, address=f"canary-{agency}@agency.example"),
        )
        await add_contact.add(world.hub, changes.local_administrator("root"), agency, line)
        await self._disclosed(agency)
        await self._traced(agency)

    async def reasons_and_neighbours(self, agency: str) -> None:
        """File what has a reason in words, and one request about accounts at both banks: each gets its own part."""
        reason = {"reason": f"CANARY-REASON-{agency}"}
        # Who may hold a whole account is senior, and so is the second one.
        senior = "approver" if agency == AGENCY else "approver-b"
        whole = {**self.body(agency, 7), "whole_account": reason, "officer_id": senior}
        del whole["amount"]
        second = await self._senior(agency)
        filed = await self.worlds[agency].submit(whole)
        await self.worlds[agency].approve(filed.id, second)
        kept = self.body(agency, 8, action="preserve")
        here = kept["target"]
        there = {
            **here,
            "institution": "970407",
            "value": f"{here['value'][:-2]}88",
            "holder_name": f"NEIGHBOUR {agency}",
        }
        kept["targets"] = [{**here, "institution": "970436"}, there]
        await self._active(agency, {name: value for name, value in kept.items() if name not in {"target", "amount"}})
        self.secrets[f"CANARY-REASON-{agency}"] = frozenset({agency})
        await self._learn()

    async def _disclosed(self, agency: str) -> None:
        """File a disclosure that the agency's bank has answered: the two of them alone know what it said."""
        first, second = "approver" if agency == AGENCY else "approver-b", await self._senior(agency)
        asked = self.body(agency, 9, action="disclose", legal_basis="cpc_88", asked=["holder_name"])
        asked |= {"officer_id": first, "targets": [asked["target"]]}
        body = {name: value for name, value in asked.items() if name not in {"target", "amount"}}
        filed = await self.worlds[agency].submit(body)
        await self.worlds[agency].approve(filed.id, second)
        [order] = await self.world.orders(filed.id)
        said = {"holder_name": f"CANARY-DISCLOSED-{agency}"}
        await self.world.answer(order, outcome="executed", disclosed=said)
        self.secrets[said["holder_name"]] = frozenset({agency, BANKS[agency]})

    async def _traced(self, agency: str) -> None:
        """File a trace that the agency's bank has answered: the two of them alone know where the money went."""
        first, second = "approver" if agency == AGENCY else "approver-b", await self._senior(agency)
        window = steps.trace()["window"]
        asked = self.body(agency, 10, action="trace", legal_basis="cpc_88", window=window) | {"officer_id": first}
        filed = await self.worlds[agency].submit({name: asked[name] for name in asked if name != "amount"})
        await self.worlds[agency].approve(filed.id, second)
        [order] = await self.world.orders(filed.id)
        hop = f"CANARYHOP{agency[-2:]}417".upper().replace("-", "0")
        await self.world.answer(order, outcome="executed", traced=steps.moved(hop))
        self.secrets[hop] = frozenset({agency, BANKS[agency]})

    async def _senior(self, agency: str) -> str:
        first = "approver" if agency == AGENCY else "approver-b"
        name = f"senior-{first}"
        if await self.world.rows(Officer, id=name):
            return name
        [row] = await self.world.rows(Officer, id=first)

        async def unit(conn: Any) -> None:
            sealed = await _name_of(conn, self.api.hub, agency, name)
            senior = {**row, "id": name, "number": f"00-{name}", "name_sealed": sealed}
            await db.insert_rows(conn, table(Officer), [senior])
            key = self.world.new_key("officer", name, agency, await db.now(conn))
            await db.insert_rows(conn, table(PublicKey), [key])

        await self.api.hub.writer.run(unit)
        return name

    async def _seat(self, name: str, tenant: str, role: Role) -> str:
        token, digest = console_session.new_session_token()

        async def unit(conn: Any) -> None:
            now = await db.now(conn)
            row = {
                "digest": bytes.fromhex(digest),
                "tenant": tenant,
                "person": f"{name}-person",
                "role": role,
                "id": uuid4(),
                "way": Way.LINK,
                "browser": "other-other",
                "started_at": now,
                "seen_at": now,
                "expires_at": now + apis.DAY,
            }
            await db.insert_rows(conn, table(ConsoleSession), [row])

        await self.api.hub.writer.run(unit)
        return token

    async def _learn(self) -> None:
        world = self.world
        members = {row["id"]: row for row in await world.rows(Participant)}
        watchers = {name: row["supervisor_id"] for name, row in members.items()}
        orders = await world.rows(Order)
        parties: dict[Any, set[str]] = {}
        for order in orders:
            known = parties.setdefault(order["request_id"], {order["tenant"]})
            known.add(order["participant_id"])
        requests = await world.rows(ActionRequest)
        appeals = await world.rows(Appeal)
        self.owners = {
            "request_id": {str(row["id"]): frozenset({row["tenant"]}) for row in requests},
            "order_id": {str(row["id"]): frozenset({row["tenant"], row["participant_id"]}) for row in orders},
            "appeal_id": {
                str(row["id"]): frozenset({row["tenant"], row["participant_id"] or OPERATOR}) for row in appeals
            },
            "appeal_reference": {row["reference"]: frozenset(members) | {""} for row in appeals},
            "task_id": {str(row["id"]): frozenset() for row in await world.rows(Task)},
            "participant_id": {name: frozenset({name, row["supervisor_id"] or name}) for name, row in members.items()},
            "endpoint_id": await self._by_tenant(Endpoint, "id"),
            "contact_id": await self._by_tenant(Contact, "id"),
            "officer_id": await self._by_tenant(Officer, "id"),
            "client_id": await self._by_tenant(Client, "id"),
            "kid": await self._by_tenant(PublicKey, "kid"),
            "reference": {row["reference"]: frozenset({row["tenant"]}) for row in requests},
            "case_number": {row["number"]: frozenset({row["tenant"]}) for row in await world.rows(Case)},
            "escalation_id": {
                str(row["id"]): frozenset(
                    {row["tenant"], row["participant_id"] or "", watchers.get(row["participant_id"]) or ""}
                )
                for row in await world.rows(Escalation)
            },
        }
        self.cursors = [cursors.write(row["submitted_at"], row["id"]) for row in requests]
        await self._learn_secrets(requests, orders, parties, watchers)

    async def _by_tenant(self, model: Any, key: str) -> dict[str, frozenset[str]]:
        return {str(row[key]): frozenset({row["tenant"]}) for row in await self.world.rows(model)}

    async def _learn_secrets(
        self, requests: Any, orders: Any, parties: Mapping[Any, set[str]], watchers: Mapping[str, str | None]
    ) -> None:
        world, hub = self.world, self.api.hub
        watched: dict[Any, set[str]] = {row["id"]: set() for row in requests}
        for row in await world.rows(Escalation):
            watched[row["request_id"]] |= {watchers.get(row["participant_id"]) or ""}
        for row in requests:
            known = frozenset({row["tenant"], OPERATOR} | parties.get(row["id"], set()))
            self.secrets[str(row["id"])] = known | watched[row["id"]]
            self.secrets[row["reference"]] = known
            body = json.loads(await opened(hub, "requests", row["id"], row["tenant"], row["body_sealed"]))
            self.secrets[body["case_number"]] = known
            self.secrets[body["document"]["number"]] = known
        for row in orders:
            known = frozenset({row["tenant"], row["participant_id"], OPERATOR})
            self.secrets[str(row["id"])] = known | {watchers.get(row["participant_id"]) or ""}
        for row in await world.rows(Target):
            told = {order["participant_id"] for order in orders if order["target_id"] == row["id"]}
            known = frozenset({row["tenant"], OPERATOR} | told)
            for sealed in filter(None, (row["value_sealed"], row["holder_sealed"])):
                self.secrets[await opened(hub, "targets", row["id"], row["tenant"], sealed)] = known
        for row in await world.rows(Dispatch):
            self.secrets[row["id"].hex] = frozenset({row["tenant"], row["participant_id"], OPERATOR})
        for agency, bank in BANKS.items():
            self.secrets[f"CANARY-STATEMENT-{agency}"] = frozenset({agency, bank})
            self.secrets[f"CANARY-APPELLANT-{agency}"] = frozenset({agency, OPERATOR})
            self.secrets[f"CANARY-ROSTER-{agency}"] = frozenset({agency, OPERATOR})
            self.secrets[f"canary-{agency}@agency.example"] = frozenset()
            self.secrets[f"{OFFICER_NAME}-{agency}"] = frozenset()


async def _name_of(conn: Any, hub: Hub, tenant: str, officer: str) -> bytes:
    key = await subjects.of_subject(conn, hub.vault, tenant, KeyOwner.OFFICER, officer)
    return hub.vault.seal(key, "officers", officer, f"{OFFICER_NAME}-{tenant}")
