"""What the tests of the verbs do again and again: amounts, a freeze that is held, states brought about, the audit."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
import world as worlds
from builders import insert_endpoint, table
from world import World

from service import audit, db
from service.engine import owing
from service.models import ActionRequest, Deadline, Endpoint, Officer, Order
from workflows.terms import Action, OrderState

ASKED = 150_000_000


def vnd(amount: int) -> dict[str, str]:
    """An amount as it is on the wire."""
    return {"value": str(amount), "currency": "VND"}


async def held(world: World, **changes: Any) -> dict[str, Any]:
    """A freeze that its bank has executed in full; returns the order."""
    filed = await world.active(worlds.freeze(**changes))
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    return await order_now(world, order)


async def status_endpoint(world: World) -> UUID:
    """Give the agency an endpoint for statuses."""
    [row] = await world.rows(Endpoint, id=world.endpoints["vietcombank"])
    values: Mapping[str, Any] = {**row, "id": uuid4(), "tenant": worlds.AGENCY, "purpose": "status"}
    await world.hub.writer.run(lambda conn: insert_endpoint(conn, values))
    return values["id"]  # type: ignore[no-any-return]


async def order_now(world: World, order: Mapping[str, Any]) -> dict[str, Any]:
    """The order as it is now."""
    [row] = await world.rows(Order, id=order["id"])
    return row


async def delivered(world: World, order: Mapping[str, Any]) -> None:
    """Let a webhook's dispatch of this order have arrived, as delivery writes it."""

    async def unit(conn: Any) -> None:
        at = await db.now(conn)
        orders = table(Order)
        moved = sa.update(orders).where(orders.c.id == order["id"])
        owed = owing.due(conn, OrderState.DELIVERED)
        await conn.execute(moved.values(state=OrderState.DELIVERED, delivered_at=at, changed_at=at, **owed))

    await world.hub.writer.run(unit, reach=db.HUB)


async def now(world: World) -> datetime:
    """The database's instant."""
    async with world.hub.database.read(db.HUB) as conn:
        return await db.now(conn)


async def findings(world: World) -> list[tuple[int, str]]:
    """What ``audit verify`` finds: sequence and kind."""
    async with world.hub.database.read(db.HUB) as conn:
        verdict = await audit.verify(conn)
    return [(finding.sequence, finding.kind) for finding in verdict.findings]


async def pending(world: World, subject: UUID) -> list[tuple[str, int, int]]:
    """The stage, rung and generation of what still waits for its instant about a subject."""
    rows = await world.rows(Deadline, subject_id=subject, state="pending")
    return sorted((str(row["stage"]), row["rung"], row["generation"]) for row in rows)


async def of_action(world: World, action: Action) -> list[dict[str, Any]]:
    """All orders of one action."""
    return await world.rows(Order, action=action)


async def in_state(world: World, state: OrderState, fast_forward: Any) -> dict[str, Any]:
    """A freeze order brought to a state the way it gets there; whatever has ended was delivered before."""
    order = await _brought(world, state, fast_forward)
    assert order["state"] is state
    return order


async def _brought(world: World, state: OrderState, fast_forward: Any) -> dict[str, Any]:
    if state in {OrderState.EXECUTED, OrderState.LAPSED, OrderState.LIFTED}:
        order = await held(world)
    else:
        filed = await world.active(worlds.freeze())
        [order] = await world.orders(filed.id)
    match state:
        case OrderState.DELIVERED:
            await delivered(world, order)
        case OrderState.ACKNOWLEDGED:
            await world.answer(order, outcome="received")
        case OrderState.REFUSED:
            await world.answer(order, outcome="refused", refusal_code="target_closed")
        case OrderState.REROUTED:
            await world.answer(order, outcome="not_mine", ported_to="techcombank")
        case OrderState.WITHDRAWN:
            await delivered(world, order)
            await world.active(worlds.lift(order["request_id"]))
        case OrderState.LAPSED | OrderState.LIFTED:
            await fast_forward(hours=73)
            await world.fire()
    if state is OrderState.LIFTED:
        await world.answer(order, outcome="lifted")
    return await order_now(world, order)


def extend(order: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of an extension of a hold's end by ``days``."""
    days = changes.pop("days", 7)
    ends_at = (order["ends_at"] + timedelta(days=days)).isoformat()
    body = worlds.freeze(action="extend", original_request_id=str(order["request_id"]), ends_at=ends_at, **changes)
    return {name: value for name, value in body.items() if name not in {"target", "amount"}}


async def second_officer(world: World) -> None:
    """Enrol one more officer who may approve, with the id ``second``, unless there is one."""
    if await world.rows(Officer, id="second"):
        return
    officers = table(Officer)

    async def unit(conn: Any) -> None:
        [row] = (await conn.execute(sa.select(officers).where(officers.c.id == "approver"))).all()
        name = await worlds.name_of(conn, world.hub, "second")
        second = {**row._mapping, "id": "second", "number": "079-second", "name_sealed": name}
        await db.insert_rows(conn, officers, [second])

    await world.hub.writer.run(unit, reach=db.HUB)
    await world.give_key("second")


def preserve(*targets: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of an order to keep what is known about money targets."""
    body = worlds.freeze(action="preserve", targets=list(targets), **changes)
    return {name: value for name, value in body.items() if name not in {"target", "amount"}}


def recall(**changes: Any) -> dict[str, Any]:
    """The body of a recall of 150,000,000 ₫ that were sent to the account of a freeze."""
    payment = {"reference": "FT26327-0000417", "sent_on": "2026-11-20", "sender": "970407", "end_to_end_id": "E2E-417"}
    return worlds.freeze(action="recall", **{"payment": payment, **changes})


def disclose(*targets: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a disclosure about the account of a freeze, or about these targets, by a senior officer."""
    about = list(targets) or [worlds.freeze()["target"]]
    asked = {"asked": ["holder_name", "holder_document", "contact_phone"], "legal_basis": "cpc_88", **changes}
    body = worlds.freeze(action="disclose", targets=about, **{"officer_id": "approver", **asked})
    return {name: value for name, value in body.items() if name not in {"target", "amount"}}


def moved(*accounts: str, has_more: bool = False) -> dict[str, Any]:
    """The answer to a trace of the last 24 hours: money came in, and went on to each of these accounts."""
    at = (datetime.now(UTC) - timedelta(hours=12)).isoformat()
    came = {"direction": "in", "amount": vnd(1_000_000_000), "at": at, "kind": "cash"}
    went = [
        {
            "direction": "out",
            "amount": vnd(100_000_000 - place),
            "at": at,
            "kind": "transfer",
            "counterparty": {"kind": "account", "value": account, "institution": "970418"},
        }
        for place, account in enumerate(accounts or ("9704000000417",))
    ]
    return {"movements": [came, *went], "has_more": has_more}


def trace(**changes: Any) -> dict[str, Any]:
    """The body of a trace of the account of a freeze, over the 24 hours until a minute ago, by a senior officer."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    window = {"since": (now - timedelta(days=1)).isoformat(), "until": now.isoformat()}
    said = {"window": window, "legal_basis": "cpc_88", "officer_id": "approver", **changes}
    body = worlds.freeze(action="trace", **said)
    return {name: value for name, value in body.items() if name != "amount"}


async def traced(world: World, **changes: Any) -> dict[str, Any]:
    """File a trace, let a second senior officer approve it, and return its order."""
    await second_officer(world)
    filed = await world.submit(trace(**changes))
    await world.approve(filed.id, "second")
    [order] = await world.orders(filed.id)
    return order


async def asked(world: World, *targets: Mapping[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """File a disclosure, let a second senior officer approve it, and return its orders."""
    await second_officer(world)
    filed = await world.submit(disclose(*targets, **changes))
    await world.approve(filed.id, "second")
    return await world.orders(filed.id)


def emergency(**changes: Any) -> dict[str, Any]:
    """The body of an emergency hold by one officer."""
    return worlds.freeze(legal_basis="emergency", **changes)


async def request_now(world: World, request_id: UUID) -> dict[str, Any]:
    """A request as it is now."""
    [row] = await world.rows(ActionRequest, id=request_id)
    return row
