"""A freeze names amount, basis, document, authority, end and two officers, or schema and database refuse it."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from world import World

from service.engine.hub import Hub
from service.models import ActionRequest, Approval, Order
from workflows.terms import Action, OrderState, RequestState

WHOLE = {"reason": "Tài khoản thuê mở"}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


def without(body: dict[str, Any], path: str) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    *parents, last = path.split(".")
    at = changed
    for parent in parents:
        at = at[parent]
    del at[last]
    return changed


@pytest.mark.parametrize(
    "path",
    [
        "case_number",
        "legal_basis",
        "urgency",
        "officer_id",
        "document",
        "document.number",
        "document.date",
        "document.sha256",
        "contact",
        "contact.name",
        "contact.phone",
        "target",
        "target.value",
        "target.institution",
        "amount",
        "amount.value",
    ],
)
def test_the_schema_refuses_a_freeze_that_lacks(path: str) -> None:
    worlds.SUBMIT.validate_python(worlds.freeze())
    with pytest.raises(ValidationError):
        worlds.SUBMIT.validate_python(without(worlds.freeze(), path))


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": steps.vnd(0)},
        {"amount": {"value": "-1", "currency": "VND"}},
        {"amount": {"value": "1.5", "currency": "VND"}},
        {"amount": {"value": 150_000_000, "currency": "VND"}},
        {"amount": {"value": "1", "currency": "USD"}},
        {"whole_account": WHOLE},
        {"amount": None},
        {"amount": None, "whole_account": {}},
        {"amount": None, "whole_account": {"reason": ""}},
        {"amount": None, "whole_account": {"reason": " "}},
        {"amount": None, "whole_account": True},
        {"legal_basis": "because"},
        {"document": {"number": "", "date": "2026-11-20", "sha256": "ab" * 32}},
        {"document": {"number": "15/QD", "date": "2026-11-20", "sha256": "ab" * 31}},
        {"ends_at": "2026-11-30T00:00:00"},
        {"ends_at": "never"},
        {"target": [worlds.freeze()["target"]] * 2},
    ],
)
def test_the_schema_refuses_a_freeze_of(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        worlds.SUBMIT.validate_python(worlds.freeze(**changes))


async def test_every_freeze_that_is_filed_carries_all_that_makes_it_proportionate(world: World) -> None:
    whole = worlds.freeze(whole_account=WHOLE, officer_id="approver")
    del whole["amount"]
    for body in (worlds.freeze(), steps.emergency(), whole):
        filed = await world.submit(body)
        row = await steps.request_now(world, filed.id)
        assert (row["amount"] is None) is row["whole_account"]
        assert row["whole_account"] is (row["whole_account_reason_sealed"] is not None)
        needed = "legal_basis document_number document_date document_sha256 authority_rule officer_id starts_at ends_at"
        assert all(row[name] for name in [*needed.split(), "contact_sealed", "body_sha256", "signature"])
        assert row["starts_at"] < row["ends_at"] <= row["starts_at"] + timedelta(hours=72)


async def run(world: World, statement: str, **values: Any) -> None:
    """Run one SQL statement as whoever has the hub's own connection could."""
    kinds: dict[type, Any] = {UUID: sa.Uuid(), datetime: table(Order).c.ends_at.type}
    given = [sa.bindparam(name, value, type_=kinds.get(type(value))) for name, value in values.items()]
    await world.hub.writer.run(lambda conn: conn.execute(sa.text(statement).bindparams(*given)))


async def is_refused(world: World, statement: str, **values: Any) -> None:
    before = [await world.rows(model) for model in (ActionRequest, Approval, Order)]
    with pytest.raises(IntegrityError):
        await run(world, statement, **values)
        pytest.fail(f"the database took it: {statement}")
    assert [await world.rows(model) for model in (ActionRequest, Approval, Order)] == before


IMPOSSIBLE = (
    "ends_at = NULL",
    "ends_at = starts_at",
    "starts_at = NULL",
    "amount = NULL",
    "amount = 0",
    "amount = -150000000",
    "whole_account = TRUE",
    "whole_account = TRUE, whole_account_reason_sealed = contact_sealed",
    "amount = NULL, whole_account = TRUE",
    "whole_account = NULL",
    "legal_basis = NULL",
    "legal_basis = 'because'",
    "document_number = ''",
    "document_number = NULL",
    "document_date = NULL",
    "document_sha256 = ''",
    "document_sha256 = NULL",
    "authority_rule = ''",
    "authority_rule = NULL",
    "officer_id = NULL",
    "officer_id = 'nobody'",
    "contact_sealed = NULL",
    "body_sealed = NULL",
    "action = 'seize'",
    "state = 'approved'",
    "urgency = 'whenever'",
)


async def test_the_database_itself_refuses_a_freeze_that_lacks_what_makes_it_proportionate(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    for change in IMPOSSIBLE:
        await is_refused(world, f"UPDATE requests SET {change} WHERE id = :id", id=filed.id)
    await run(world, "UPDATE requests SET amount = 1 WHERE id = :id", id=filed.id)


async def test_the_database_refuses_a_freeze_order_without_an_end(world: World) -> None:
    filed = await world.active(worlds.freeze())
    await is_refused(world, "UPDATE orders SET ends_at = NULL WHERE request_id = :id", id=filed.id)


def place(action: str = "freeze") -> str:
    """The statement that places an order of one request like the order of another; nobody asks the rules."""
    columns = [column.name for column in table(Order).c if column.name not in {"id", "request_id", "action"}]
    names = ", ".join(columns)
    return (
        f"INSERT INTO orders (id, request_id, action, {names})"
        f" SELECT :new, :request, '{action}', {names} FROM orders WHERE id = :like"
    )


APPROVE = (
    "INSERT INTO approvals (id, tenant, request_id, officer_id, client_id, kind, body_sha256, approved_at)"
    " SELECT :new, tenant, id, :officer, client_id, :kind, body_sha256, submitted_at FROM requests WHERE id = :request"
)

ACTIVE = "UPDATE requests SET state = 'active' WHERE id = :request"


@pytest.mark.parametrize("action", ["freeze", "preserve", "extend"])
async def test_the_database_refuses_a_hold_that_one_officer_signed(world: World, action: str) -> None:
    [like] = await world.orders((await world.active(worlds.freeze())).id)
    alone = (await world.submit(worlds.freeze())).id
    statement = place(action)
    values = {"request": alone, "like": like["id"]}
    # Nothing but the second signature is missing.
    await run(world, ACTIVE, request=alone)
    await is_refused(world, statement, new=uuid4(), **values)
    # His own yes makes no second one, nor does a review, nor one that belongs to another request.
    await run(world, APPROVE, new=uuid4(), officer="maker", kind="approval", request=alone)
    await is_refused(world, statement, new=uuid4(), **values)
    await run(world, APPROVE, new=uuid4(), officer="approver", kind="review", request=alone)
    await is_refused(world, statement, new=uuid4(), **values)
    # Neither does calling it an emergency that nobody must review.
    await run(world, "UPDATE requests SET legal_basis = 'emergency' WHERE id = :id", id=alone)
    await is_refused(world, statement, new=uuid4(), **values)
    await run(world, APPROVE, new=uuid4(), officer="approver", kind="approval", request=alone)
    await run(world, statement, new=uuid4(), **values)


@pytest.mark.parametrize("state", [state for state in RequestState if state is not RequestState.ACTIVE])
async def test_the_database_places_nothing_of_a_request_that_is_not_active(world: World, state: RequestState) -> None:
    filed = await world.active(worlds.freeze())
    [like] = await world.orders(filed.id)
    values = {"request": filed.id, "like": like["id"]}
    await run(world, f"UPDATE requests SET state = '{state}' WHERE id = :id", id=filed.id)
    for action in Action:
        await is_refused(world, place(action), new=uuid4(), **values)
    await run(world, ACTIVE, request=filed.id)
    for action in Action:
        await run(world, place(action), new=uuid4(), **values)


async def test_the_database_lets_what_is_no_hold_and_what_will_be_reviewed_pass(world: World) -> None:
    [like] = await world.orders((await world.active(worlds.freeze())).id)
    alone = (await world.submit(worlds.freeze())).id
    await run(world, ACTIVE, request=alone)
    for action in ("lift", "takedown"):
        await run(world, place(action), new=uuid4(), request=alone, like=like["id"])
    await world.submit(steps.emergency())
    assert len(await world.rows(Order)) == 4


async def test_the_database_refuses_to_move_an_end_that_two_did_not_prolong(world: World) -> None:
    order = await steps.held(world)
    later = order["ends_at"] + timedelta(days=7)
    move = "UPDATE orders SET ends_at = :end WHERE id = :id"
    await is_refused(world, move, end=order["ends_at"] + timedelta(microseconds=1), id=order["id"])
    # A second officer signed the hold, which prolongs nothing; an extension that one signed prolongs nothing either.
    alone = await world.submit(steps.extend(order))
    await is_refused(world, move, end=later, id=order["id"])
    await run(world, APPROVE, new=uuid4(), officer="maker", kind="approval", request=alone.id)
    await is_refused(world, move, end=later, id=order["id"])
    # One that two signed prolongs this hold, to that end and not beyond it, and no other hold.
    await world.approve(alone.id)
    await is_refused(world, move, end=later + timedelta(microseconds=1), id=order["id"])
    other = await steps.held(world)
    await is_refused(world, move, end=other["ends_at"] + timedelta(days=1), id=other["id"])
    await run(world, move, end=later, id=order["id"])
    # Ending it earlier gives money back, and takes nobody.
    await run(world, move, end=datetime(2026, 12, 1, tzinfo=UTC), id=order["id"])


async def test_the_database_refuses_to_make_an_order_another_than_was_signed(world: World) -> None:
    order, other = await steps.held(world), await steps.held(world)
    blocked = await world.active(worlds.takedown({"kind": "domain", "value": "vietcombank-khuyenmai.xyz"}))
    [block, *_] = await world.orders(blocked.id)
    await is_refused(world, "UPDATE orders SET action = 'freeze', ends_at = placed_at WHERE id = :id", id=block["id"])
    await is_refused(world, "UPDATE orders SET amount = amount + 1 WHERE id = :id", id=order["id"])
    await is_refused(world, "UPDATE orders SET participant_id = 'techcombank' WHERE id = :id", id=order["id"])
    for column in ("request_id", "target_id"):
        moved = f"UPDATE orders SET {column} = :other WHERE id = :id"
        await is_refused(world, moved, other=other[column], id=order["id"])


async def test_two_holds_on_one_account_are_two_and_end_each_by_itself(world: World, fast_forward: Any) -> None:
    short = await steps.held(world, ends_at=(await steps.now(world) + timedelta(hours=1)).isoformat())
    long = await steps.held(world, ends_at=(await steps.now(world) + timedelta(hours=48)).isoformat())
    lifted = await steps.held(world)
    await world.active(worlds.lift(lifted["request_id"]))
    await fast_forward(hours=1)
    await world.fire()
    assert (await steps.order_now(world, short))["state"] is OrderState.LAPSED
    assert (await steps.order_now(world, long))["state"] is OrderState.EXECUTED
    assert (await steps.order_now(world, long))["ends_at"] == long["ends_at"]
    await fast_forward(hours=47)
    await world.fire()
    assert (await steps.order_now(world, long))["state"] is OrderState.LAPSED
