"""A whole story for the pages to tell: real names from the directory, made-up people, cases, accounts and hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, models
from service.engine.hub import OPERATOR, Hub
from workflows.terms import (
    Action,
    Actor,
    ActorKind,
    DeadlineState,
    Fact,
    LegalBasis,
    Measure,
    OrderState,
    Outcome,
    RefusalCode,
    RequestState,
    Sector,
    Stage,
    SubjectKind,
    TargetKind,
    TaskKind,
    Urgency,
)

AGENCY, FOREIGN = "pa05-79", "pc02-01"
HUB = Actor(ActorKind.HUB, "node-a", OPERATOR)
POLICE = Actor(ActorKind.CLIENT, "pa05-he-thong", AGENCY)

MEMBERS = (
    (OPERATOR, Sector.HUB, "Đơn vị vận hành Hỏa Tốc", "Operator of the Hỏa Tốc hub", "Hỏa Tốc"),
    (
        AGENCY,
        Sector.AGENCY,
        "Phòng An ninh mạng và phòng, chống tội phạm sử dụng công nghệ cao, Công an Thành phố Hồ Chí Minh",
        "Cyber Security and High-Tech Crime Prevention Division, Ho Chi Minh City Police",
        "PA05 CA Thành phố Hồ Chí Minh",
    ),
    (
        FOREIGN,
        Sector.AGENCY,
        "Phòng Cảnh sát hình sự, Công an Thành phố Hà Nội",
        "Criminal Police Division, Ha Noi City Police",
        "PC02 CA Thành phố Hà Nội",
    ),
    ("vietcombank", Sector.BANK, "Ngân hàng TMCP Ngoại Thương Việt Nam", "Vietcombank", "Vietcombank"),
    ("techcombank", Sector.BANK, "Ngân hàng TMCP Kỹ thương Việt Nam", "Techcombank", "Techcombank"),
    ("mbbank", Sector.BANK, "Ngân hàng TMCP Quân đội", "MB Bank", "MBBank"),
    ("acb", Sector.BANK, "Ngân hàng TMCP Á Châu", "ACB", "ACB"),
    ("agribank", Sector.BANK, "Ngân hàng Nông nghiệp và Phát triển Nông thôn Việt Nam", "Agribank", "Agribank"),
    ("bacabank", Sector.BANK, "Ngân hàng TMCP Bắc Á", "BacA Bank", "BacA Bank"),
    ("viettel-isp", Sector.ISP, "Tổng Công ty Viễn thông Viettel (Internet)", "Viettel (Internet)", "Viettel Internet"),
)
OFFICERS = (("cb-101", AGENCY, "dai_uy", "CA-79-101"), ("cb-205", AGENCY, "trung_ta", "CA-79-205"))
FOREIGN_OFFICER = ("cb-301", FOREIGN, "thieu_ta", "CA-01-301")

ACCOUNTS = ("0071009990001", "19030009990002", "0360009990003", "0004009990004", "1500009990005")
HOLDERS = ("NGUYEN VAN THU", "TRAN THI THU", "LE VAN THU", "PHAM THI THU", "HOANG VAN THU")
HOSTS = tuple(f"trung-thuong-{number:03}.example" for number in range(1, 101))


def table(model: Any) -> sa.Table:
    """Return a model's table."""
    made: sa.Table = model.__table__
    return made


@dataclass
class Told:
    """What was seeded, by the names that the tests use."""

    now: datetime
    ids: dict[str, UUID] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)


class Teller:
    """Writes requests with their orders and clocks, and records facts at instants of the past."""

    def __init__(self, conn: AsyncConnection, hub: Hub, now: datetime) -> None:
        self._conn = conn
        self._vault = hub.vault
        self._facts: list[tuple[datetime, int, UUID, Fact, Actor, str, dict[str, Any]]] = []
        self.now = now

    async def insert(self, model: Any, **values: Any) -> None:
        """Insert one row."""
        await db.insert_rows(self._conn, table(model), [values])

    async def members(self) -> None:
        """Write the participants and officers."""
        since = datetime(2026, 1, 1, tzinfo=UTC)
        for key, sector, vi, en, short in MEMBERS:
            await self.insert(
                models.Participant,
                id=key,
                sector=sector,
                name_vi=vi,
                name_en=en,
                short_name=short,
                status="active",
                to_be_confirmed=True,
                created_at=since,
            )
        for key, tenant, rank, number in (*OFFICERS, FOREIGN_OFFICER):
            await self.insert(
                models.Officer,
                id=key,
                tenant=tenant,
                name_sealed=self._vault.seal("officers", key, tenant, "Nguyễn Văn Thử"),
                rank=rank,
                number=number,
                powers=["order", "approve"],
                active=True,
                created_at=since,
            )

    async def request(
        self,
        reference: str,
        at: datetime,
        *,
        state: RequestState = RequestState.ACTIVE,
        action: Action = Action.FREEZE,
        urgency: Urgency = Urgency.HOA_TOC,
        amount: int | None = 150_000_000,
        targets: Sequence[tuple[TargetKind, str, str | None]] = (),
        tenant: str = AGENCY,
        **values: Any,
    ) -> tuple[UUID, list[UUID]]:
        """Write a request with its case and targets; return its id and theirs."""
        request_id, case_id = clock.new_id(), clock.new_id()
        officer = OFFICERS[0][0] if tenant == AGENCY else FOREIGN_OFFICER[0]
        number = f"{reference[-3:]}/2026/CSĐT"
        await self.insert(models.Case, id=case_id, tenant=tenant, number=number, opened_at=at)
        row = {
            "id": request_id,
            "tenant": tenant,
            "case_id": case_id,
            "reference": reference,
            "action": action,
            "state": state,
            "urgency": urgency,
            "legal_basis": LegalBasis.DECREE_52_11 if action is Action.FREEZE else LegalBasis.DECREE_147,
            "authority_rule": "decree_52_11",
            "client_id": "pa05-he-thong",
            "officer_id": officer,
            "approvals_needed": 2,
            "measure": Measure.BLOCK if action is Action.TAKEDOWN else None,
            "amount": amount,
            "currency": "VND" if amount else None,
            "whole_account": False,
            "document_number": f"{reference[-3:]}/QĐ-PA05",
            "document_date": at.date(),
            "document_sha256": "9f2c41d07be35a68" * 4,
            "contact_sealed": self._vault.seal("requests", request_id, tenant, "{}"),
            "starts_at": at,
            "ends_at": at + timedelta(hours=72) if action is Action.FREEZE else None,
            "body_sealed": self._vault.seal("requests", request_id, tenant, "{}"),
            "body_sha256": "0" * 64,
            "submitted_at": at,
            "activated_at": at + timedelta(minutes=2) if state is not RequestState.AWAITING_APPROVAL else None,
        }
        await self.insert(models.ActionRequest, **{**row, **values})
        made = [await self._target(tenant, request_id, place, *target) for place, target in enumerate(targets)]
        return request_id, made

    async def _target(
        self, tenant: str, request_id: UUID, position: int, kind: TargetKind, value: str, holder: str | None
    ) -> UUID:
        key = clock.new_id()
        await self.insert(
            models.Target,
            id=key,
            tenant=tenant,
            request_id=request_id,
            position=position,
            kind=kind,
            value_sealed=self._vault.seal("targets", key, tenant, value),
            value_index=self._vault.blind_index(tenant, kind, value),
            holder_sealed=self._vault.seal("targets", key, tenant, holder) if holder else None,
            intimate=False,
        )
        return key

    async def order(
        self, request_id: UUID, target_id: UUID, participant_id: str, state: OrderState, at: datetime, **values: Any
    ) -> UUID:
        """Write an order."""
        order_id = clock.new_id()
        row = {
            "id": order_id,
            "tenant": AGENCY,
            "participant_id": participant_id,
            "request_id": request_id,
            "target_id": target_id,
            "action": Action.FREEZE,
            "state": state,
            "sequence": 1,
            "subject_index": self._vault.blind_index(participant_id, "account", str(target_id)),
            "amount": 150_000_000,
            "lift_ordered": False,
            "placed_at": at,
            "delivered_at": at + timedelta(seconds=1),
            "changed_at": at,
        }
        await self.insert(models.Order, **{**row, **values})
        return order_id

    async def clock(
        self,
        request_id: UUID,
        order_id: UUID,
        participant_id: str,
        stage: Stage,
        at: datetime,
        within: timedelta,
        state: DeadlineState,
        rung: int = 0,
    ) -> int:
        """Write a deadline and return its id."""
        await self.insert(
            models.Deadline,
            tenant=AGENCY,
            subject_kind=SubjectKind.ORDER if order_id != request_id else SubjectKind.REQUEST,
            subject_id=order_id,
            request_id=request_id,
            participant_id=participant_id or None,
            chain=audit.request_chain(request_id),
            stage=stage,
            rung=rung,
            generation=0,
            started_at=at,
            due_at=at + within,
            state=state,
        )
        return int((await self._conn.execute(sa.text("SELECT max(id) FROM deadlines"))).scalar_one())

    async def tell(
        self, request_id: UUID, at: datetime, fact: Fact, actor: Actor = HUB, tenant: str = AGENCY, **data: Any
    ) -> None:
        """Note one fact; ``flush`` records them in the order in which they happened."""
        self._facts.append((at, len(self._facts), request_id, fact, actor, tenant, data))

    async def flush(self) -> None:
        """Record the noted facts on their requests' chains."""
        for at, _, request_id, fact, actor, tenant, data in sorted(self._facts, key=lambda noted: noted[:2]):
            chain = audit.request_chain(request_id)
            log = await audit.Log.open(self._conn, at, [chain])
            log.record(chain, fact, actor, tenant, request_id=request_id, **data)
            await log.flush()


def bank(participant_id: str) -> Actor:
    """Return a participant's client system."""
    return Actor(ActorKind.CLIENT, f"{participant_id}-he-thong", participant_id)


async def seed(hub: Hub, now: datetime) -> Told:
    """Write everything in one transaction and return the ids."""

    async def unit(conn: AsyncConnection) -> Told:
        teller = Teller(conn, hub, now)
        told = Told(now)
        await teller.members()
        for name, write in WRITERS.items():
            reference = f"HT-261123-{name.upper().replace('_', '')[:5]:0<5}"
            told.references[name] = reference
            told.ids[name] = await write(teller, reference)
        await teller.flush()
        return told

    return await hub.database.write(unit)


async def _story(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(minutes=26)
    placed = filed + timedelta(minutes=2, seconds=11)
    targets = [(TargetKind.ACCOUNT, *pair) for pair in zip(ACCOUNTS, HOLDERS, strict=True)]
    request, accounts = await teller.request(reference, filed, amount=750_000_000, targets=targets)
    await teller.insert(
        models.Approval,
        id=clock.new_id(),
        tenant=AGENCY,
        request_id=request,
        officer_id="cb-205",
        client_id="pa05-he-thong",
        kind="approval",
        body_sha256="0" * 64,
        approved_at=placed,
    )
    await teller.tell(
        request,
        filed,
        Fact.REQUEST_SUBMITTED,
        POLICE,
        reference=reference,
        action="freeze",
        officer_id="cb-101",
        amount="750000000",
    )
    await teller.tell(request, placed, Fact.REQUEST_APPROVED, POLICE, officer_id="cb-205")
    await teller.tell(request, placed, Fact.REQUEST_ACTIVATED, POLICE)

    first = ("vietcombank", "techcombank", "mbbank", "agribank")
    states = (OrderState.EXECUTED, OrderState.EXECUTED, OrderState.REROUTED, OrderState.LIFTED)
    held: Mapping[str, int] = {"vietcombank": 150_000_000, "techcombank": 92_500_000, "agribank": 150_000_000}
    orders = {
        name: await teller.order(request, accounts[place], name, state, placed, amount_held=held.get(name))
        for place, (name, state) in enumerate(zip(first, states, strict=True))
    }
    rerouted = placed + timedelta(minutes=1, seconds=48)
    orders["acb"] = await teller.order(
        request, accounts[2], "acb", OrderState.DELIVERED, rerouted, rerouted_from_id=orders["mbbank"]
    )
    for name in first:
        order = {"order_id": str(orders[name]), "participant_id": name}
        await teller.tell(request, placed, Fact.ORDER_PLACED, POLICE, action="freeze", amount="150000000", **order)
    task = {"kind": "unreachable_participant", "participant_id": "bacabank"}
    await teller.tell(request, placed, Fact.TASK_OPENED, **task)
    await teller.insert(
        models.Task,
        id=clock.new_id(),
        tenant=AGENCY,
        participant_id="bacabank",
        kind=TaskKind.UNREACHABLE_PARTICIPANT,
        request_id=request,
        data={},
        opened_at=placed,
        due_at=placed + timedelta(hours=1),
    )
    for late, name in enumerate(first):
        at = placed + timedelta(seconds=1, milliseconds=220 * late)
        order = {"order_id": str(orders[name]), "participant_id": name}
        await teller.tell(request, at, Fact.ORDER_DELIVERED, channel="webhook", latency_ms=320 + 11 * late, **order)
    await _answers(teller, request, orders, placed, rerouted)
    await _silence(teller, request, orders["acb"], rerouted)
    for name in ("vietcombank", "techcombank", "agribank"):
        for stage, within in ((Stage.RECEIPT, 1), (Stage.ACKNOWLEDGE, 15), (Stage.EXECUTE, 30)):
            minutes = timedelta(minutes=within)
            await teller.clock(request, orders[name], name, stage, placed, minutes, DeadlineState.MET)
        end = timedelta(hours=72) - timedelta(minutes=2, seconds=11)
        state = DeadlineState.CANCELLED if name == "agribank" else DeadlineState.PENDING
        await teller.clock(request, orders[name], name, Stage.END, placed, end, state)
    return request


async def _answers(
    teller: Teller, request: UUID, orders: Mapping[str, UUID], placed: datetime, rerouted: datetime
) -> None:
    async def said(name: str, fact: Fact, at: datetime, **data: Any) -> None:
        order = {"order_id": str(orders[name]), "participant_id": name}
        await teller.tell(request, at, fact, bank(name), **order, **data)

    met = {"stage": "execute", "due_at": (placed + timedelta(minutes=30)).isoformat()}
    await said("vietcombank", Fact.ORDER_ACKNOWLEDGED, placed + timedelta(seconds=37))
    await said("mbbank", Fact.ORDER_REROUTED, rerouted, ported_to="acb")
    await said("acb", Fact.ORDER_PLACED, rerouted, action="freeze", amount="150000000")
    await said("vietcombank", Fact.ORDER_EXECUTED, rerouted + timedelta(seconds=20), amount_held="150000000")
    await teller.tell(request, rerouted + timedelta(seconds=20), Fact.DEADLINE_MET, participant_id="vietcombank", **met)
    await said(
        "techcombank",
        Fact.ORDER_PARTLY_EXECUTED,
        rerouted + timedelta(seconds=53),
        amount_held="92500000",
        amount_asked="150000000",
    )
    await said("agribank", Fact.ORDER_EXECUTED, rerouted + timedelta(minutes=3), amount_held="150000000")
    await said("agribank", Fact.ORDER_LIFTED, rerouted + timedelta(minutes=11))


async def _silence(teller: Teller, request: UUID, order: UUID, placed: datetime) -> None:
    about = {"order_id": str(order), "participant_id": "acb"}
    failed = placed + timedelta(seconds=4)
    dispatch = {"kind": "order", "channel": "webhook", "attempt": 1, "error": "connect.timeout"}
    await teller.tell(request, failed, Fact.DISPATCH_FAILED, **dispatch, **about)
    await teller.tell(request, placed + timedelta(seconds=9), Fact.ORDER_DELIVERED, channel="webhook", **about)
    minutes = timedelta(minutes=1)
    await teller.clock(request, order, "acb", Stage.RECEIPT, placed, minutes, DeadlineState.MET)
    missed = await teller.clock(request, order, "acb", Stage.ACKNOWLEDGE, placed, 10 * minutes, DeadlineState.MISSED)
    assert missed
    await teller.clock(request, order, "acb", Stage.EXECUTE, placed, 30 * minutes, DeadlineState.PENDING)
    due_at = placed + 10 * minutes
    stage = {"stage": "acknowledge", "participant_id": "acb"}
    await teller.tell(request, due_at, Fact.DEADLINE_MISSED, subject=str(order), due_at=due_at.isoformat(), **stage)
    reach = ("participant", "coordinator", "supervisor")
    for rung, after in ((1, 10), (2, 13), (3, 16)):
        fired = placed + after * minutes
        somebody = rung != 1
        reached = [{"reach": name, "participant_id": "acb", "contacts": int(somebody)} for name in reach[rung - 1 :]]
        key = await teller.clock(
            request, order, "acb", Stage.ACKNOWLEDGE, placed, after * minutes, DeadlineState.MISSED, rung
        )
        fact = Fact.ESCALATION_RAISED if somebody else Fact.ESCALATION_UNREACHABLE
        await teller.tell(request, fired, fact, rung=rung, reached=reached, subject=str(order), **stage)
        await teller.insert(
            models.Escalation,
            id=clock.new_id(),
            tenant=AGENCY,
            deadline_id=key,
            request_id=request,
            order_id=order,
            participant_id="acb",
            stage=Stage.ACKNOWLEDGE,
            rung=rung,
            due_at=fired,
            raised_at=fired,
            reached=reached,
            reached_somebody=somebody,
            policy_name="vn-default",
            policy_version=1,
        )


async def _awaiting(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(minutes=4)
    target = [(TargetKind.CARD, "9704360009990006", "VU VAN THU")]
    request, _ = await teller.request(
        reference,
        filed,
        state=RequestState.AWAITING_APPROVAL,
        urgency=Urgency.THUONG_KHAN,
        amount=48_700_000,
        targets=target,
    )
    limit = timedelta(minutes=30)
    await teller.clock(request, request, "", Stage.APPROVAL, filed, limit, DeadlineState.PENDING)
    data = {"reference": reference, "action": "freeze", "officer_id": "cb-101", "amount": "48700000"}
    await teller.tell(request, filed, Fact.REQUEST_SUBMITTED, POLICE, **data)
    return request


async def _takedown(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(hours=3)
    targets = [(TargetKind.DOMAIN, host, None) for host in HOSTS]
    request, domains = await teller.request(
        reference,
        filed,
        state=RequestState.CLOSED,
        action=Action.TAKEDOWN,
        urgency=Urgency.KHAN,
        amount=None,
        targets=targets,
        closed_at=filed + timedelta(hours=1),
    )
    data = {"reference": reference, "action": "takedown", "officer_id": "cb-101"}
    await teller.tell(request, filed, Fact.REQUEST_SUBMITTED, POLICE, **data)
    orders = []
    for place, domain in enumerate(domains):
        refused = place == 41
        state = OrderState.REFUSED if refused else OrderState.EXECUTED
        values = {"action": Action.TAKEDOWN, "amount": None}
        order = await teller.order(request, domain, "viettel-isp", state, filed, **values)
        orders.append(order)
        if refused:
            await teller.insert(
                models.Acknowledgement,
                id=clock.new_id(),
                tenant=AGENCY,
                participant_id="viettel-isp",
                order_id=order,
                outcome=Outcome.REFUSED,
                refusal_code=RefusalCode.TARGET_LEGITIMATE,
                body_sealed=b"\x01",
                body_sha256="0" * 64,
                client_id="viettel-isp-he-thong",
                received_at=filed,
            )
    for fact, delay in ((Fact.ORDER_PLACED, 0), (Fact.ORDER_DELIVERED, 3), (Fact.ORDER_EXECUTED, 1500)):
        for place, order in enumerate(orders):
            refused = fact is Fact.ORDER_EXECUTED and place == 41
            about = {"order_id": str(order), "participant_id": "viettel-isp", "target": place}
            code = Fact.ORDER_REFUSED if refused else fact
            actor = HUB if fact is Fact.ORDER_DELIVERED else bank("viettel-isp")
            extra = {"refusal": "target_legitimate"} if refused else {}
            at = filed + timedelta(seconds=delay, milliseconds=140 * place)
            await teller.tell(request, at, code, actor, **about, **extra)
    await teller.tell(request, filed + timedelta(hours=1), Fact.REQUEST_CLOSED)
    return request


async def _whole(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(days=2, hours=5)
    request, accounts = await teller.request(
        reference,
        filed,
        urgency=Urgency.KHAN,
        amount=None,
        targets=[(TargetKind.ACCOUNT, "0071009990007", "DO VAN THU")],
        whole_account=True,
        whole_account_reason_sealed=b"\x01",
    )
    values = {"amount": None}
    order = await teller.order(request, accounts[0], "vietcombank", OrderState.ACKNOWLEDGED, filed, **values)
    limit = timedelta(days=2, hours=6)
    await teller.clock(request, order, "vietcombank", Stage.EXECUTE, filed, limit, DeadlineState.PENDING)
    data = {"reference": reference, "action": "freeze", "officer_id": "cb-101"}
    await teller.tell(request, filed, Fact.REQUEST_SUBMITTED, POLICE, **data)
    return request


async def _foreign(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(days=3)
    target = [(TargetKind.ACCOUNT, "0004009990008", "BUI VAN THU")]
    request, _ = await teller.request(
        reference, filed, state=RequestState.WITHDRAWN, amount=20_000_000, targets=target, tenant=FOREIGN
    )
    actor = Actor(ActorKind.CLIENT, "pc02-he-thong", FOREIGN)
    await teller.tell(request, filed, Fact.REQUEST_SUBMITTED, actor, FOREIGN, officer_id="cb-301")
    await teller.tell(request, filed + timedelta(minutes=9), Fact.REQUEST_WITHDRAWN, actor, FOREIGN)
    return request


WRITERS = {
    "7k3mq": _story,
    "4h8rt": _awaiting,
    "t9d2x": _takedown,
    "w6n5b": _whole,
    "f2c7v": _foreign,
}
