"""Tasks: a coordinator resolves one once, its clock stops, and the request that waited for it is closed."""

from uuid import UUID

import pytest
from builders import AGENCY, Builder
from opening import opened
from registry_forms import ADMIN
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import resolve_task
from service.audit import Log
from service.engine import tasks as opening
from service.engine.hub import OPERATOR, Hub
from service.models import ActionRequest, Deadline, Task
from service.queries import tasks
from service.schemas.tasks import TaskPage, TaskResolution
from service.security.principals import Principal, ScopeMissing, of_person
from workflows import policy
from workflows.terms import DeadlineState, Fact, OrderState, RequestState, Role, Sector, TaskKind

COORDINATOR = of_person("truc-ban", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
NOTE = "Đã gọi điện cho Trần Văn Thử"


async def filed(build: Builder) -> UUID:
    request_id = await build.request()
    await build.change(ActionRequest, request_id, policy=policy.to_snapshot(policy.loads("vn-default")))
    return request_id


async def open_task(
    hub: Hub, build: Builder, request_id: UUID, kind: TaskKind = TaskKind.UNREACHABLE_PARTICIPANT
) -> UUID:
    await build.participant("bank-a")
    chain = audit.request_chain(request_id)

    async def unit(conn: AsyncConnection) -> UUID:
        log = await Log.open(conn, await db.now(conn), [chain])
        new = opening.NewTask(
            tenant=AGENCY, kind=kind, chain=chain, participant_id="bank-a", request_id=request_id, data={"order": "o"}
        )
        (task_id,) = await opening.open_tasks(conn, log, hub.actor, log.at, [new])
        await log.flush()
        return task_id

    return await hub.writer.run(unit)


async def listed(hub: Hub, who: Principal = COORDINATOR, after: str | None = None, limit: int = 50) -> TaskPage:
    async with hub.database.read() as conn:
        return await tasks.page(conn, hub.vault, who, tasks.Filter(), after=after, limit=limit)


async def test_resolving_stops_the_clock_seals_the_note_and_closes_the_request(hub: Hub, build: Builder) -> None:
    request_id = await filed(build)
    await build.order(request_id, "bank-a", state=OrderState.REFUSED)
    task_id = await open_task(hub, build, request_id)
    answer = await resolve_task.resolve(hub, COORDINATOR, task_id, TaskResolution(note=NOTE))
    assert (answer.resolved_by, answer.note) == ("truc-ban", NOTE)
    row = await build.row(Task, id=task_id)
    assert NOTE.encode() not in row.note_sealed
    assert await opened(hub, "tasks", task_id, AGENCY, row.note_sealed) == NOTE
    (deadline,) = await build.rows(Deadline, subject_id=task_id)
    assert deadline.state is DeadlineState.CANCELLED
    assert (await build.row(ActionRequest, id=request_id)).state is RequestState.CLOSED
    codes = await build.facts(audit.request_chain(request_id))
    assert codes[-3:] == [Fact.TASK_OPENED, Fact.TASK_RESOLVED, Fact.REQUEST_CLOSED]
    async with hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()


async def test_a_request_with_an_open_order_stays_active(hub: Hub, build: Builder) -> None:
    request_id = await filed(build)
    await build.order(request_id, "bank-a")
    await resolve_task.resolve(hub, COORDINATOR, await open_task(hub, build, request_id), TaskResolution())
    assert (await build.row(ActionRequest, id=request_id)).state is RequestState.ACTIVE


async def test_a_task_is_resolved_once(hub: Hub, build: Builder) -> None:
    task_id = await open_task(hub, build, await filed(build))
    await resolve_task.resolve(hub, COORDINATOR, task_id, TaskResolution(note="một"))
    with pytest.raises(errors.Conflict, match=r"task\.resolved"):
        await resolve_task.resolve(hub, COORDINATOR, task_id, TaskResolution(note="hai"))
    row = await build.row(Task, id=task_id)
    assert await opened(hub, "tasks", task_id, AGENCY, row.note_sealed) == "một"


async def test_tasks_are_the_coordinators(hub: Hub, build: Builder) -> None:
    task_id = await open_task(hub, build, await filed(build))
    agency = of_person("can-bo", tenant=AGENCY, sector=Sector.AGENCY, roles=[Role.MAKER])
    for who in (agency, ADMIN):
        with pytest.raises(ScopeMissing):
            await resolve_task.resolve(hub, who, task_id, TaskResolution())
    assert (await listed(hub, agency)).items == []
    with pytest.raises(errors.NotFound):
        await resolve_task.resolve(hub, COORDINATOR, UUID(int=0), TaskResolution())


async def test_open_tasks_are_listed_page_by_page_without_those_that_are_done(hub: Hub, build: Builder) -> None:
    request_id = await filed(build)
    opened = [await open_task(hub, build, request_id, TaskKind.DEAD_DISPATCH) for _ in range(3)]
    await resolve_task.resolve(hub, COORDINATOR, opened[0], TaskResolution())
    first = await listed(hub, limit=1)
    second = await listed(hub, after=first.next, limit=1)
    assert [each.id for each in (*first.items, *second.items)] == opened[1:]
    assert second.next is None
