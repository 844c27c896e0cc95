"""To a participant that is suspended as a whole nothing goes, also what was queued before, and a person is told."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import registry_forms as forms
import sqlalchemy as sa
from builders import LONG_AGO, Builder, table
from registry_forms import ADMIN
from rigs import FastForward, Rig
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db
from service.actions import resume, suspend
from service.console import participants
from service.engine import handing_over, reach
from service.engine.auditor import Auditor
from service.engine.hub import OPERATOR, Hub
from service.models import Contact, Endpoint, Order, Participant, Task
from service.queries import dispatch_health
from service.schemas.registry import SuspendedKind
from service.security import principals
from workflows.terms import Channel, OrderState, Purpose, Role, Sector, TaskKind

COORDINATOR = principals.of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])


async def switch(hub: Hub, verb: Any, kind: SuspendedKind = SuspendedKind.PARTICIPANT, subject: Any = "bank-a") -> None:
    await verb(hub, ADMIN, "bank-a", forms.stop(kind, subject))


async def told(build: Builder) -> set[str]:
    tasks = await build.rows(Task, kind=TaskKind.ENDPOINT_DOWN)
    return {task.data["endpoint_id"] for task in tasks if task.resolved_at is None}


@pytest.fixture
async def ways(build: Builder) -> list[UUID]:
    """A bank with a webhook and, behind it, ISO 20022."""
    await build.participant("bank-a")
    return [
        await build.endpoint("bank-a", channel=channel, position=position)
        for position, channel in enumerate((Channel.WEBHOOK, Channel.ISO20022), start=1)
    ]


async def test_what_was_queued_waits_and_goes_out_once_the_member_is_resumed(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID], fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a", ways[0])
    other = await build.placed("bank-b")
    await switch(hub, suspend.suspend)
    assert await rig.round() == 1
    assert (await build.row(Order, id=other.order_id)).state is OrderState.DELIVERED
    # Its other endpoint is no way round it, however late the order is.
    await fast_forward(minutes=30)
    assert await handing_over.hand_over(hub) == 0
    assert await rig.round() == 0
    assert await told(build) == {str(ways[0])}
    await switch(hub, resume.resume)
    assert await told(build) == set()
    assert await rig.round() == 1
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED


async def test_it_is_no_hole_and_shown_as_out_of_use(
    hub: Hub, build: Builder, ways: list[UUID], fast_forward: FastForward
) -> None:
    await build.placed("bank-a", ways[0])
    await switch(hub, suspend.suspend)
    auditor = Auditor(hub)
    for seconds in (120, 10):
        await fast_forward(seconds=seconds)
        await auditor.look()
    assert "queue.stalled" not in auditor.holes.codes
    async with hub.database.read(db.HUB) as conn:
        shown = await dispatch_health.load(conn, COORDINATOR, await db.now(conn))
    assert {lane.endpoint_id: lane.active for lane in shown.lanes} == dict.fromkeys(ways, False)


async def test_an_endpoint_that_is_resumed_goes_on_waiting_for_its_member(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID]
) -> None:
    await build.placed("bank-a", ways[0])
    await switch(hub, suspend.suspend, SuspendedKind.ENDPOINT, ways[0])
    await switch(hub, suspend.suspend)
    await switch(hub, resume.resume, SuspendedKind.ENDPOINT, ways[0])
    assert await rig.round() == 0
    await switch(hub, suspend.suspend, SuspendedKind.ENDPOINT, ways[1])
    await switch(hub, resume.resume)
    assert await told(build) == set()
    assert await rig.round() == 1


async def test_a_member_that_is_resumed_leaves_its_suspended_endpoint_as_it_is(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID]
) -> None:
    await build.change(Endpoint, ways[1], active=False)
    await build.placed("bank-a", ways[0])
    await switch(hub, suspend.suspend, SuspendedKind.ENDPOINT, ways[0])
    assert await told(build) == {str(ways[0])}
    await switch(hub, suspend.suspend)
    await switch(hub, resume.resume)
    assert await told(build) == {str(ways[0])}
    assert await rig.round() == 0


async def test_nobody_of_a_suspended_member_is_sent_a_notice(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a", purpose=Purpose.NOTICES)
    contact = clock.new_id()
    whose = {"id": contact, "tenant": "bank-a", "name_sealed": b"", "endpoint_id": endpoint}
    await build.write(Contact, **whose, position=1, active=True, created_at=LONG_AGO)

    async def on_duty(conn: AsyncConnection) -> list[UUID]:
        found = await reach.on_duty(conn, ["bank-a"], clock.utc_now(), mail=True)
        return [each.contact_id for each in found.get("bank-a", ())]

    async with hub.database.read(db.HUB) as conn:
        assert await on_duty(conn) == [contact]
    members = table(Participant)
    left = sa.update(members).where(members.c.id == "bank-a").values(status="suspended")
    await hub.database.write(lambda conn: conn.execute(left), db.HUB)
    async with hub.database.read(db.HUB) as conn:
        assert await on_duty(conn) == []


@pytest.mark.parametrize(("status", "called"), [("active", 1), ("suspended", 0)])
def test_the_directory_names_nobody_of_it_to_call(status: str, called: int) -> None:
    endpoint = SimpleNamespace(id=UUID(int=1), channel=Channel.EMAIL, approved_sha256=None, active=True)
    contact = SimpleNamespace(active=True, endpoint_id=endpoint.id, channel=Channel.EMAIL, hours=None)
    whole: Any = SimpleNamespace(status=status, endpoints=[endpoint], contacts=[contact])
    assert len(participants._on_duty(whole, clock.utc_now(), mail=True)) == called
