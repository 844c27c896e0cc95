"""Signing in to the console: a link opens one session, once, for fifteen minutes, and no more than its role."""

import asyncio
import json
from datetime import timedelta

import pytest
import registry_forms as forms
import sqlalchemy as sa
from builders import LONG_AGO, Builder
from registry_forms import ADMIN
from rigs import FastForward
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import make_sign_in_link, resume, suspend
from service.actions.sign_in import SignedIn, sign_in
from service.actions.sign_out import sign_out
from service.engine.hub import OPERATOR, Hub
from service.models import AuditEntry, ConsoleSession, Officer, SignInLink
from service.queries import sessions
from service.queries.sessions import Seat
from service.schemas.policies import NewSignInLink
from service.schemas.registry import SuspendedKind
from service.security.principals import ScopeMissing, of_person
from service.security.scopes import Scope
from workflows.terms import Fact, Role, Sector

LINK = NewSignInLink(participant_id=OPERATOR, person="truc-ban", role=Role.COORDINATOR)


@pytest.fixture(autouse=True)
async def operator(build: Builder) -> None:
    """The hub's operator is in the directory."""
    await build.participant(OPERATOR, Sector.HUB)


async def new_link(hub: Hub, body: NewSignInLink = LINK) -> str:
    made = await make_sign_in_link.make(hub, ADMIN, body)
    return made.path.removeprefix("/sign-in/")


async def seat(hub: Hub, cookie: str) -> Seat | None:
    async with hub.database.read() as conn:
        return await sessions.find(conn, cookie)


async def reasons(hub: Hub) -> list[str]:
    table: sa.Table = AuditEntry.__table__  # type: ignore[attr-defined]
    query = sa.select(table.c.data).where(table.c.chain == audit.node_chain(hub.settings.node)).order_by(table.c.id)
    async with hub.database.read() as conn:
        return [json.loads(data)["reason"] for data in (await conn.execute(query)).scalars()]


async def test_a_link_becomes_one_session_with_its_role(hub: Hub, build: Builder) -> None:
    link = await new_link(hub)
    signed_in = await sign_in(hub, link)
    assert (signed_in.person, signed_in.tenant, signed_in.role) == ("truc-ban", OPERATOR, Role.COORDINATOR)
    found = await seat(hub, signed_in.session)
    assert found is not None
    assert Scope.TASKS_RESOLVE in found.principal.scopes
    assert Scope.REGISTRY_WRITE not in found.principal.scopes
    codes = await build.facts(audit.tenant_chain(OPERATOR))
    assert codes == [Fact.SIGN_IN_LINK_MADE, Fact.SIGN_IN_DONE]
    assert (await build.row(SignInLink)).used_at is not None


async def test_neither_a_link_nor_a_session_is_stored_in_a_form_that_opens_anything(hub: Hub, build: Builder) -> None:
    link = await new_link(hub)
    signed_in = await sign_in(hub, link)
    for model in (SignInLink, ConsoleSession, AuditEntry):
        for row in await build.rows(model):
            kept = repr(tuple(row))
            assert link not in kept
            assert signed_in.session not in kept


async def test_a_link_is_spent_once_even_by_two_at_the_same_time(hub: Hub, build: Builder) -> None:
    link = await new_link(hub)
    results = await asyncio.gather(*(sign_in(hub, link) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, SignedIn) for each in results) == 1
    assert sum(isinstance(each, errors.Unauthenticated) for each in results) == 4
    assert len(await build.rows(ConsoleSession)) == 1
    assert await reasons(hub) == ["link.spent"] * 4


async def test_a_link_is_over_after_fifteen_minutes(hub: Hub, build: Builder, fast_forward: FastForward) -> None:
    early, late = await new_link(hub), await new_link(hub)
    await fast_forward(minutes=14)
    await sign_in(hub, early)
    await fast_forward(minutes=1, seconds=1)
    with pytest.raises(errors.Unauthenticated):
        await sign_in(hub, late)
    assert await reasons(hub) == ["link.expired"]
    assert len(await build.rows(ConsoleSession)) == 1


async def test_a_stranger_is_told_nothing_and_the_audit_why(hub: Hub, build: Builder) -> None:
    spent = await new_link(hub)
    await sign_in(hub, spent)
    answers = set()
    for presented in (spent, "made-up", "", "ă\udcff"):
        with pytest.raises(errors.Unauthenticated) as refused:
            await sign_in(hub, presented)
        answers.add((refused.value.code, *refused.value.params))
    assert answers == {("sign_in.refused",)}
    assert await reasons(hub) == ["link.spent", "link.unknown", "link.unknown", "link.unknown"]


async def test_a_member_that_is_suspended_loses_its_sessions_and_its_links(hub: Hub, build: Builder) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    body = NewSignInLink(participant_id="agency-a", person="can-bo", role=Role.READER)
    signed_in = await sign_in(hub, await new_link(hub, body))
    unused = await new_link(hub, body)
    stop = forms.stop(SuspendedKind.PARTICIPANT, "agency-a")
    await suspend.suspend(hub, ADMIN, "agency-a", stop)
    with pytest.raises(errors.Unauthenticated):
        await sign_in(hub, unused)
    with pytest.raises(errors.Conflict, match=r"participant\.not_active"):
        await new_link(hub, body)
    await resume.resume(hub, ADMIN, "agency-a", stop)
    assert await seat(hub, signed_in.session) is None
    assert await reasons(hub) == ["participant.not_active"]


async def test_an_officer_who_is_suspended_loses_his_sessions_and_his_links_and_gets_no_new_one(
    hub: Hub, build: Builder
) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    await build.officer("agency-a", "can-bo")
    body = NewSignInLink(participant_id="agency-a", person="can-bo", role=Role.READER)
    other = NewSignInLink(participant_id="agency-a", person="truc-ban", role=Role.READER)
    his, colleague = [await sign_in(hub, await new_link(hub, each)) for each in (body, other)]
    unused, colleagues_own = await new_link(hub, body), await new_link(hub, other)
    stop = forms.stop(SuspendedKind.OFFICER, "can-bo")
    await suspend.suspend(hub, ADMIN, "agency-a", stop)
    with pytest.raises(errors.Conflict, match=r"officer\.inactive"):
        await new_link(hub, body)
    # What was open stays closed when he comes back.
    await resume.resume(hub, ADMIN, "agency-a", stop)
    assert await seat(hub, his.session) is None
    with pytest.raises(errors.Unauthenticated):
        await sign_in(hub, unused)
    assert await seat(hub, colleague.session) is not None
    await sign_in(hub, colleagues_own)
    assert await seat(hub, (await sign_in(hub, await new_link(hub, body))).session) is not None


async def test_an_officer_whose_appointment_ended_is_not_at_the_console(hub: Hub, build: Builder) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    await build.officer("agency-a", "can-bo")
    body = NewSignInLink(participant_id="agency-a", person="can-bo", role=Role.READER)
    session = (await sign_in(hub, await new_link(hub, body))).session
    # A person of another member who goes by the same id is somebody else.
    namesake = (await sign_in(hub, await new_link(hub, LINK.model_copy(update={"person": "can-bo"})))).session
    officers: sa.Table = Officer.__table__  # type: ignore[attr-defined]

    async def change(**values: object) -> None:
        async def unit(conn: AsyncConnection) -> None:
            await conn.execute(sa.update(officers).where(officers.c.id == "can-bo").values(**values))

        await hub.database.write(unit)

    for values in ({"appointed_until": LONG_AGO}, {"appointed_until": None, "active": False}):
        assert await seat(hub, session) is not None
        await change(**values)
        assert await seat(hub, session) is None
        assert await seat(hub, namesake) is not None
        with pytest.raises(errors.Conflict, match=r"officer\.inactive"):
            await new_link(hub, body)
        await change(appointed_until=None, active=True)


async def test_signing_out_ends_the_session_and_only_that_one(hub: Hub) -> None:
    first, second = [await sign_in(hub, await new_link(hub)) for _ in range(2)]
    await sign_out(hub, first.session)
    await sign_out(hub, "never was one")
    assert await seat(hub, first.session) is None
    assert await seat(hub, second.session) is not None


async def test_a_session_ends_eight_hours_after_it_began(hub: Hub, fast_forward: FastForward) -> None:
    signed_in = await sign_in(hub, await new_link(hub))
    found = await seat(hub, signed_in.session)
    assert found is not None
    assert signed_in.expires_at - found.now > timedelta(hours=7, minutes=59)
    await fast_forward(hours=8)
    assert await seat(hub, signed_in.session) is None


async def test_a_link_is_made_by_an_administrator_and_for_a_role_of_the_sector(hub: Hub, build: Builder) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    with pytest.raises(errors.InvalidInput) as refused:
        await new_link(hub, NewSignInLink(participant_id="agency-a", person="can-bo", role=Role.COORDINATOR))
    assert [(each.field, each.code) for each in refused.value.fields] == [("/role", "role.not_for_sector")]
    with pytest.raises(errors.NotFound):
        await new_link(hub, NewSignInLink(participant_id="nobody", person="can-bo", role=Role.READER))
    coordinator = of_person("truc-ban", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
    with pytest.raises(ScopeMissing):
        await make_sign_in_link.make(hub, coordinator, LINK)
    assert not await build.rows(SignInLink)
