"""The registry: who takes part, with which keys and endpoints, and who may change it."""

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import registry_forms as forms
import sqlalchemy as sa
from builders import Builder
from opening import opened
from pydantic import ValidationError
from registry_forms import ADMIN
from rigs import FastForward

from service import audit, clock, db, directory, errors
from service.actions import (
    add_contact,
    enroll_client,
    enroll_officer,
    enroll_participant,
    load_directory,
    register_endpoint,
    remove_contact,
    renew_officer,
    resume,
    revoke_key,
    rotate_endpoint_secret,
    set_calendar_day,
    set_policy,
    set_time_limit,
    suspend,
)
from service.engine import reach
from service.engine.hub import OPERATOR, Hub
from service.models import (
    Alias,
    AuditEntry,
    CalendarDay,
    Client,
    Contact,
    Endpoint,
    Officer,
    Participant,
    Policy,
    PublicKey,
    TimeLimit,
    Unit,
)
from service.queries import clients, participants
from service.schemas.endpoints import NewPullInbox
from service.schemas.policies import DayKind, NewCalendarDay, NewPolicy, NewTimeLimit
from service.schemas.registry import NewAlias, NewParticipant, SuspendedKind
from service.security.principals import Principal, ScopeMissing, of_person
from service.settings import Settings
from workflows.terms import Channel, Fact, Purpose, Role, Sector, Stage


def fields(error: pytest.ExceptionInfo[errors.HubError]) -> list[tuple[str, str]]:
    return [(each.field, each.code) for each in error.value.fields]


async def told(hub: Hub, tenant: str) -> list[dict[str, Any]]:
    table: sa.Table = AuditEntry.__table__  # type: ignore[attr-defined]
    query = sa.select(table.c.data).where(table.c.chain == audit.tenant_chain(tenant)).order_by(table.c.sequence)
    async with hub.database.read() as conn:
        return [json.loads(data) for data in (await conn.execute(query)).scalars()]


async def test_the_shipped_directory_is_loaded_whole_and_a_second_time_changes_nothing(
    hub: Hub, build: Builder
) -> None:
    loaded = await load_directory.load(hub, ADMIN)
    assert loaded.participants == len(list(directory.participants())) == len(await build.rows(Participant))
    assert loaded.aliases == len(await build.rows(Alias)) == len(list(directory.aliases()))
    assert loaded.units == len(await build.rows(Unit)) > 3_000
    assert loaded.calendar_days == len(await build.rows(CalendarDay)) > 20
    states = {(row.sector in (Sector.HUB, Sector.SUPERVISOR), row.status) for row in await build.rows(Participant)}
    assert states == {(True, "active"), (False, "listed")}
    assert await load_directory.load(hub, ADMIN) == load_directory.Loaded(0, 0, 0, 0)
    assert [fact["what"] for fact in await told(hub, OPERATOR)] == ["directory.loaded"]
    async with hub.database.read() as conn:
        known = await hub.registry.known(conn)
    assert ("bin", "970436") in known.directory.by_alias


async def test_loading_again_mends_what_is_listed_and_leaves_what_an_operator_touched(hub: Hub, build: Builder) -> None:
    await load_directory.load(hub, ADMIN)
    await build.change(Participant, "vietcombank", name_en="Old name", supervisor_id=None)
    body = NewParticipant(id="bidv", name_en="As its licence says")
    await enroll_participant.enroll(hub, ADMIN, body)
    await suspend.suspend(hub, ADMIN, "bidv", forms.stop(SuspendedKind.PARTICIPANT, "bidv"))
    day = min(directory.holidays())
    await set_calendar_day.set_calendar_day(hub, ADMIN, day, NewCalendarDay(kind=DayKind.ORDINARY))
    assert await load_directory.load(hub, ADMIN) == load_directory.Loaded(1, 0, 0, 0)
    mended = await build.row(Participant, id="vietcombank")
    assert (mended.supervisor_id, mended.status) == ("sbv", "listed")
    assert mended.name_en != "Old name"
    kept = await build.row(Participant, id="bidv")
    assert (kept.name_en, kept.status, kept.to_be_confirmed) == ("As its licence says", "suspended", False)
    assert (await build.row(CalendarDay, day=day)).kind == "ordinary"


async def test_a_member_that_the_directory_lacks_needs_its_names_and_is_found_by_them(hub: Hub, build: Builder) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await enroll_participant.enroll(hub, ADMIN, NewParticipant(id="bank-z", sector=Sector.BANK))
    assert fields(refused) == [("/name_vi", "field.missing")]
    assert not await build.rows(Participant)
    body = NewParticipant(
        id="bank-z",
        sector=Sector.BANK,
        name_vi="Ngân hàng Thử Z",
        name_en="Test bank Z",
        aliases=(NewAlias(scheme="bin", value="999999"),),
    )
    made = await enroll_participant.enroll(hub, ADMIN, body)
    assert (made.status, made.created) == ("active", True)
    aliases = {(row.scheme, row.value) for row in await build.rows(Alias, participant_id="bank-z")}
    assert aliases == {("bin", "999999"), ("name", "bankz"), ("name", "nganhangthuz")}
    again = await enroll_participant.enroll(hub, ADMIN, body)
    assert not again.created
    assert len(await build.rows(Alias, participant_id="bank-z")) == 3
    with pytest.raises(errors.Conflict, match=r"participant\.other_sector"):
        await enroll_participant.enroll(hub, ADMIN, NewParticipant(id="bank-z", sector=Sector.TELECOM))


async def test_an_enrolled_client_is_known_by_its_thumbprint_and_activates_its_participant(
    hub: Hub, build: Builder
) -> None:
    await build.participant("bank-a", status="listed")
    made = await enroll_client.enroll(hub, ADMIN, "bank-a", forms.client())
    assert (await build.row(Participant, id="bank-a")).status == "active"
    async with hub.database.read() as conn:
        known = await clients.find(conn, "client-a", key=made.kid)
        key = await clients.assertion_key(conn, "client-a", made.kid)
    assert known is not None
    assert known.roles == {Role.PARTICIPANT_OPERATOR}
    assert key is not None
    assert key.jkt == key.kid == made.kid
    assert made.not_after - key.not_before == timedelta(days=365)
    second = await enroll_client.enroll(hub, ADMIN, "bank-a", forms.client())
    assert second.kid != made.kid
    assert len(await build.rows(PublicKey, owner_id="client-a")) == 2
    (first, _) = await told(hub, "bank-a")
    assert first == {
        "what": "client.enrolled",
        "participant_id": "bank-a",
        "client_id": "client-a",
        "roles": ["participant_operator"],
        "kid": made.kid,
    }


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"roles": [Role.MAKER]}, "/roles/0", "role.not_for_sector"),
        ({"key": forms.jwk().model_copy(update={"d": "AAAA"})}, "/key", "key.private"),
        ({"key": forms.jwk().model_copy(update={"kid": "another-name"})}, "/key/kid", "key.kid"),
        ({"key": forms.jwk().model_copy(update={"crv": "P-384"})}, "/key", "key.curve"),
        ({"not_after": forms.SOMEDAY}, "/not_after", "key.validity"),
        ({"not_after": forms.SOMEDAY + timedelta(days=3_000)}, "/not_after", "key.validity"),
    ],
)
async def test_a_client_that_does_not_fit_writes_nothing(
    hub: Hub, build: Builder, change: dict[str, Any], field: str, code: str
) -> None:
    await build.participant("bank-a", status="listed")
    with pytest.raises(errors.InvalidInput) as refused:
        await enroll_client.enroll(hub, ADMIN, "bank-a", forms.client(**change))
    assert fields(refused) == [(field, code)]
    assert not await build.rows(Client)
    assert not await build.rows(PublicKey)
    assert (await build.row(Participant, id="bank-a")).status == "listed"
    assert await told(hub, "bank-a") == []


async def test_a_client_id_and_a_key_belong_to_one_participant_for_ever(hub: Hub, build: Builder) -> None:
    for name in ("bank-a", "bank-b"):
        await build.participant(name)
    body = forms.client()
    made = await enroll_client.enroll(hub, ADMIN, "bank-a", body)
    assert (
        await enroll_client.enroll(hub, ADMIN, "bank-a", body.model_copy(update={"not_after": made.not_after})) == made
    )
    with pytest.raises(errors.Conflict, match=r"client\.taken"):
        await enroll_client.enroll(hub, ADMIN, "bank-b", body)
    with pytest.raises(errors.Conflict, match=r"key\.taken"):
        await enroll_client.enroll(hub, ADMIN, "bank-b", forms.client("client-b", key=body.key))
    with pytest.raises(errors.NotFound):
        await revoke_key.revoke(hub, ADMIN, "bank-b", made.kid)
    await revoke_key.revoke(hub, ADMIN, "bank-a", made.kid)
    async with hub.database.read() as conn:
        assert await clients.find(conn, "client-a", key=made.kid) is None
        assert await clients.assertion_key(conn, "client-a", made.kid) is None
    with pytest.raises(errors.Conflict, match=r"key\.taken"):
        await enroll_client.enroll(hub, ADMIN, "bank-a", body)


async def test_an_officers_name_is_sealed_and_in_no_fact(hub: Hub, build: Builder) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    body = forms.officer()
    await enroll_officer.enroll(hub, forms.agency_admin("agency-a"), "agency-a", body)
    row = await build.row(Officer, id=body.id)
    assert await opened(hub, "officers", body.id, "agency-a", row.name_sealed) == body.name
    assert body.name.encode() not in row.name_sealed
    assert body.name not in json.dumps(await told(hub, "agency-a"), ensure_ascii=False)
    for taken in (forms.officer(number="SH-2"), forms.officer("officer-m")):
        with pytest.raises(errors.Conflict, match=r"officer\.taken"):
            await enroll_officer.enroll(hub, ADMIN, "agency-a", taken)
    await build.participant("bank-a")
    with pytest.raises(errors.Conflict, match=r"officer\.needs_agency"):
        await enroll_officer.enroll(hub, ADMIN, "bank-a", forms.officer("officer-b"))


async def test_an_agencys_administrator_reaches_its_own_agency_only_and_starts_nothing_again(
    hub: Hub, build: Builder
) -> None:
    own = forms.agency_admin("agency-a")
    for name in ("agency-a", "agency-b"):
        await build.participant(name, Sector.AGENCY)
    await enroll_officer.enroll(hub, own, "agency-a", forms.officer())
    for foreign in ("agency-b", "nobody"):
        with pytest.raises(errors.NotFound):
            await enroll_officer.enroll(hub, own, foreign, forms.officer("officer-x"))
    subject = forms.stop(SuspendedKind.OFFICER, "officer-n")
    assert (await suspend.suspend(hub, own, "agency-a", subject)).changed
    with pytest.raises(ScopeMissing):
        await resume.resume(hub, own, "agency-a", subject)
    with pytest.raises(ScopeMissing):
        await enroll_client.enroll(hub, own, "agency-a", forms.client(role=Role.MAKER))
    assert not (await build.row(Officer, id="officer-n")).active


async def test_an_appointment_is_renewed_before_or_after_its_end_and_nothing_else_changes(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    for name in ("agency-a", "agency-b"):
        await build.participant(name, Sector.AGENCY)
    async with hub.database.read() as conn:
        until = await db.now(conn) + timedelta(days=1)
    await enroll_officer.enroll(hub, ADMIN, "agency-a", forms.officer().model_copy(update={"appointed_until": until}))
    await suspend.suspend(hub, ADMIN, "agency-a", forms.stop(SuspendedKind.OFFICER, "officer-n"))
    before = await build.row(Officer, id="officer-n")
    await fast_forward(days=2)
    later = until + timedelta(days=30)
    answer = await renew_officer.renew(hub, ADMIN, "agency-a", "officer-n", later)
    after = await build.row(Officer, id="officer-n")
    assert (answer.appointed_until, answer.active) == (later, False)
    assert dict(after._mapping) == {**before._mapping, "appointed_until": later}
    [renewed] = [fact for fact in await told(hub, "agency-a") if fact.get("what") == "officer.renewed"]
    assert {name: renewed[name] for name in ("officer_id", "before", "appointed_until")} == {
        "officer_id": "officer-n",
        "before": clock.written(until),
        "appointed_until": clock.written(later),
    }
    with pytest.raises(errors.InvalidInput) as past:
        await renew_officer.renew(hub, ADMIN, "agency-a", "officer-n", until)
    assert fields(past) == [("/appointed_until", "appointed_until.past")]
    for agency, officer in (("agency-b", "officer-n"), ("agency-a", "nobody"), ("nobody", "officer-n")):
        with pytest.raises(errors.NotFound):
            await renew_officer.renew(hub, ADMIN, agency, officer, later)
    with pytest.raises(ScopeMissing):
        await renew_officer.renew(hub, forms.agency_admin("agency-a"), "agency-a", "officer-n", later)
    assert (await build.row(Officer, id="officer-n")).appointed_until == later


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.HUB_ADMIN, Role.AGENCY_ADMIN}))
async def test_no_other_role_changes_the_registry(hub: Hub, build: Builder, role: Role) -> None:
    sector = {Role.PARTICIPANT_OPERATOR: Sector.BANK, Role.SUPERVISOR: Sector.SUPERVISOR}.get(role, Sector.AGENCY)
    sector = Sector.HUB if role is Role.COORDINATOR else sector
    await build.participant("member", sector)
    who = of_person("somebody", tenant="member", sector=sector, roles=[role])
    for attempt in (
        lambda: enroll_officer.enroll(hub, who, "member", forms.officer()),
        lambda: add_contact.add(hub, who, "member", forms.contact()),
        lambda: register_endpoint.register(hub, who, "member", forms.webhook()),
        lambda: suspend.suspend(hub, who, "member", forms.stop(SuspendedKind.PARTICIPANT, "member")),
        lambda: load_directory.load(hub, who),
        lambda: set_time_limit.set_time_limit(hub, who, NewTimeLimit(stage=Stage.EXECUTE, within_seconds=1)),
    ):
        with pytest.raises(ScopeMissing):
            await attempt()


async def test_a_webhooks_secret_is_shown_once_and_overlaps_for_a_day_when_it_is_rotated(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    await build.participant("bank-a")
    made = await register_endpoint.register(hub, ADMIN, "bank-a", forms.webhook())
    row = await build.row(Endpoint, id=made.endpoint.id)
    assert made.secret is not None
    assert await opened(hub, "endpoints", row.id, "bank-a", row.secret_sealed) == made.secret
    assert (row.network, row.port) == ("203.0.113.0/24", 443)
    new = await rotate_endpoint_secret.rotate(hub, ADMIN, "bank-a", made.endpoint.id)
    row = await build.row(Endpoint, id=made.endpoint.id)
    assert await opened(hub, "endpoints", row.id, "bank-a", row.secret_sealed) == new.secret != made.secret
    assert await opened(hub, "endpoints", row.id, "bank-a", row.previous_secret_sealed) == made.secret
    assert new.previous_until == row.previous_secret_until
    assert timedelta(hours=23) < row.previous_secret_until - row.created_at < timedelta(hours=25)
    facts = json.dumps(await told(hub, "bank-a"))
    assert made.secret not in facts
    assert "whsec_" not in facts
    with pytest.raises(errors.NotFound):
        await rotate_endpoint_secret.rotate(hub, ADMIN, "bank-b", made.endpoint.id)


@pytest.mark.parametrize(
    ("values", "field", "code"),
    [
        ({"network": "0.0.0.0/0"}, "/network", "network.forbidden"),
        ({"network": "169.254.169.254/32"}, "/network", "network.forbidden"),
        ({"network": "127.0.0.0/8"}, "/network", "network.forbidden"),
        ({"network": "203.0.113.7/24"}, "/network", "network.malformed"),
        ({"network": "203.0.0.0/15"}, "/network", "network.too_wide"),
        ({"network": "203.0.113.9"}, "/network", "network.malformed"),
        ({"url": "https://bank.localhost/x"}, "/url", "network.forbidden"),
        ({"url": "https://169.254.169.254/x"}, "/url", "network.forbidden"),
        ({"url": "https://[::ffff:cb00:7107]/x"}, "/url", "network.forbidden"),
        ({"url": "https://0313.0.113.7/x"}, "/url", "endpoint.url"),
        ({"url": "https://bank.example./x"}, "/url", "endpoint.url"),
        ({"client_certificate": "no certificate"}, "/client_certificate", "endpoint.client_key"),
        ({"client_certificate": forms.CA_PEM}, "/client_certificate", "endpoint.client_key"),
        ({"url": "https://localhost/x"}, "/url", "network.forbidden"),
        ({"url": "https://user:word@bank.example/x"}, "/url", "endpoint.url"),
        ({"url": "https://bank.example:99999/x"}, "/url", "endpoint.url"),
        ({"url": "https://198.51.100.7/x"}, "/url", "endpoint.outside_network"),
        ({"port": 8443}, "/port", "endpoint.port"),
        ({"purpose": Purpose.STATUS}, "/purpose", "endpoint.purpose"),
        ({"ca_pem": "no certificate"}, "/ca_pem", "endpoint.ca_pem"),
        ({"ca_pem": forms.private_pem()}, "/ca_pem", "endpoint.ca_pem"),
    ],
)
async def test_an_endpoint_outside_the_rules_of_addresses_is_not_registered(
    hub: Hub, build: Builder, values: dict[str, Any], field: str, code: str
) -> None:
    await build.participant("bank-a")
    with pytest.raises(errors.InvalidInput) as refused:
        await register_endpoint.register(hub, ADMIN, "bank-a", forms.webhook(**values))
    assert fields(refused) == [(field, code)]
    assert not await build.rows(Endpoint)


def test_the_hubs_own_networks_are_read_at_the_start_and_a_slip_is_named() -> None:
    assert Settings(own_networks=("10.1.0.0/16",)).own_networks == ("10.1.0.0/16",)
    for slip in ("10.1.0.1/16", "10.1/16", "database.example"):
        with pytest.raises(ValidationError, match="own_networks"):
            Settings(own_networks=(slip,))


async def test_only_the_demo_profile_registers_loopback(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    body = forms.webhook(url="https://127.0.0.1:9443/x", network="127.0.0.1/32")
    demo = replace(hub, settings=hub.settings.model_copy(update={"profile": "demo"}))
    assert (await register_endpoint.register(demo, ADMIN, "bank-a", body)).endpoint.port == 9443
    with pytest.raises(errors.InvalidInput):
        await register_endpoint.register(hub, ADMIN, "bank-a", body)


async def test_the_engine_finds_what_was_registered_until_it_is_suspended(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    made = await register_endpoint.register(hub, ADMIN, "bank-a", NewPullInbox(channel=Channel.PULL))

    async def found() -> set[str]:
        async with hub.database.read() as conn:
            return set(await reach.order_endpoints(conn, ["bank-a"]))

    assert await found() == {"bank-a"}
    for kind, subject in ((SuspendedKind.ENDPOINT, made.endpoint.id), (SuspendedKind.PARTICIPANT, "bank-a")):
        body = forms.stop(kind, subject)
        assert (await suspend.suspend(hub, ADMIN, "bank-a", body)).changed
        assert not (await suspend.suspend(hub, ADMIN, "bank-a", body)).changed
        assert await found() == set()
        assert (await resume.resume(hub, ADMIN, "bank-a", body)).changed
        assert await found() == {"bank-a"}
    whats = [fact["what"] for fact in await told(hub, "bank-a")]
    assert whats[1:] == ["endpoint.suspended", "endpoint.resumed", "participant.suspended", "participant.resumed"]


async def test_a_suspension_reaches_nothing_of_another_participant(hub: Hub, build: Builder) -> None:
    for name in ("bank-a", "bank-b", OPERATOR):
        await build.participant(name)
    await build.participant("bank-l", status="listed")
    await enroll_client.enroll(hub, ADMIN, "bank-a", forms.client())
    for subject in (forms.stop(SuspendedKind.CLIENT, "client-a"), forms.stop(SuspendedKind.PARTICIPANT, "bank-a")):
        with pytest.raises(errors.NotFound):
            await suspend.suspend(hub, ADMIN, "bank-b", subject)
    with pytest.raises(errors.NotFound):
        await suspend.suspend(hub, ADMIN, "bank-b", forms.stop(SuspendedKind.ENDPOINT, "no uuid"))
    for name, code in ((OPERATOR, "participant.operator"), ("bank-l", "participant.not_enrolled")):
        with pytest.raises(errors.Conflict, match=code):
            await suspend.suspend(hub, ADMIN, name, forms.stop(SuspendedKind.PARTICIPANT, name))
    await suspend.suspend(hub, ADMIN, "bank-a", forms.stop(SuspendedKind.PARTICIPANT, "bank-a"))
    with pytest.raises(errors.Conflict, match=r"participant\.suspended"):
        await enroll_client.enroll(hub, ADMIN, "bank-a", forms.client("client-new"))


async def test_a_contact_is_on_duty_until_removed_and_then_its_name_and_address_are_gone(
    hub: Hub, build: Builder
) -> None:
    await build.participant("bank-a")
    made = await add_contact.add(hub, ADMIN, "bank-a", forms.contact())
    row = await build.row(Contact, id=made.id)
    async with hub.database.read() as conn:
        duty = await reach.on_duty(conn, ["bank-a"], row.created_at, mail=True)
        shown = await participants.one(conn, hub.vault, ADMIN, "bank-a")
    assert [each.id for each in duty["bank-a"]] == [made.endpoint_id]
    assert shown is not None
    assert [each.name for each in shown.contacts] == ["Trần Thị Thử"]
    assert "truc.ban" not in shown.model_dump_json()
    await remove_contact.remove(hub, ADMIN, "bank-a", made.id)
    async with hub.database.read() as conn:
        assert await reach.on_duty(conn, ["bank-a"], row.created_at, mail=True) == {}
    assert not await build.rows(Contact)
    left = await build.row(Endpoint, id=made.endpoint_id)
    assert (left.active, left.address_sealed) == (False, None)
    facts = json.dumps(await told(hub, "bank-a"), ensure_ascii=False)
    assert "truc.ban" not in facts
    assert "Trần" not in facts


async def test_a_policy_must_be_whole_and_newer_and_is_in_force_for_the_next_request(hub: Hub, build: Builder) -> None:
    from_shipped = (
        '[[ladders]]\nstage = "execute"\n[[ladders.rungs]]\nnumber = 1\nafter = "7 min"\nreach = ["participant"]'
    )
    text = f'name = "vn-default"\nversion = %d\n{from_shipped}\n'
    for wrong, code in (
        ("name = 1", "policy.invalid"),
        (text.replace("vn-default", "another") % 3, "policy.name"),
        (text % 2, "policy.version"),
    ):
        with pytest.raises(errors.InvalidInput) as refused:
            await set_policy.set_policy(hub, ADMIN, "vn-default", NewPolicy(text=wrong))
        assert fields(refused) == [("/text", code)]
    assert not await build.rows(Policy)
    async with hub.database.read() as conn:
        before = (await hub.registry.known(conn)).policy
    await set_policy.set_policy(hub, ADMIN, "vn-default", NewPolicy(text=text % 3))
    async with hub.database.read() as conn:
        after = (await hub.registry.known(conn)).policy
    assert (before.version, after.version) == (2, 3)
    assert after.ladders[0].rungs[0].after == timedelta(minutes=7)


async def test_a_time_limit_takes_the_place_of_its_twin_and_no_other(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    general = NewTimeLimit(stage=Stage.EXECUTE, within_seconds=100)
    for body in (general, NewTimeLimit(**{**general.model_dump(), "participant_id": "bank-a"})):
        await set_time_limit.set_time_limit(hub, ADMIN, body)
    await set_time_limit.set_time_limit(hub, ADMIN, general.model_copy(update={"within_seconds": 200}))
    found = {(row.participant_id, row.within_seconds) for row in await build.rows(TimeLimit)}
    assert found == {(None, 200), ("bank-a", 100)}
    with pytest.raises(errors.InvalidInput) as refused:
        await set_time_limit.set_time_limit(hub, ADMIN, general.model_copy(update={"participant_id": "nobody"}))
    assert fields(refused) == [("/participant_id", "participant.unknown")]


async def test_a_day_may_become_a_holiday_and_an_ordinary_one_again(hub: Hub) -> None:
    day = date(2027, 3, 3)

    async def is_holiday() -> bool:
        async with hub.database.read() as conn:
            return day in (await hub.registry.known(conn)).calendar.holidays

    for kind, expected in ((DayKind.HOLIDAY, True), (DayKind.ORDINARY, False), (DayKind.HOLIDAY, True)):
        await set_calendar_day.set_calendar_day(hub, ADMIN, day, NewCalendarDay(kind=kind))
        assert await is_holiday() is expected


async def test_everybody_sees_the_members_that_concern_them(hub: Hub, build: Builder) -> None:
    await build.participant("sbv", Sector.SUPERVISOR)
    for name in ("bank-a", "bank-b"):
        await build.participant(name)
    await build.change(Participant, "bank-a", supervisor_id="sbv")
    await build.participant("agency-a", Sector.AGENCY)
    supervisor = of_person("giam-sat", tenant="sbv", sector=Sector.SUPERVISOR, roles=[Role.SUPERVISOR])
    auditor = of_person("kiem-toan", tenant="agency-a", sector=Sector.AGENCY, roles=[Role.AUDITOR])

    async def seen(who: Principal, **wanted: Any) -> list[str]:
        async with hub.database.read() as conn:
            page = await participants.page(conn, who, participants.Filter(**wanted), after=None, limit=50)
        return [each.id for each in page.items]

    assert await seen(ADMIN) == ["agency-a", "bank-a", "bank-b", "sbv"]
    assert await seen(ADMIN, sector=Sector.BANK, q="K-B") == ["bank-b"]
    assert await seen(ADMIN, q="%") == []
    assert await seen(supervisor) == ["bank-a", "sbv"]
    assert await seen(auditor) == await seen(forms.agency_admin("agency-a")) == ["agency-a"]
    async with hub.database.read() as conn:
        assert await participants.one(conn, hub.vault, supervisor, "bank-a") is None
        assert await participants.summary(conn, supervisor, "bank-a") is not None
        assert await participants.summary(conn, supervisor, "bank-b") is None
        first = await participants.page(conn, ADMIN, participants.Filter(), after=None, limit=3)
        rest = await participants.page(conn, ADMIN, participants.Filter(), after=first.next, limit=3)
    assert [len(first.items), len(rest.items), rest.next] == [3, 1, None]


async def test_each_change_is_a_fact_that_the_audit_vouches_for(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    await enroll_client.enroll(hub, ADMIN, "bank-a", forms.client())
    await register_endpoint.register(hub, ADMIN, "bank-a", forms.webhook())
    assert await build.facts(audit.tenant_chain("bank-a")) == [Fact.REGISTRY_CHANGED] * 2
    async with hub.database.read() as conn:
        verdict = await audit.verify(conn)
    assert (verdict.entries, verdict.findings) == (2, ())
    (entry, _) = await build.rows(AuditEntry)
    assert (entry.actor_kind, entry.actor_id, entry.actor_tenant) == ("person", "root", OPERATOR)
