"""The hub sends where one administrator proposed and a different one approved, exactly; the engine holds to it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import registry_forms as forms
import sqlalchemy as sa
from builders import LONG_AGO, Builder, unbound
from opening import opened
from registry_forms import ADMIN
from rigs import FastForward, Rig
from sqlalchemy.exc import DBAPIError

from service import audit, clock, errors
from service.actions import (
    add_contact,
    administrators,
    approve_endpoint,
    enroll_client,
    propose_endpoint,
    refuse_endpoint,
    register_endpoint,
    revoke_key,
    suspend,
)
from service.engine import reach
from service.engine.hub import OPERATOR, Hub
from service.models import Attempt, AuditEntry, Contact, Endpoint, EndpointProposal
from service.queries import proposals
from service.schemas.endpoints import ContactWebhook, NewContact, NewMailbox, NewPullInbox, ProposalAnswer
from service.schemas.registry import SuspendedKind
from service.security import client_keys
from service.security.principals import Principal, ScopeMissing
from workflows.terms import Channel, ProposalState, Role, Sector

FIRST, SECOND = forms.administrator("admin-a"), forms.administrator("admin-b")


@pytest.fixture
async def bank(hub: Hub, build: Builder) -> str:
    """A bank, and two administrators with a system each."""
    for who in (FIRST, SECOND):
        await forms.enrolled(hub, who)
    return await build.participant("bank-a")


async def proposed(hub: Hub, who: Principal = FIRST, **values: Any) -> ProposalAnswer:
    """A webhook of the bank that waits for a second administrator."""
    made = await register_endpoint.register(hub, who, "bank-a", forms.webhook(**values))
    assert made.proposal is not None
    return made.proposal


async def approve(hub: Hub, what: ProposalAnswer, who: Principal = SECOND) -> None:
    await approve_endpoint.approve(hub, who, what.participant_id, what.endpoint_id, what.sha256)


async def reached(hub: Hub) -> set[str]:
    async with hub.database.read() as conn:
        return set(await reach.order_endpoints(conn, ["bank-a"]))


async def test_a_webhook_is_in_force_once_a_different_administrator_approved_it(
    hub: Hub, build: Builder, bank: str
) -> None:
    waiting = await proposed(hub)
    row = await build.row(Endpoint, id=waiting.endpoint_id)
    assert (row.url, row.network, row.approved_sha256) == ("https://orders.bank.example/hoatoc", "203.0.113.0/24", None)
    assert await reached(hub) == set()
    async with hub.database.read() as conn:
        assert (await proposals.waiting(conn)).items == [waiting]
    shown = await approve_endpoint.approve(hub, SECOND, bank, waiting.endpoint_id, waiting.sha256)
    assert shown.approved_sha256 == waiting.sha256
    row = await build.row(Endpoint, id=waiting.endpoint_id)
    assert (row.proposed_by, row.approved_by) == ("admin-a", "admin-b")
    assert await reached(hub) == {"bank-a"}
    async with hub.database.read() as conn:
        assert (await proposals.waiting(conn)).items == []
    facts = [json.loads(each.data) for each in await build.rows(AuditEntry, chain=audit.tenant_chain(bank))]
    assert [fact["what"] for fact in facts] == ["endpoint.proposed", "endpoint.approved"]
    assert [fact["sha256"] for fact in facts] == [waiting.sha256] * 2
    async with hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()


@pytest.mark.parametrize(
    ("approver", "code"),
    [
        (FIRST, "endpoint.same_person"),
        (forms.administrator("admin-a", "another-key"), "endpoint.same_person"),
        (forms.administrator("admin-c", FIRST.jkt), "endpoint.same_person"),
        (ADMIN, "endpoint.key_needed"),
    ],
    ids=["himself", "himself with another key", "another id with his key", "an account without a key"],
)
async def test_nobody_approves_his_own_proposal(
    hub: Hub, build: Builder, bank: str, monkeypatch: pytest.MonkeyPatch, approver: Principal, code: str
) -> None:
    waiting = await proposed(hub)

    async def in_force(*_: Any) -> None:
        """Whoever calls is in force here: what is asked is whether two are two."""

    monkeypatch.setattr("service.actions.standing.check", in_force)
    with pytest.raises(errors.Forbidden) as refused:
        await approve(hub, waiting, approver)
    assert refused.value.code == code
    assert (await build.row(EndpointProposal)).state is ProposalState.PROPOSED
    assert await reached(hub) == set()


async def test_who_proposed_at_the_machine_does_not_approve_under_the_same_name(hub: Hub, bank: str) -> None:
    namesake = await forms.enrolled(hub, forms.administrator(ADMIN.client_id))
    with pytest.raises(errors.Forbidden):
        await approve(hub, await proposed(hub, ADMIN), namesake)
    await approve(hub, await proposed(hub, ADMIN, position=2))
    assert await reached(hub) == {"bank-a"}


async def test_an_approval_is_of_exactly_what_was_read(hub: Hub, build: Builder, bank: str) -> None:
    first = await proposed(hub)
    changed = forms.definition(url="https://orders.bank.example/other")
    second = await propose_endpoint.propose(hub, FIRST, bank, first.endpoint_id, changed)
    assert first.sha256 != second.sha256
    with pytest.raises(errors.Conflict) as refused:
        await approve(hub, first)
    assert refused.value.code == "endpoint.other_definition"
    assert [row.state for row in await build.rows(EndpointProposal)] == ["superseded", "proposed"]
    # Somebody changes what waits, behind the application's back.
    await build.change(EndpointProposal, second.id, network="198.51.100.0/24")
    with pytest.raises(errors.Conflict) as refused:
        await approve(hub, second)
    assert refused.value.code == "endpoint.other_definition"
    assert await reached(hub) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://other.bank.example/hoatoc"},
        {"url": "https://orders.bank.example:8443/hoatoc"},
        {"network": "198.51.100.0/24"},
        {"ca_pem": forms.certificate(name="another authority")},
        {"timeout_seconds": 11},
        {"max_in_flight": 7},
        {"max_per_second": 5},
        {"position": 2},
        {"batch": True},
    ],
    ids="-".join,
)
async def test_a_change_waits_too_and_what_is_in_force_stays_until_then(
    hub: Hub, build: Builder, bank: str, change: dict[str, Any]
) -> None:
    before = await proposed(hub)
    await approve(hub, before)
    row = await build.row(Endpoint)
    after = await propose_endpoint.propose(hub, SECOND, bank, before.endpoint_id, forms.definition(**change))
    assert after.sha256 != before.sha256
    assert await build.row(Endpoint) == row
    with pytest.raises(errors.Forbidden):
        await approve(hub, after, SECOND)
    await approve(hub, after, FIRST)
    row = await build.row(Endpoint)
    assert row.approved_sha256 == after.sha256
    assert {name: row._mapping[name] for name in change} == change
    assert (await opened(hub, "endpoints", row.id, bank, row.secret_sealed)).startswith("whsec_")


async def test_a_refused_proposal_is_gone_and_one_administrator_suffices(hub: Hub, build: Builder, bank: str) -> None:
    for who in (FIRST, SECOND):
        waiting = await proposed(hub)
        gone = await refuse_endpoint.refuse(hub, who, bank, waiting.endpoint_id, waiting.sha256)
        assert (gone.state, gone.decided_by) == (ProposalState.REFUSED, who.client_id)
        with pytest.raises(errors.Conflict) as refused:
            await approve(hub, waiting)
        assert refused.value.code == "endpoint.not_proposed"
    assert await reached(hub) == set()


async def suspended(hub: Hub) -> None:
    await suspend.suspend(hub, ADMIN, OPERATOR, forms.stop(SuspendedKind.CLIENT, FIRST.client_id))


async def revoked(hub: Hub) -> None:
    await revoke_key.revoke(hub, ADMIN, OPERATOR, FIRST.jkt or "")


@pytest.mark.parametrize("stopped", [suspended, revoked])
async def test_what_a_stopped_administrator_proposed_is_not_approved_any_more(
    hub: Hub, bank: str, stopped: Callable[[Hub], Awaitable[None]]
) -> None:
    waiting = await proposed(hub)
    await stopped(hub)
    with pytest.raises(errors.Conflict) as refused:
        await approve(hub, waiting)
    assert refused.value.code == "endpoint.proposer_gone"
    with pytest.raises(errors.Unauthenticated):
        await proposed(hub, FIRST)


async def test_an_approval_asks_the_rules_of_today(hub: Hub, bank: str) -> None:
    waiting = await proposed(hub)
    ours = replace(hub, settings=hub.settings.model_copy(update={"own_networks": ("203.0.113.128/25",)}))
    with pytest.raises(errors.Conflict) as refused:
        await approve(ours, waiting)
    assert (refused.value.code, refused.value.params) == ("endpoint.not_allowed_now", {"reason": "network.forbidden"})


async def test_a_member_and_others_without_the_scope_neither_propose_nor_approve(hub: Hub, bank: str) -> None:
    waiting = await proposed(hub)
    agency = forms.agency_admin("bank-a")
    for attempt in (
        lambda: approve(hub, waiting, agency),
        lambda: propose_endpoint.propose(hub, agency, bank, waiting.endpoint_id, forms.definition()),
        lambda: refuse_endpoint.refuse(hub, agency, bank, waiting.endpoint_id, waiting.sha256),
    ):
        with pytest.raises(ScopeMissing):
            await attempt()


async def test_another_members_endpoint_and_one_without_an_address_are_not_proposed(
    hub: Hub, build: Builder, bank: str
) -> None:
    waiting = await proposed(hub)
    await build.participant("bank-b")
    for attempt in (
        lambda: approve_endpoint.approve(hub, SECOND, "bank-b", waiting.endpoint_id, waiting.sha256),
        lambda: propose_endpoint.propose(hub, FIRST, "bank-b", waiting.endpoint_id, forms.definition()),
        lambda: refuse_endpoint.refuse(hub, FIRST, bank, UUID(int=9), waiting.sha256),
    ):
        with pytest.raises(errors.NotFound):
            await attempt()
    inbox = await register_endpoint.register(hub, FIRST, "bank-b", NewPullInbox(channel=Channel.PULL))
    mailbox = NewMailbox(channel=Channel.EMAIL, address="truc@bank.example")
    mail = await register_endpoint.register(hub, FIRST, "bank-b", mailbox)
    assert inbox.proposal is None and mail.proposal is None
    with pytest.raises(errors.Conflict) as refused:
        await propose_endpoint.propose(hub, FIRST, "bank-b", inbox.endpoint.id, forms.definition())
    assert refused.value.code == "endpoint.not_proposed"


async def test_a_duty_contact_is_called_over_a_webhook_once_the_hub_let_it_pass(
    hub: Hub, build: Builder, bank: str
) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    reached_by = ContactWebhook(**forms.definition().model_dump())
    added = await add_contact.add(
        hub, forms.agency_admin("agency-a"), "agency-a", NewContact(name="Trực ban", reached_by=reached_by)
    )
    assert added.proposal is not None

    async def on_duty() -> set[str]:
        async with hub.database.read() as conn:
            return set(await reach.on_duty(conn, ["agency-a"], LONG_AGO, mail=True))

    assert await on_duty() == set()
    await approve(hub, added.proposal)
    assert await on_duty() == {"agency-a"}
    assert (await build.row(Contact)).endpoint_id == added.endpoint_id


@pytest.mark.parametrize("channel", [Channel.ISO20022, Channel.ETSI])
async def test_the_door_of_a_standard_is_let_pass_by_two_and_keeps_its_channel(
    hub: Hub, build: Builder, bank: str, channel: Channel
) -> None:
    made = await register_endpoint.register(hub, FIRST, bank, forms.standard_door(channel))
    assert made.proposal is not None
    assert made.secret is not None
    assert await reached(hub) == set()
    other, batched = forms.definition(), forms.definition().model_copy(update={"channel": channel, "batch": True})
    for wrong, code in ((other, "endpoint.channel"), (batched, "endpoint.batch")):
        with pytest.raises(errors.InvalidInput) as refused:
            await propose_endpoint.propose(hub, FIRST, bank, made.endpoint.id, wrong)
        assert [field.code for field in refused.value.fields] == [code]
    with pytest.raises(DBAPIError, match="approved_by"):
        await build.change(
            Endpoint,
            made.endpoint.id,
            approved_sha256=made.proposal.sha256,
            proposed_by="admin-a",
            approved_by="admin-b",
            approved_at=LONG_AGO,
        )
    await approve(hub, made.proposal)
    row = await build.row(Endpoint, id=made.endpoint.id)
    assert (row.channel, row.approved_sha256) == (channel, made.proposal.sha256)
    assert await reached(hub) == {bank}


async def test_nothing_is_sent_to_an_endpoint_that_two_did_not_approve(build: Builder, rig: Rig) -> None:
    endpoint = await build.endpoint(await build.participant("bank-a"), approved=False)
    placed = await build.placed("bank-a", endpoint_id=endpoint)
    await rig.round()
    assert rig.speaker.sent == []
    assert [row.error for row in await build.rows(Attempt, dispatch_id=placed.dispatch_id)] == ["endpoint.not_approved"]


async def test_an_endpoint_that_was_changed_behind_their_backs_is_not_sent_to(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a")
    await rig.round()
    assert len(rig.speaker.sent) == 1
    # Whoever owns the database can take its guard away; the digest still tells.
    await drop_guard(hub)
    await build.change(Endpoint, placed.endpoint_id, url="https://elsewhere.example/orders")
    later = await build.placed("bank-a", endpoint_id=placed.endpoint_id)
    await fast_forward(seconds=2)
    await rig.round()
    assert len(rig.speaker.sent) == 1
    assert [row.error for row in await build.rows(Attempt, dispatch_id=later.dispatch_id)] == ["endpoint.not_approved"]


async def drop_guard(hub: Hub) -> None:
    on = " ON endpoints" if hub.database.dialect == "postgresql" else ""
    statement = sa.text(f"DROP TRIGGER endpoints_approved_by_two_on_update{on}")
    async with unbound(hub) as owner:
        await owner.write(lambda conn: conn.execute(statement))


@pytest.mark.parametrize(
    "forged",
    [
        {"approved_by": "admin-a", "proposed_by": "admin-a"},
        {"approved_by": None},
        {"approved_by": "admin-c"},
        {"approved_sha256": "0" * 64},
        {"url": "https://elsewhere.example/orders"},
        {"network": "198.51.100.0/24"},
        {"port": 8443},
        {"ca_pem": "another authority"},
        {"client_certificate": "another certificate"},
        {"tenant": "bank-b"},
        {"timeout_seconds": 29},
    ],
    ids=lambda forged: " ".join(forged),
)
async def test_the_database_itself_refuses_what_two_did_not_approve(
    hub: Hub, build: Builder, forged: dict[str, Any]
) -> None:
    await build.participant("bank-b")
    endpoint = await build.endpoint(await build.participant("bank-a"))
    with pytest.raises(DBAPIError, match="approved_by"):
        await build.change(Endpoint, endpoint, **forged)
    row = (await build.row(Endpoint, id=endpoint))._asdict()
    with pytest.raises(DBAPIError, match="approved_by"):
        await build.write(Endpoint, **{**row, "id": clock.new_id()})
    # Without a claim to be approved anything may be written: nothing is sent there.
    await build.write(Endpoint, **{**row, "id": clock.new_id(), "approved_sha256": None})


async def test_the_database_itself_refuses_an_approval_by_the_proposer(hub: Hub, build: Builder) -> None:
    endpoint = await build.endpoint(await build.participant("bank-a"))
    proposal = await build.row(EndpointProposal, endpoint_id=endpoint)
    for forged in ({"decided_by": "administrator-a"}, {"decided_key": None}, {"proposed_key": "key-b"}):
        with pytest.raises(DBAPIError, match="approved_by_another"):
            await build.change(EndpointProposal, proposal.id, **forged)


async def test_an_administrator_on_the_machine_is_told_by_a_key_in_force(hub: Hub, bank: str) -> None:
    from_file = (await enroll_client.enroll(hub, ADMIN, OPERATOR, forms.client("admin-d", role=Role.HUB_ADMIN))).kid
    who = await administrators.of_key(hub, "admin-d", from_file)
    assert (who.client_id, who.tenant, who.jkt) == ("admin-d", OPERATOR, from_file)
    await approve(hub, await proposed(hub), who)
    for name, kid in (("admin-a", from_file), ("admin-d", "unknown"), ("nobody", from_file)):
        with pytest.raises(errors.Unauthenticated):
            await administrators.of_key(hub, name, kid)
    await revoke_key.revoke(hub, ADMIN, OPERATOR, from_file)
    with pytest.raises(errors.Unauthenticated):
        await administrators.of_key(hub, "admin-d", from_file)


async def test_a_client_certificate_is_part_of_what_is_approved_and_its_key_never_in_the_database(
    hub: Hub, build: Builder, bank: str
) -> None:
    certificate = forms.certified(client_keys.make(hub.settings.keys_dir, "hub.example.vn"))
    waiting = await proposed(hub, client_certificate=certificate)
    assert waiting.client_certificate == certificate
    await approve(hub, waiting)
    row = await build.row(Endpoint, id=waiting.endpoint_id)
    assert row.client_certificate == certificate
    assert "PRIVATE KEY" not in str(row) + str(await build.rows(EndpointProposal))
    plain = await propose_endpoint.propose(hub, FIRST, bank, waiting.endpoint_id, forms.definition())
    assert plain.sha256 != waiting.sha256
    (path,) = hub.settings.keys_dir.glob("client-*.pem")
    assert path.stat().st_mode & 0o777 == 0o400
    path.unlink()
    renewed = forms.definition(client_certificate=certificate)
    with pytest.raises(errors.InvalidInput) as refused:
        await propose_endpoint.propose(hub, FIRST, bank, waiting.endpoint_id, renewed)
    assert [(each.field, each.code) for each in refused.value.fields] == [
        ("/client_certificate", "endpoint.client_key")
    ]
