"""What presses in a request, and who sits at the console, read the same from both databases."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import world as worlds
from builders import AGENCY, Builder
from world import World

from service import db
from service.actions.note_presence import note_presence
from service.engine.hub import OPERATOR, Hub
from service.models import ConsoleSession, Deadline, Order, Participant
from service.queries import board, sessions
from service.security import console_session, principals
from service.security.principals import Principal
from service.security.signatures import Kind
from workflows.entry_terms import Way
from workflows.terms import DeadlineState, OrderState, Role, Sector, Stage

COORDINATOR = principals.of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])


async def pressing(hub: Hub, build: Builder, principal: Principal = COORDINATOR) -> list[board.Pressure]:
    ids = [row.request_id for row in await build.rows(Order)]
    async with hub.database.read() as conn:
        return list((await board.pressure(conn, principal, ids, await db.now(conn))).values())


async def test_a_deadline_presses_until_it_is_overdue_and_then_the_delay_does(hub: Hub, build: Builder) -> None:
    order = (await build.placed()).order_id
    (before,) = await pressing(hub, build)
    assert (before.stage, before.overdue_since, before.tenant) == (Stage.RECEIPT, None, AGENCY)

    (deadline,) = await build.rows(Deadline)
    await build.change(Deadline, deadline.id, state=DeadlineState.MISSED)
    (late,) = await pressing(hub, build)
    assert (late.overdue_stage, late.overdue_since) == (Stage.RECEIPT, before.due_at)

    # What was owed in a state that the order has left is owed no more.
    await build.change(Order, order, state=OrderState.DELIVERED)
    (after,) = await pressing(hub, build)
    assert after.overdue_since is None


async def test_a_signature_that_is_late_stays_on_view_until_it_is_given(
    hub: Hub, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    world = World(hub)
    await world.settle_in()
    filed = await world.submit(worlds.freeze())

    async def pressure() -> board.Pressure:
        async with hub.database.read() as conn:
            return (await board.pressure(conn, COORDINATOR, [filed.id], await db.now(conn)))[filed.id]

    before = await pressure()
    assert (before.stage, before.overdue_stage) == (Stage.APPROVAL, None)
    await fast_forward(minutes=31)
    # Whether or not a worker has said so yet.
    unsaid = await pressure()
    await world.fire()
    late = await pressure()
    for each in (unsaid, late):
        assert (each.overdue_stage, each.overdue_since) == (Stage.APPROVAL, before.due_at)
    await world.approve(filed.id)
    assert (await pressure()).overdue_since is None


async def test_who_filed_is_not_asked_for_the_second_signature(hub: Hub) -> None:
    world = World(hub)
    await world.settle_in()
    filed = await world.submit(worlds.freeze())
    for person, house, awaited in (
        ("maker", worlds.AGENCY, None),
        ("approver", worlds.AGENCY, Kind.APPROVAL),
        # Of the same name in another house is another person.
        ("maker", OPERATOR, Kind.APPROVAL),
    ):
        sector = Sector.HUB if house == OPERATOR else Sector.AGENCY
        roles = [Role.COORDINATOR] if house == OPERATOR else [Role.MAKER, Role.APPROVER]
        reader = principals.of_person(person, tenant=house, sector=sector, roles=roles)
        async with hub.database.read() as conn:
            pressing = await board.pressure(conn, reader, [filed.id], await db.now(conn))
        assert pressing[filed.id].awaits == awaited, person


async def test_a_freeze_names_what_lifted_it_and_a_lift_what_it_lifts(hub: Hub) -> None:
    world = World(hub)
    await world.settle_in()
    freeze = await world.active(worlds.freeze())
    async with hub.database.read() as conn:
        assert await board.lifts(conn, COORDINATOR, freeze.id) == {}
    lift = await world.submit(worlds.lift(freeze.id))
    stranger = principals.of_person("an", tenant="agency-b", sector=Sector.AGENCY, roles=[Role.READER])
    async with hub.database.read() as conn:
        assert await board.lifts(conn, COORDINATOR, freeze.id) == {lift.id: lift.reference}
        assert await board.originals(conn, COORDINATOR, [freeze.id, lift.id]) == {lift.id: freeze.reference}
        assert await board.lifts(conn, stranger, freeze.id) == {}
        assert await board.originals(conn, stranger, [freeze.id, lift.id]) == {}


async def test_the_next_rung_of_an_order_is_told_until_its_participant_answers(
    hub: Hub, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    world = World(hub)
    await world.settle_in()
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)

    async def behind() -> board.Background:
        async with hub.database.read() as conn:
            found = await board.background(conn, COORDINATOR, filed.id, officers=[], participants=[])
        assert found is not None
        return found

    # Nothing is late: no rung is on its way.
    assert (await behind()).coming == {}
    await fast_forward(minutes=12)
    await world.fire()
    late = await behind()
    waiting = [each for each in await world.rows(Deadline, subject_id=order["id"], state="pending") if each["rung"]]
    coming = late.coming[order["id"]]
    assert (coming.rung, coming.due_at) == (waiting[0]["rung"], waiting[0]["due_at"])
    assert all(
        (each.policy_name, each.policy_version) == ("vn-default", 2) for each in late.raised.get(order["id"], ())
    )
    await world.answer(order, outcome="executed", amount_held={"value": "150000000", "currency": "VND"})
    assert (await behind()).coming == {}


async def test_what_presses_in_a_foreign_request_is_not_told(hub: Hub, build: Builder) -> None:
    await build.placed()
    stranger = principals.of_person("an", tenant="agency-b", sector=Sector.AGENCY, roles=[Role.READER])
    assert await pressing(hub, build, stranger) == []
    (order,) = await build.rows(Order)
    async with hub.database.read() as conn:
        for principal, found in ((stranger, False), (COORDINATOR, True)):
            behind = await board.background(
                conn, principal, order.request_id, officers=["officer-a"], participants=["bank-a"]
            )
            assert (behind is not None) is found
    assert behind is not None and not behind.whole
    assert set(behind.names) == {AGENCY, "bank-a"} and behind.officers == {"officer-a": ("head", "SH-officer-a")}


async def test_a_session_lasts_while_somebody_is_there_its_member_is_active_and_eight_hours_at_most(
    hub: Hub, build: Builder, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    await build.participant(OPERATOR, Sector.HUB)
    token, digest = console_session.new_session_token()

    async def seat() -> sessions.Seat | None:
        async with hub.database.read() as conn:
            return await sessions.find(conn, token)

    assert await seat() is None
    async with hub.database.read() as conn:
        now = await db.now(conn)
    await build.write(
        ConsoleSession,
        digest=bytes.fromhex(digest),
        tenant=OPERATOR,
        person="lan",
        role=Role.COORDINATOR,
        id=uuid4(),
        way=Way.LINK,
        browser="other-other",
        started_at=now,
        seen_at=now,
        expires_at=now + console_session.SESSION_LIFETIME,
    )
    for status in ("suspended", "active"):
        await build.change(Participant, OPERATOR, status=status)
        assert (await seat() is not None) is (status == "active")
    for _ in range(16):
        await fast_forward(minutes=29)
        found = await seat()
        assert found is not None and found.principal.client_id == "lan"
        await note_presence(hub, token, found.now)
    await fast_forward(minutes=17)
    assert await seat() is None  # eight hours and a minute
