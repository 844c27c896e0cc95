"""A whole story for the pages to tell: real names from the directory, made-up people, cases, accounts and hosts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from console_teller import ACCOUNTS, AGENCY, FOREIGN, HOLDERS, HOSTS, HUB, POLICE, Teller, bank
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, models
from service.engine.hub import Hub
from workflows.terms import (
    Action,
    Actor,
    ActorKind,
    DeadlineState,
    Fact,
    OrderState,
    Outcome,
    RefusalCode,
    RequestState,
    Stage,
    TargetKind,
    TaskKind,
    Urgency,
)


@dataclass
class Told:
    """What was seeded, by the names that the tests use."""

    now: datetime
    ids: dict[str, UUID] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)


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

    return await hub.database.write(unit, db.HUB)


async def _story(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(minutes=26)
    placed = filed + timedelta(minutes=2, seconds=11)
    targets = [(TargetKind.ACCOUNT, *pair) for pair in zip(ACCOUNTS, HOLDERS, strict=True)]
    request, accounts = await teller.request(reference, filed, amount=750_000_000, targets=targets)
    await teller.approve(request, placed)
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
        order: dict[str, Any] = {"order_id": str(orders[name]), "participant_id": name}
        await teller.tell(request, placed, Fact.ORDER_PLACED, POLICE, action="freeze", amount="150000000", **order)
    task: dict[str, Any] = {"kind": "unreachable_participant", "participant_id": "bacabank"}
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
        order: dict[str, Any] = {"order_id": str(orders[name]), "participant_id": name}
        await teller.tell(request, at, fact, bank(name), **order, **data)

    met: dict[str, Any] = {"stage": "execute", "due_at": (placed + timedelta(minutes=30)).isoformat()}
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
    about: dict[str, Any] = {"order_id": str(order), "participant_id": "acb"}
    failed = placed + timedelta(seconds=4)
    dispatch: dict[str, Any] = {"kind": "order", "channel": "webhook", "attempt": 1, "error": "connect.timeout"}
    await teller.tell(request, failed, Fact.DISPATCH_FAILED, **dispatch, **about)
    await teller.tell(request, placed + timedelta(seconds=9), Fact.ORDER_DELIVERED, channel="webhook", **about)
    minutes = timedelta(minutes=1)
    await teller.clock(request, order, "acb", Stage.RECEIPT, placed, minutes, DeadlineState.MET)
    await teller.clock(request, order, "acb", Stage.ACKNOWLEDGE, placed, 10 * minutes, DeadlineState.MISSED)
    await teller.clock(request, order, "acb", Stage.EXECUTE, placed, 30 * minutes, DeadlineState.PENDING)
    due_at = placed + 10 * minutes
    stage: dict[str, Any] = {"stage": "acknowledge", "participant_id": "acb"}
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
    next_at = teller.now - placed + 9 * minutes
    await teller.clock(request, order, "acb", Stage.ACKNOWLEDGE, placed, next_at, DeadlineState.PENDING, 4)


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
    data: dict[str, Any] = {"reference": reference, "action": "freeze", "officer_id": "cb-101", "amount": "48700000"}
    await teller.tell(request, filed, Fact.REQUEST_SUBMITTED, POLICE, **data)
    return request


async def _takedown(teller: Teller, reference: str) -> UUID:
    filed = teller.now - timedelta(hours=3)
    targets = [(TargetKind.DOMAIN, host, None) for host in HOSTS]
    request, domains = await teller.request(
        reference,
        filed,
        action=Action.TAKEDOWN,
        urgency=Urgency.KHAN,
        amount=None,
        targets=targets,
    )
    data: dict[str, Any] = {"reference": reference, "action": "takedown", "officer_id": "cb-101"}
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
                contradicts=False,
                received_at=filed,
            )
    for fact, delay in ((Fact.ORDER_PLACED, 0), (Fact.ORDER_DELIVERED, 3), (Fact.ORDER_EXECUTED, 1500)):
        for place, order in enumerate(orders):
            refused = fact is Fact.ORDER_EXECUTED and place == 41
            about: dict[str, Any] = {"order_id": str(order), "participant_id": "viettel-isp", "target": place}
            code = Fact.ORDER_REFUSED if refused else fact
            actor = HUB if fact is Fact.ORDER_DELIVERED else bank("viettel-isp")
            extra: dict[str, Any] = {"refusal": "target_legitimate"} if refused else {}
            at = filed + timedelta(seconds=delay, milliseconds=140 * place)
            await teller.tell(request, at, code, actor, **about, **extra)
    await teller.tell(request, filed + timedelta(hours=1), Fact.REQUEST_CLOSED)
    await teller.close(request, filed + timedelta(hours=1))
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
    await teller.approve(request, filed)
    order = await teller.order(request, accounts[0], "vietcombank", OrderState.ACKNOWLEDGED, filed, amount=None)
    limit = timedelta(days=2, hours=6)
    await teller.clock(request, order, "vietcombank", Stage.EXECUTE, filed, limit, DeadlineState.PENDING)
    data: dict[str, Any] = {"reference": reference, "action": "freeze", "officer_id": "cb-101"}
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
