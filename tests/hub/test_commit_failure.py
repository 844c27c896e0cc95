"""A commit that fails is an error and leaves no row; one whose answer was lost is found again under its key."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from steps import vnd
from world import World

from service import db
from service.engine.hub import Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    AuditEntry,
    Case,
    Deadline,
    Dispatch,
    Escalation,
    IdempotencyKey,
    Order,
    QueueItem,
    Target,
)
from workflows.terms import OrderState, RequestState

BROKEN = {
    "the database is gone": OperationalError("COMMIT", {}, ConnectionResetError("gone")),
    "the disk is full": OperationalError("COMMIT", {}, OSError(28, "No space left on device")),
    "a fault of our own": RuntimeError("unexpected"),
}
KEYS = ("key-0001", "key-0002", "key-0003", "key-0004")
Commit = Callable[[AsyncConnection], Awaitable[None]]


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Commit | None], None]:
    """Replace what a commit does; None is the real one again."""
    real = AsyncConnection.commit
    return lambda commit: monkeypatch.setattr(AsyncConnection, "commit", commit or real)


def failing(error: Exception) -> Commit:
    async def commit(_: AsyncConnection) -> None:
        raise error

    return commit


async def counts(world: World) -> dict[str, int]:
    models = (ActionRequest, Case, Target, Order, Deadline, Dispatch, QueueItem, AuditEntry, IdempotencyKey)
    return {model.__name__: len(await world.rows(model)) for model in (*models, Acknowledgement, Escalation)}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_submission_whose_commit_fails_is_an_error_and_no_row(world: World, commits, broken: str) -> None:
    body = worlds.freeze(legal_basis="emergency")
    before = await counts(world)
    commits(failing(BROKEN[broken]))
    with pytest.raises(type(BROKEN[broken])):
        await world.submit(body, key="key-0001")
    commits(None)
    assert await counts(world) == before
    filed = await world.submit(body, key="key-0001")
    assert filed.state is RequestState.ACTIVE
    assert len(await world.rows(Order)) == 1
    assert await steps.findings(world) == []


async def test_a_submission_whose_answer_was_lost_is_answered_again_with_the_same_id(world: World, commits) -> None:
    real = AsyncConnection.commit

    async def cut(conn: AsyncConnection) -> None:
        await real(conn)
        raise OperationalError("COMMIT", {}, ConnectionResetError("the answer was lost"))

    commits(cut)
    with pytest.raises(OperationalError):
        await world.submit(worlds.freeze(), key="key-0001")
    commits(None)
    [request] = await world.rows(ActionRequest)
    assert (await world.submit(worlds.freeze(), key="key-0001")).id == request["id"]
    assert len(await world.rows(ActionRequest)) == 1


async def test_an_answer_whose_commit_fails_is_an_error_and_the_order_has_not_moved(world: World, commits) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    before = await counts(world)
    commits(failing(BROKEN["the database is gone"]))
    with pytest.raises(OperationalError):
        await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    commits(None)
    assert await counts(world) == before
    assert await steps.order_now(world, order) == order
    assert not (await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))).repeated


async def test_a_firing_whose_commit_fails_fires_again_and_once(world: World, commits, fast_forward) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await fast_forward(minutes=11)
    before = await counts(world)
    commits(failing(BROKEN["the database is gone"]))
    with pytest.raises(OperationalError):
        await world.fire()
    commits(None)
    assert await counts(world) == before
    await world.fire()
    assert len(await world.rows(Escalation, order_id=order["id"])) == 3
    assert await world.fire() == 0


async def test_a_caller_that_goes_away_at_the_commit_leaves_all_or_nothing_and_a_working_hub(
    world: World, commits
) -> None:
    real = AsyncConnection.commit
    reached = asyncio.Event()

    async def slow(conn: AsyncConnection) -> None:
        reached.set()
        await asyncio.sleep(0)
        await real(conn)

    for key in KEYS:
        commits(slow)
        reached.clear()
        filing = asyncio.create_task(world.submit(worlds.freeze(), key=key))
        await reached.wait()
        filing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await filing
        commits(None)
    kept = {row["key"]: row["answer"]["id"] for row in await world.rows(IdempotencyKey)}
    assert {str(row["id"]) for row in await world.rows(ActionRequest)} == set(kept.values())
    again = {key: str((await world.submit(worlds.freeze(), key=key)).id) for key in KEYS}
    assert {key: again[key] for key in kept} == kept
    assert len(await world.rows(ActionRequest)) == len(KEYS)


async def test_a_state_is_never_half_moved(world: World, commits) -> None:
    hold = await steps.held(world)
    commits(failing(BROKEN["a fault of our own"]))
    with pytest.raises(RuntimeError):
        await world.submit(worlds.lift(hold["request_id"]))
    commits(None)
    assert await steps.order_now(world, hold) == hold
    assert hold["state"] is OrderState.EXECUTED


async def test_a_commit_that_the_database_refuses_leaves_no_transaction_behind(hub: Hub) -> None:
    """SQLite keeps a transaction open whose COMMIT it refuses; the next unit must not meet it on its connection."""

    async def orphan(conn: AsyncConnection) -> None:
        await conn.execute(sa.text("CREATE TEMPORARY TABLE parents (id integer PRIMARY KEY)"))
        await conn.execute(
            sa.text(
                "CREATE TEMPORARY TABLE children (id integer REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)"
            )
        )
        await conn.execute(sa.text("INSERT INTO children VALUES (1)"))

    for _ in range(3):
        with pytest.raises(IntegrityError):
            await hub.database.write(orphan, db.HUB)
        assert await hub.database.write(db.now, db.HUB)
