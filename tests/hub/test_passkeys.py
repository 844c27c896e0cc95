"""A passkey's signature stands by itself, in one spelling, for one site, and only if its person was verified."""

import dataclasses
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import appeal_steps
import pytest
import soft_passkey as soft
import steps
import world as worlds
from soft_passkey import Passkey
from world import World

from service import clock, errors
from service.actions import answer_appeal, approve_request, changes, enroll_key, withdraw_request
from service.engine import evidence as bundles
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, AuditEntry
from service.queries import approvals
from service.schemas.appeals import AppealReply
from service.schemas.registry import NewKey
from service.security import evidence, keyring, passkeys, signatures
from service.security.signatures import Kind, SignatureRefused

EVIDENCE = Path(__file__).parents[2] / "service" / "handbook" / "en" / "evidence.md"
ORIGIN = "https://hoatoc.example.vn"
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
PAYLOAD = b'{"action":"freeze"}'
ABOUT = "01a20b6b-f72c-7204-8d6d-1b1c98c21e8b"


def refusal(text: str, payload: bytes = PAYLOAD, key: Passkey | None = None) -> str:
    """Read and verify a signature, and return why it is refused."""
    public, _ = keyring.public_key((key or Passkey(ORIGIN)).public)
    with pytest.raises(SignatureRefused) as refused:
        signatures.verify(signatures.read(text, Kind.APPROVAL), payload, public)
    return refused.value.reason


def test_a_passkeys_signature_is_verified_with_the_public_key_alone() -> None:
    key = Passkey(ORIGIN)
    text = key.sign(Kind.APPROVAL, PAYLOAD, NOW, ABOUT)
    public, kid = keyring.public_key(key.public)
    found = signatures.read(text, Kind.APPROVAL)
    assert (found.kid, found.about, found.signed_at, found.purpose) == (kid, ABOUT, NOW, "passkey")
    assert found.assertion is not None and found.assertion.origin == ORIGIN
    signatures.verify(found, PAYLOAD, public)
    # Browsers add members of their own, so that nobody compares the text with a template; phones say that they sync.
    grown = key.sign(
        Kind.APPROVAL,
        PAYLOAD,
        NOW,
        ABOUT,
        said={"other_keys_can_be_added_here": "do not compare"},
        flags=soft.PRESENT | soft.VERIFIED | soft.ELIGIBLE | soft.BACKED_UP,
    )
    signatures.verify(signatures.read(grown, Kind.APPROVAL), PAYLOAD, public)
    assert refusal(text, PAYLOAD + b" ", key) == "invalid"
    assert refusal(text, PAYLOAD, Passkey(ORIGIN)) == "invalid"


@pytest.mark.parametrize(
    ("reason", "wrong"),
    [
        ("malformed", {"said": {"type": "webauthn.create"}}),
        ("malformed", {"said": {"crossOrigin": True}}),
        ("malformed", {"said": {"crossOrigin": "false"}}),
        ("malformed", {"said": {"origin": 7}}),
        ("malformed", {"said": {"challenge": None}}),
        ("malformed", {"raw": b"[]"}),
        ("malformed", {"raw": b"\xff"}),
        ("malformed", {"raw": b'{"type":"webauthn.get","type":"webauthn.get","origin":"x","challenge":"y"}'}),
        ("malformed", {"said": {"more": "x" * 1100}}),
        ("malformed", {"site": "evil.example.vn"}),
        ("malformed", {"origin": "http://hoatoc.example.vn"}),
        ("malformed", {"origin": "https://HOATOC.example.vn"}),
        ("malformed", {"origin": "https://hoatoc.example.vn/"}),
        ("malformed", {"origin": "https://hoatoc.example.vn:443"}),
        ("malformed", {"origin": "https://192.0.2.7"}),
        ("malformed", {"origin": "https://hoatoc.example.vn:x"}),
        ("malformed", {"data": bytes(36)}),
        ("malformed", {"flags": soft.PRESENT | soft.VERIFIED | soft.ATTESTED}),
        ("malformed", {"flags": soft.PRESENT | soft.VERIFIED | soft.EXTENDED}),
        ("malformed", {"flags": soft.PRESENT | soft.VERIFIED | soft.BACKED_UP}),
        ("user_unverified", {"flags": soft.PRESENT}),
        ("user_unverified", {"flags": soft.VERIFIED}),
        ("user_unverified", {"flags": 0}),
        ("invalid", {"said": {"challenge": passkeys.challenge(b"something else")}}),
        ("invalid", {"half": bytes(64)}),
        ("algorithm", {"header": {"alg": "webauthn"}}),
        ("algorithm", {"header": {"alg": None}}),
        # The other form's name over this one's bytes, and the other way round below.
        ("malformed", {"header": {"alg": "ES256"}}),
        ("malformed", {"header": {"ctx": "webauthn"}}),
    ],
)
def test_whatever_is_not_what_a_browser_writes_for_this_site_is_refused(reason: str, wrong: dict[str, Any]) -> None:
    key = Passkey(ORIGIN)
    assert refusal(key.sign(Kind.APPROVAL, PAYLOAD, NOW, ABOUT, **wrong), key=key) == reason


def test_a_plain_signature_never_passes_for_a_passkeys() -> None:
    key = Passkey(ORIGIN)
    private: Any = key.key.private_key
    plain = signatures.sign(private, key.key.thumbprint(), Kind.APPROVAL, PAYLOAD, at=NOW, about=ABOUT)
    header, _, signature = plain.split(".")
    members = json.loads(soft.base64.urlsafe_b64decode(header + "=="))
    renamed = soft.encode(json.dumps({**members, "alg": passkeys.ALGORITHM}).encode())
    assert refusal(f"{renamed}..{signature}", key=key) == "malformed"


def test_one_signature_has_one_spelling() -> None:
    key = Passkey(ORIGIN)
    text = key.sign(Kind.APPROVAL, PAYLOAD, NOW, ABOUT)
    header, _, signature = text.split(".")
    for other in (
        f"{text}=",
        f"{header}=..{signature}",
        f"{header}..{signature}A",
        f"{header}..{signature[:-1]}",
        f"{header}...{signature}",
        f"{header}.{soft.encode(PAYLOAD)}.{signature}",
        f" {text}",
        f"{text}\n",
    ):
        assert refusal(other, key=key) in {"malformed", "invalid"}, other


@pytest.mark.parametrize(
    ("address", "site", "origin"),
    [
        ("https://hub.example.vn", "hub.example.vn", "https://hub.example.vn"),
        ("https://Hub.Example.VN:443/", "hub.example.vn", "https://hub.example.vn"),
        ("https://hub.example.vn:8443", "hub.example.vn", "https://hub.example.vn:8443"),
        ("http://localhost:8470", "localhost", "http://localhost:8470"),
        ("http://hub.example.vn", None, None),
        ("http://127.0.0.1:8470", None, None),
        ("https://[2001:db8::1]", None, None),
        ("https://", None, None),
        ("https://hub.example.vn:port", None, None),
        ("https://trung-tâm.vn", None, None),
        ("https://me@hub.example.vn", None, None),
    ],
)
def test_passkeys_work_at_a_name_under_tls(address: str, site: str | None, origin: str | None) -> None:
    assert (passkeys.site_of(address), passkeys.origin_of(address)) == (site, origin)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network at a hub with a name."""
    named = hub.settings.model_copy(update={"issuer": ORIGIN})
    made = World(dataclasses.replace(hub, settings=named))
    await made.settle_in()
    return made


async def enrolled(world: World, key: Passkey, *, as_passkey: bool = True) -> None:
    """Register the approver's passkey, as an administrator does."""
    body = {"officer_id": "approver", "key": key.public, "credential_id": key.credential_id if as_passkey else None}
    administrator = changes.local_administrator("root")
    await enroll_key.enroll(world.hub, administrator, worlds.AGENCY, NewKey.model_validate(body))


async def signature(world: World, key: Passkey, request_id: UUID, kind: Kind = Kind.APPROVAL, **wrong: Any) -> str:
    payload = signatures.canonical(await world.filed_bytes(request_id))
    return key.sign(kind, payload, clock.utc_now(), request_id, **wrong)


async def test_a_second_officer_approves_with_a_passkey_once(world: World) -> None:
    key = Passkey(ORIGIN)
    await enrolled(world, key)
    filed, twin = await world.submit(worlds.freeze()), await world.submit(worlds.freeze())
    text = await signature(world, key, filed.id)
    await approve_request.approve(world.hub, world.police, filed.id, "approver", text)
    (kept,) = await world.rows(Approval, request_id=filed.id)
    assert kept["signature"] == text
    with pytest.raises(errors.Forbidden) as refused:
        await approve_request.approve(world.hub, world.police, twin.id, "approver", text)
    assert refused.value.code == "signature.about"


async def test_evidence_with_a_passkeys_signature_is_proved_with_public_keys_alone(world: World) -> None:
    key = Passkey(ORIGIN)
    await enrolled(world, key)
    filed = await world.submit(worlds.freeze())
    await approve_request.approve(world.hub, world.police, filed.id, "approver", await signature(world, key, filed.id))
    bundle = json.loads(await bundles.export(world.hub, str(filed.id)))

    def wrong() -> set[str]:
        return {check.name for check in evidence.verify(json.dumps(bundle)) if check.wrong}

    assert wrong() == set()
    code = re.search(r"```python\n(.+?)```", EVIDENCE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    by_hand: dict[str, Any] = {}
    exec(code[1], by_hand)
    known = {each["kid"]: {**each["jwk"], "owner_id": each["owner_id"]} for each in bundle["keys"]}
    assert [line[:2] for line in by_hand["judged"](bundle, known)][:2] == [("holds", "request"), ("holds", "approval")]
    (changed,) = [each for each in by_hand["parts"](bundle) if each[0] == "approval"]
    assert not by_hand["holds"](changed[3], {**changed[4], "more": 1}, known[key.key.thumbprint()])
    (kept,) = [each for each in bundle["keys"] if each["kid"] == key.key.thumbprint()]
    kept["purpose"] = "signature"
    assert "approval.signature" in wrong()


Wrong = Callable[[World, Passkey, UUID], Awaitable[str]]


async def _elsewhere(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key)
    return await signature(world, key, request_id, origin="https://hoatoc.example.com")


async def _other_port(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key)
    return await signature(world, key, request_id, origin=f"{ORIGIN}:8443")


async def _for_a_drill(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key)
    return await signature(world, key, request_id, hub="https://drill.hoatoc.example.vn")


async def _touched_only(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key)
    return await signature(world, key, request_id, flags=soft.PRESENT)


async def _unknown(world: World, key: Passkey, request_id: UUID) -> str:
    return await signature(world, key, request_id)


async def _registered_as_a_file(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key, as_passkey=False)
    return await signature(world, key, request_id)


async def _plain_by_a_passkey(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key)
    payload = signatures.canonical(await world.filed_bytes(request_id))
    private: Any = key.key.private_key
    kid, now = key.key.thumbprint(), clock.utc_now()
    return signatures.sign(private, kid, Kind.APPROVAL, payload, at=now, about=str(request_id), audience=ORIGIN)


async def _another_body(world: World, key: Passkey, request_id: UUID) -> str:
    await enrolled(world, key)
    other = worlds.freeze(amount={"value": "150000001", "currency": "VND"})
    return key.sign(Kind.APPROVAL, signatures.canonical(json.dumps(other).encode()), clock.utc_now(), request_id)


async def _withdrawn(world: World, key: Passkey, where: str) -> str:
    filed = await world.submit(worlds.freeze())
    raw = b'{"officer_id":"approver"}'
    text = key.sign(Kind.WITHDRAWAL, raw, clock.utc_now(), filed.id, origin=where)
    await withdraw_request.withdraw(world.hub, world.police, filed.id, "approver", raw, text)
    [row] = await world.rows(ActionRequest, id=filed.id)
    return str(row["withdrawal_signature"])


async def _answered(world: World, key: Passkey, where: str) -> str:
    filed = await appeal_steps.file(world, await steps.held(world))
    body = AppealReply(officer_id="approver", text="x")
    raw = signatures.canonical(body.model_dump_json().encode())
    text = key.sign(Kind.REPLY, raw, clock.utc_now(), filed.id, origin=where)
    await answer_appeal.answer(world.hub, world.police, filed.id, body, raw, text)
    return str((await appeal_steps.row(world, filed.id))["answer_signature"])


async def _decided(world: World, key: Passkey, where: str) -> str:
    filed = await appeal_steps.file(world, await steps.held(world))
    body = appeal_steps.decision()
    payload = signatures.canonical(json.dumps(body).encode())
    text = key.sign(Kind.DECISION, payload, clock.utc_now(), filed.id, origin=where)
    await appeal_steps.send(world, filed.id, {**body, "signature": text})
    return str((await appeal_steps.row(world, filed.id))["signature"])


@pytest.mark.parametrize("done", [_withdrawn, _answered, _decided])
async def test_an_officer_withdraws_answers_and_decides_with_a_passkey_of_this_hubs_pages(
    world: World, done: Callable[[World, Passkey, str], Awaitable[str]]
) -> None:
    key = Passkey(ORIGIN)
    await enrolled(world, key)
    with pytest.raises(errors.Forbidden, match=r"signature\.origin"):
        await done(world, key, "https://hoatoc.example.com")
    kept = await done(world, key, ORIGIN)
    assert signatures.key_of(kept) == key.key.thumbprint()


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        ("origin", _elsewhere),
        ("origin", _other_port),
        ("audience", _for_a_drill),
        ("user_unverified", _touched_only),
        ("key_unknown", _unknown),
        ("key_unknown", _registered_as_a_file),
        ("key_unknown", _plain_by_a_passkey),
        ("invalid", _another_body),
    ],
)
async def test_a_wrong_passkey_activates_nothing_and_is_a_fact(world: World, reason: str, make: Wrong) -> None:
    filed = await world.submit(worlds.freeze())
    text = await make(world, Passkey(ORIGIN), filed.id)
    with pytest.raises(errors.Forbidden) as refused:
        await approve_request.approve(world.hub, world.police, filed.id, "approver", text)
    assert refused.value.code == f"signature.{reason}"
    (request,) = await world.rows(ActionRequest, id=filed.id)
    assert request["state"] == "awaiting_approval"
    (fact,) = await world.rows(AuditEntry, request_id=filed.id, code="signature.refused")
    assert json.loads(fact["data"])["reason"] == reason and text not in fact["data"]


async def test_where_a_hub_has_no_name_no_passkey_signs(world: World) -> None:
    key = Passkey("http://127.0.0.1:8470")
    await enrolled(world, key)
    filed = await world.submit(worlds.freeze())
    nameless = dataclasses.replace(world.hub, settings=world.hub.settings.model_copy(update={"issuer": ""}))
    # No browser signs at such an address; a passkey of some other site is no better.
    for made, reason in ((key, "malformed"), (dataclasses.replace(key, origin=ORIGIN), "origin")):
        with pytest.raises(errors.Forbidden, match=rf"signature\.{reason}"):
            text = await signature(world, made, filed.id, hub=nameless.settings.address)
            await approve_request.approve(nameless, world.police, filed.id, "approver", text)


async def test_a_key_stays_what_it_was_registered_as(world: World) -> None:
    key = Passkey(ORIGIN)
    await enrolled(world, key)
    for changed in (dataclasses.replace(key, credential_id="another"), None):
        with pytest.raises(errors.Conflict) as refused:
            await enrolled(world, changed or key, as_passkey=changed is not None)
        assert refused.value.code == "key.taken"
    await enrolled(world, key)  # the same again moves its end and nothing else


async def test_an_officer_is_shown_the_text_and_the_keys_that_count(world: World) -> None:
    key = Passkey(ORIGIN)
    await enrolled(world, key)
    filed = await world.submit(worlds.freeze())
    hub, now = world.hub, clock.utc_now()
    officer = dataclasses.replace(world.police, client_id="approver")
    async with hub.database.read() as conn:
        paper = await approvals.paper(conn, hub.vault, officer, filed.id, now)
        signer = await approvals.signer(conn, officer, now)
        for nobody in (
            world.coordinator,
            world.participant("vietcombank"),
            dataclasses.replace(officer, tenant="pc02"),
        ):
            assert await approvals.paper(conn, hub.vault, nobody, filed.id, now) is None
        assert await approvals.paper(conn, hub.vault, officer, uuid4(), now) is None
        assert await approvals.signer(conn, world.coordinator, now) is None
    assert paper is not None and signer is not None
    assert paper.content.encode() == signatures.canonical(await world.filed_bytes(filed.id))
    assert (paper.awaits, paper.said) == (Kind.APPROVAL, [])
    assert {each.credential_id for each in signer.keys} == {None, key.credential_id}
    await world.approve(filed.id)
    async with hub.database.read() as conn:
        after = await approvals.paper(conn, hub.vault, officer, filed.id, now)
    assert after is not None and after.awaits is None
    assert [(said.kind, said.officer_id) for said in after.said] == [("approval", "approver")]
