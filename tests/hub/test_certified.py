"""An endpoint gets orders once its participant was seen to pass there: what is recorded, and what it lets pass."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import registry_forms as forms
import sqlalchemy as sa
from builders import Builder, table
from registry_forms import ADMIN

from service import audit, clock, db, errors
from service.actions import approve_endpoint, record_certification, register_endpoint, revoke_key
from service.engine import order_keys
from service.engine.hub import OPERATOR, Hub
from service.models import AuditEntry, Certification, Endpoint
from service.schemas.certifications import FORMAT, CertificationAnswer, Report
from service.schemas.endpoints import NewPullInbox, ProposalAnswer
from service.security import certifications
from service.security.keyring import SigningKey
from service.security.principals import ScopeMissing
from service.selfcheck import endpoints
from service.settings import Settings
from workflows import conformance
from workflows.conformance import Profile, Verdict
from workflows.terms import Channel, Purpose, Sector

FIRST, SECOND = forms.administrator("admin-a"), forms.administrator("admin-b")
YEAR = timedelta(days=365)


@pytest.fixture
async def strict(hub: Hub, build: Builder) -> Hub:
    """A hub that asks for certifications, with a bank, two administrators and its own key in the registry."""
    for who in (FIRST, SECOND):
        await forms.enrolled(hub, who)
    await build.participant("bank-a")
    await hub.writer.run(lambda conn: order_keys.register(conn, hub), reach=db.HUB)
    return replace(hub, settings=hub.settings.model_copy(update={"certification": "required"}))


def report(signed_by: Hub, **changes: Any) -> Report:
    """What an examination says that the bank passed a moment ago, at the address of ``forms.webhook``."""
    profile, sector = changes.get("profile", Profile.BANK_WEBHOOK), Sector.BANK
    at = changes.pop("ended_at", clock.utc_now() - timedelta(seconds=1))
    verdict = changes.pop("verdict", Verdict.PASSED)
    said = {
        "format": FORMAT,
        "hub": signed_by.settings.address,
        "participant_id": "bank-a",
        "sector": sector,
        "profile": profile,
        "host": "orders.bank.example",
        "port": 443,
        "definition_sha256": None,
        "version": "0",
        "began_at": at - timedelta(minutes=1),
        "ended_at": at,
        "passed": verdict is Verdict.PASSED,
        "cases": [
            {"case": case, "verdict": verdict, "why": None, "seen": []} for case in conformance.cases(profile, sector)
        ],
    }
    return Report.model_validate({**said, **changes})


async def record(hub: Hub, text: str) -> CertificationAnswer:
    return await record_certification.record(hub, ADMIN, "bank-a", text.encode())


async def recorded(hub: Hub, **changes: Any) -> CertificationAnswer:
    return await record(hub, certifications.sealed(report(hub, **changes), hub.order_keys[0]))


async def proposed(hub: Hub, **values: Any) -> ProposalAnswer:
    made = await register_endpoint.register(hub, FIRST, "bank-a", forms.webhook(**values))
    assert made.proposal is not None
    return made.proposal


async def approve(hub: Hub, what: ProposalAnswer) -> None:
    await approve_endpoint.approve(hub, SECOND, what.participant_id, what.endpoint_id, what.sha256)


async def refused(hub: Hub, what: ProposalAnswer) -> None:
    with pytest.raises(errors.Conflict) as wrong:
        await approve(hub, what)
    assert wrong.value.code == "endpoint.not_certified"


async def test_an_endpoint_for_orders_is_approved_once_its_participant_is_certified(
    strict: Hub, build: Builder
) -> None:
    waiting = await proposed(strict)
    await refused(strict, waiting)
    assert (await build.row(Endpoint, id=waiting.endpoint_id)).approved_sha256 is None
    made = await recorded(strict)
    await approve(strict, waiting)
    assert (await build.row(Endpoint, id=waiting.endpoint_id)).approved_sha256 == waiting.sha256
    facts = [json.loads(each.data) for each in await build.rows(AuditEntry, chain=audit.tenant_chain("bank-a"))]
    assert [fact["what"] for fact in facts] == ["endpoint.proposed", "endpoint.certified", "endpoint.approved"]
    assert facts[1]["sha256"] == made.report_sha256


async def test_the_same_report_is_recorded_once(strict: Hub, build: Builder) -> None:
    text = certifications.sealed(report(strict), strict.order_keys[0])
    assert await record(strict, text) == await record(strict, text)
    assert len(await build.rows(Certification)) == 1


async def test_a_pull_inbox_comes_into_force_with_a_certification_alone(strict: Hub) -> None:
    inbox = NewPullInbox(channel=Channel.PULL)
    with pytest.raises(errors.Conflict) as wrong:
        await register_endpoint.register(strict, FIRST, "bank-a", inbox)
    assert wrong.value.code == "endpoint.not_certified"
    await recorded(strict, profile=Profile.PULL, host=None, port=None)
    assert (await register_endpoint.register(strict, FIRST, "bank-a", inbox)).endpoint.channel is Channel.PULL


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": Profile.PULL, "host": None, "port": None},
        {"profile": Profile.BANK_ISO20022},
        {"host": "elsewhere.bank.example"},
        {"port": 8443},
        {"definition_sha256": "0" * 64},
    ],
    ids=["an inbox", "another form", "another host", "another port", "another definition"],
)
async def test_a_certification_of_something_else_lets_nothing_pass(strict: Hub, changes: dict[str, Any]) -> None:
    waiting = await proposed(strict)
    await recorded(strict, **changes)
    await refused(strict, waiting)


async def test_a_certification_may_name_the_very_definition(strict: Hub) -> None:
    waiting = await proposed(strict)
    await recorded(strict, definition_sha256=waiting.sha256)
    await approve(strict, waiting)


async def test_what_receives_no_orders_needs_no_certification(strict: Hub) -> None:
    await approve(strict, await proposed(strict, purpose=Purpose.NOTICES))


async def test_a_certification_ends(strict: Hub, fast_forward: Callable[..., Awaitable[None]]) -> None:
    waiting = await proposed(strict)
    await recorded(strict)
    await fast_forward(days=364)
    await approve(strict, waiting)
    change = await proposed(strict)
    await fast_forward(days=2)
    await refused(strict, change)


async def test_a_certification_under_a_revoked_key_counts_no_more(strict: Hub) -> None:
    waiting = await proposed(strict)
    await recorded(strict)
    await revoke_key.revoke(strict, ADMIN, OPERATOR, strict.order_keys[0].kid)
    await refused(strict, waiting)


async def test_a_report_that_does_not_hold_is_refused_by_name_and_changes_nothing(strict: Hub, build: Builder) -> None:
    now = clock.utc_now()
    own = strict.order_keys[0]
    stranger = SigningKey.generate(not_before=now - timedelta(days=1), not_after=now + YEAR)
    good = certifications.sealed(report(strict), own)
    failed = json.loads(certifications.sealed(report(strict, verdict=Verdict.FAILED, passed=False), own))
    lied = certifications.sealed(report(strict, verdict=Verdict.NOT_REACHED, passed=True), own)
    tried = {
        "{}": "form",
        "no JSON": "form",
        good.replace("orders.bank.example", "orders.evil.example"): "signature",
        json.dumps({**json.loads(good), "key": stranger.public_jwk()}): "signature",
        lied: "verdict",
        json.dumps(failed): "failed",
        certifications.sealed(report(strict), stranger): "hub",
        certifications.sealed(report(strict, hub=None), own): "hub",
        certifications.sealed(report(strict, hub="https://another.example"), own): "hub",
        certifications.sealed(report(strict, participant_id="bank-b"), own): "participant",
        certifications.sealed(report(strict, sector=Sector.WALLET), own): "participant",
        certifications.sealed(report(strict, ended_at=now - YEAR - timedelta(days=1)), own): "old",
        certifications.sealed(report(strict, ended_at=now + timedelta(hours=1)), own): "old",
    }
    for text, reason in tried.items():
        with pytest.raises(errors.InvalidInput) as wrong:
            await record(strict, text)
        assert [each.code for each in wrong.value.fields] == [f"certification.{reason}"], text[:200]
    assert await build.rows(Certification) == []


async def test_only_the_hubs_administrators_record_one(strict: Hub) -> None:
    text = certifications.sealed(report(strict), strict.order_keys[0]).encode()
    with pytest.raises(ScopeMissing):
        await record_certification.record(strict, forms.agency_admin("bank-a"), "bank-a", text)
    with pytest.raises(errors.NotFound):
        unknown = certifications.sealed(report(strict, participant_id="bank-x"), strict.order_keys[0])
        await record_certification.record(strict, ADMIN, "bank-x", unknown.encode())


async def test_the_doctor_names_who_gets_orders_without_one(
    strict: Hub, hub: Hub, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    # Approved while nobody asked for it.
    waiting = await proposed(hub)
    await approve(hub, waiting)

    async def seen() -> list[tuple[str, str]]:
        async with hub.database.read(db.HUB) as conn:
            return [(each.state, each.params["participant"]) for each in await endpoints.certified(conn, lasts=YEAR)]

    assert await seen() == [("warning", "bank-a")]
    await recorded(strict)
    assert await seen() == [("ok", "bank-a")]
    await fast_forward(days=366)
    assert await seen() == [("warning", "bank-a")]


def test_production_asks_for_it_and_the_demo_does_not() -> None:
    settings = {
        (profile, said): Settings(profile=profile, certification=said).certification_required
        for profile in ("production", "demo")
        for said in (None, "required", "optional")
    }
    assert {key for key, required in settings.items() if required} == {
        ("production", None),
        ("production", "required"),
        ("demo", "required"),
    }


async def test_the_database_keeps_a_report_once(strict: Hub, hub: Hub) -> None:
    await recorded(strict)
    with pytest.raises(sa.exc.IntegrityError):

        async def again(conn: Any) -> None:
            row = dict((await conn.execute(sa.select(table(Certification)))).one()._mapping)
            await conn.execute(sa.insert(table(Certification)).values({**row, "id": clock.new_id()}))

        await hub.database.write(again)
