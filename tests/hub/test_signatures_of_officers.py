"""Whoever files, approves, reviews or answers signs it; each bad signature is refused by its reason, and is a fact."""

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import appeal_steps
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc.jwk import ECKey
from opening import sealed_for
from world import World

from service import audit, clock, errors
from service.actions import (
    acknowledge_order,
    answer_appeal,
    approve_request,
    decide_appeal,
    submit_request,
    withdraw_request,
)
from service.engine.hub import Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    Appeal,
    Approval,
    AuditEntry,
    Case,
    Deadline,
    Dispatch,
    IdempotencyKey,
    Order,
    PublicKey,
    SpentIdentifier,
    Target,
    Task,
)
from service.schemas.appeals import AppealDecision, AppealReply
from service.schemas.orders import AcknowledgementBody
from service.security import signatures
from service.security.signatures import Kind
from workflows.terms import OrderState, RequestState

EVERYTHING = (
    ActionRequest,
    Appeal,
    Case,
    Target,
    Approval,
    Order,
    Acknowledgement,
    Deadline,
    Dispatch,
    Task,
    IdempotencyKey,
)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


@dataclass
class Verb:
    """One thing that is signed: by whom, what of, what it is about, where a refusal is kept, and how it is done."""

    world: World
    kind: Kind
    signer: str
    raw: bytes
    about: UUID | None
    chain: str
    act: Callable[[str | None], Awaitable[Any]]

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header of a good signature made now, with ``changes``; a member that is changed to None is left out."""
        key = self.world.keys[self.signer]
        members = {"alg": "ES256", "typ": str(self.kind), "kid": key.thumbprint(), "iat": int(now().timestamp())}
        members |= {"jti": uuid4().hex, "aud": self.world.hub.settings.address}
        members |= {"sub": str(self.about)} if self.about else {}
        return {name: value for name, value in {**members, **changes}.items() if value is not None}

    def signed(
        self, header: dict[str, Any] | None = None, raw: bytes | None = None, key: ECKey | None = None, **changes: Any
    ) -> str:
        """A signature whose header, payload or key may be wrong; only what is passed is."""
        encoded = encode(json.dumps(header or self.header(**changes)).encode())
        signing_input = signatures.signing_input(encoded, signatures.canonical(raw or self.raw))
        return f"{encoded}..{encode(es256(key or self.world.keys[self.signer], signing_input))}"


def now() -> Any:
    return clock.utc_now()


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def es256(key: ECKey, signing_input: bytes) -> bytes:
    private: Any = key.private_key
    r, s = utils.decode_dss_signature(private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


async def filing(world: World) -> Verb:
    body = worlds.freeze()
    raw = json.dumps(body, indent=1).encode()
    shape = worlds.SUBMIT.validate_python(body)

    async def act(signature: str | None) -> Any:
        return await submit_request.submit(world.hub, world.police, uuid4().hex, shape, raw, signature)

    return Verb(world, Kind.REQUEST, "maker", raw, None, audit.tenant_chain(worlds.AGENCY), act)


async def approval(world: World) -> Verb:
    filed = await world.submit(worlds.freeze())

    async def act(signature: str | None) -> Any:
        return await approve_request.approve(world.hub, world.police, filed.id, "approver", signature)

    raw = await world.filed_bytes(filed.id)
    return Verb(world, Kind.APPROVAL, "approver", raw, filed.id, audit.request_chain(filed.id), act)


async def review(world: World) -> Verb:
    filed = await world.submit(steps.emergency())

    async def act(signature: str | None) -> Any:
        return await approve_request.review(world.hub, world.police, filed.id, "approver", signature)

    raw = await world.filed_bytes(filed.id)
    return Verb(world, Kind.REVIEW, "approver", raw, filed.id, audit.request_chain(filed.id), act)


async def answer(world: World) -> Verb:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    body = {"outcome": "executed", "amount_held": steps.vnd(order["amount"])}
    raw = json.dumps(body).encode()
    bank = world.participant(order["participant_id"])

    async def act(signature: str | None) -> Any:
        shape = AcknowledgementBody.model_validate(body)
        return await acknowledge_order.acknowledge(world.hub, bank, order["id"], shape, raw, signature)

    return Verb(world, Kind.ANSWER, bank.tenant, raw, order["id"], audit.tenant_chain(bank.tenant), act)


async def withdrawal(world: World) -> Verb:
    filed = await world.submit(worlds.freeze())
    raw = b'{ "officer_id": "maker" }'

    async def act(signature: str | None) -> Any:
        return await withdraw_request.withdraw(world.hub, world.police, filed.id, "maker", raw, signature)

    return Verb(world, Kind.WITHDRAWAL, "maker", raw, filed.id, audit.request_chain(filed.id), act)


async def reply(world: World) -> Verb:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    body = {"officer_id": "maker", "text": "150000000 đồng: đang xác minh."}
    raw = json.dumps(body, indent=2).encode()
    shape = AppealReply.model_validate(body)

    async def act(signature: str | None) -> Any:
        return await answer_appeal.answer(world.hub, world.police, filed.id, shape, raw, signature)

    return Verb(world, Kind.REPLY, "maker", raw, filed.id, audit.request_chain(order["request_id"]), act)


async def decision(world: World) -> Verb:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    body = appeal_steps.decision(text="150000000 đồng")
    raw = json.dumps(body).encode()

    async def act(signature: str | None) -> Any:
        # The door looks at the form of the member before the verb does.
        signed = AppealDecision.model_validate(body).model_copy(update={"signature": signature})
        sent = json.dumps({**body, "signature": signature}).encode()
        return await decide_appeal.decide(world.hub, world.police, filed.id, signed, sent)

    return Verb(world, Kind.DECISION, "approver", raw, filed.id, audit.request_chain(order["request_id"]), act)


VERBS = [filing, approval, review, answer, withdrawal, reply, decision]


def malformed(verb: Verb) -> dict[str, str]:
    good = verb.signed()
    header, _, signature = good.split(".")
    short, long = (encode(base64.urlsafe_b64decode(f"{signature}==")[:63]), encode(b"\x01" * 65))
    wrong_about = {"sub": str(uuid4())} if verb.about is None else {"sub": None}
    twice = encode(json.dumps(verb.header()).replace("{", '{"alg": "ES256", ', 1).encode())
    return {
        "no parts": "signature",
        "two parts": f"{header}.{signature}",
        "four parts": f"{good}.",
        "the payload inside": f"{header}.{encode(signatures.canonical(verb.raw))}.{signature}",
        "too long": f"{header}..{signature}".ljust(signatures.LONGEST + 1, "A"),
        "no signature": f"{header}..",
        "63 bytes": f"{header}..{short}",
        "65 bytes": f"{header}..{long}",
        "padded": f"{header}..{signature}==",
        "another spelling": f"{header}..{signature[:-1]}{chr(ord(signature[-1]) + 1)}",
        "a line break": f"{header}..\n{signature}",
        "no JSON": f"{encode(b'alg')}..{signature}",
        "a list": f"{encode(b'[]')}..{signature}",
        "a member twice": f"{twice}..{signature}",
        "one member more": verb.signed(b64=False),
        "critical": verb.signed(crit=["exp"]),
        "a key of its own": verb.signed(jwk=verb.world.keys[verb.signer].as_dict(private=False)),
        "no jti": verb.signed(jti=None),
        "an empty jti": verb.signed(jti=""),
        "no kid": verb.signed(kid=None),
        "no iat": verb.signed(iat=None),
        "iat a text": verb.signed(iat="1"),
        "iat true": verb.signed(iat=True),
        "iat beyond time": verb.signed(iat=10**18),
        "sub": verb.signed(**wrong_about),
        "two hubs": verb.signed(aud=[verb.world.hub.settings.address]),
        "an empty aud": verb.signed(aud=""),
    }


def of_another_algorithm(verb: Verb) -> dict[str, str]:
    key: Any = verb.world.keys[verb.signer].private_key
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = encode(json.dumps(verb.header(alg="HS256")).encode())
    signing_input = signatures.signing_input(header, signatures.canonical(verb.raw))
    mac = encode(hmac.new(spki, signing_input, hashlib.sha512).digest())
    return {
        "a MAC with the public key": f"{header}..{mac}",
        **{alg: verb.signed(alg=alg) for alg in ("none", "es256", "ES384", "ES256K", "EdDSA", "")},
    }


def of_another_type(verb: Verb) -> dict[str, str]:
    others = [str(kind) for kind in Kind if kind is not verb.kind] + ["JWT", "dpop+jwt", verb.kind.upper()]
    return {"no type": verb.signed(typ=None), **{typ: verb.signed(typ=typ) for typ in others}}


def about_something_else(verb: Verb) -> dict[str, str]:
    if verb.about is None:
        return {}
    return {"a twin": verb.signed(sub=str(uuid4())), "in capitals": verb.signed(sub=str(verb.about).upper())}


def for_another_hub(verb: Verb) -> dict[str, str]:
    own = verb.world.hub.settings.address
    others = {"a drill": "https://drill.hoatoc.example.vn", "a slash": f"{own}/", "capitals": own.upper()}
    return {"none named": verb.signed(aud=None), **{name: verb.signed(aud=hub) for name, hub in others.items()}}


def at_another_time(seconds: int) -> Callable[[Verb], dict[str, str]]:
    return lambda verb: {f"{seconds} s": verb.signed(iat=int(now().timestamp()) + seconds)}


def by_a_strange_key(verb: Verb) -> dict[str, str]:
    made = {"nobody's": ECKey.generate_key("P-256")}
    made |= {name: key for name, key in verb.world.keys.items() if name in {"junior", "bidv"}}
    return {name: verb.signed(kid=key.thumbprint(), key=key) for name, key in made.items()}


def of_something_else(verb: Verb) -> dict[str, str]:
    members = json.loads(verb.raw)
    header, _, signature = verb.signed().split(".")
    _, _, other = verb.signed().split(".")
    return {
        "one character": verb.signed(raw=verb.raw.replace(b"150000000", b"150000001").replace(b'"maker"', b'"taker"')),
        "one member less": verb.signed(raw=json.dumps(dict(list(members.items())[:-1])).encode()),
        "one member more": verb.signed(raw=json.dumps({**members, "note": ""}).encode()),
        "another header": f"{header}..{other}",
        "another's key under this kid": verb.signed(key=ECKey.generate_key("P-256")),
        "zeroes": f"{header}..{encode(bytes(64))}",
        "one bit": f"{header}..{'AB'[signature[0] == 'A']}{signature[1:]}",
    }


BAD: list[tuple[str, Callable[[Verb], dict[str, Any]]]] = [
    ("missing", lambda _: {"none": None, "empty": ""}),
    ("malformed", malformed),
    ("algorithm", of_another_algorithm),
    ("type", of_another_type),
    ("about", about_something_else),
    ("audience", for_another_hub),
    ("old", at_another_time(-901)),
    ("ahead", at_another_time(30)),
    ("key_unknown", by_a_strange_key),
    ("invalid", of_something_else),
]


async def everything(world: World) -> list[Any]:
    """All rows that a signed call could change, and the identifiers that it could spend."""
    rows: list[Any] = [await world.rows(model) for model in EVERYTHING]
    async with world.hub.database.read() as conn:
        spent = (await conn.execute(sa.select(table(SpentIdentifier).c.identifier))).scalars()
        return [*rows, sorted(spent)]


async def is_refused(verb: Verb, signature: str | None, reason: str, name: str = "") -> None:
    """Try it, and find the reason in the answer and in one more fact, the signature in no fact, and nothing changed."""
    before = await everything(verb.world)
    kept = await verb.world.rows(AuditEntry, chain=verb.chain)
    with pytest.raises(errors.Forbidden) as refused:
        await verb.act(signature)
    assert refused.value.code == f"signature.{reason}", name
    assert await everything(verb.world) == before, name
    [fact] = (await verb.world.rows(AuditEntry, chain=verb.chain))[len(kept) :]
    assert (fact["code"], json.loads(fact["data"])["reason"]) == ("signature.refused", reason), name
    if signature and "." in signature:
        assert max(signature.split("."), key=len) not in fact["data"]


async def change_key(world: World, owner: str, **values: Any) -> None:
    keys = table(PublicKey)
    changed = sa.update(keys).where(keys.c.kid == world.keys[owner].thumbprint()).values(**values)
    await world.hub.writer.run(lambda conn: conn.execute(changed))


@pytest.mark.parametrize("make", VERBS)
@pytest.mark.parametrize(("reason", "bad"), BAD, ids=[reason for reason, _ in BAD])
async def test_a_bad_signature_is_refused_by_its_reason_and_nothing_changes(
    world: World,
    make: Callable[[World], Awaitable[Verb]],
    reason: str,
    bad: Callable[[Verb], dict[str, str | None]],
) -> None:
    verb = await make(world)
    for name, signature in bad(verb).items():
        await is_refused(verb, signature, reason, name)
    # The same call with a good signature is the control: nothing but the signature was wrong.
    await verb.act(verb.signed())
    assert await steps.findings(world) == []


@pytest.mark.parametrize("make", VERBS)
async def test_a_key_counts_within_its_validity_and_until_it_is_revoked(
    world: World, make: Callable[[World], Awaitable[Verb]]
) -> None:
    verb = await make(world)
    at, hour = now(), timedelta(hours=1)
    await change_key(world, verb.signer, not_after=at)
    await is_refused(verb, verb.signed(), "key_expired")
    await change_key(world, verb.signer, not_before=at + hour, not_after=at + 2 * hour)
    await is_refused(verb, verb.signed(), "key_expired")
    await change_key(world, verb.signer, not_before=at - hour, revoked_at=at)
    await is_refused(verb, verb.signed(), "key_revoked")
    # A key of the same owner for another purpose signs nothing.
    await change_key(world, verb.signer, revoked_at=None, purpose="assertion")
    await is_refused(verb, verb.signed(), "key_unknown")
    await change_key(world, verb.signer, purpose="signature", tenant="bidv")
    await is_refused(verb, verb.signed(), "key_unknown")
    await change_key(world, verb.signer, tenant=worlds.AGENCY if verb.kind is not Kind.ANSWER else verb.signer)
    await verb.act(verb.signed())


@pytest.mark.parametrize("make", VERBS)
@pytest.mark.parametrize("seconds", [-880, 5])
async def test_a_signature_is_good_for_a_quarter_of_an_hour_on_a_clock_that_is_about_right(
    world: World, make: Callable[[World], Awaitable[Verb]], seconds: int
) -> None:
    verb = await make(world)
    await verb.act(verb.signed(iat=int(now().timestamp()) + seconds))


@pytest.mark.parametrize("make", VERBS)
async def test_a_signature_has_one_effect(world: World, make: Callable[[World], Awaitable[Verb]]) -> None:
    first = await make(world)
    jti = uuid4().hex
    await first.act(first.signed(jti=jti))
    second = await make(world)
    await is_refused(second, second.signed(jti=jti), "spent")
    # What another signer calls his has nothing to do with it.
    await second.act(second.signed())


async def test_a_call_that_was_refused_spends_no_signature(world: World) -> None:
    verb = await approval(world)
    signature = verb.signed()
    officers = table(worlds.Officer)
    for active in (False, True):
        changed = sa.update(officers).where(officers.c.id == "approver").values(active=active)
        await world.hub.writer.run(lambda conn, changed=changed: conn.execute(changed))
        if not active:
            with pytest.raises(errors.Forbidden, match=r"authority\.officer_inactive"):
                await verb.act(signature)
    await verb.act(signature)


@pytest.mark.parametrize("make", [approval, review])
async def test_two_signatures_of_one_key_are_one(world: World, make: Callable[[World], Awaitable[Verb]]) -> None:
    verb = await make(world)
    own = world.keys["approver"]
    await change_key(world, "maker", owner_id="approver")
    world.keys["approver"] = world.keys["maker"]
    await is_refused(verb, verb.signed(), "same_key")
    world.keys["approver"] = own
    await verb.act(verb.signed())


@pytest.mark.parametrize("make", [approval, review])
async def test_a_first_signature_whose_key_was_revoked_since_does_not_count(
    world: World, make: Callable[[World], Awaitable[Verb]]
) -> None:
    verb = await make(world)
    await change_key(world, "maker", revoked_at=now())
    await is_refused(verb, verb.signed(), "key_revoked")
    # One that has merely run out was good when it signed.
    await change_key(world, "maker", revoked_at=None, not_after=now())
    await verb.act(verb.signed())


async def test_a_request_from_before_officers_signed_is_never_approved(world: World) -> None:
    verb = await approval(world)
    requests = table(ActionRequest)
    unsigned = sa.update(requests).where(requests.c.id == verb.about).values(signature=None)
    await world.hub.writer.run(lambda conn: conn.execute(unsigned))
    await is_refused(verb, verb.signed(), "missing")


@pytest.mark.parametrize("make", [approval, review])
async def test_a_body_that_was_exchanged_since_it_was_filed_has_no_first_signature(
    world: World, make: Callable[[World], Awaitable[Verb]]
) -> None:
    verb = await make(world)
    assert verb.about is not None
    other = verb.raw.replace(b"9990001112223", b"9990001112224")
    sealed = await sealed_for(world.hub, UUID(str(verb.about)), "requests", verb.about, worlds.AGENCY, other.decode())
    requests = table(ActionRequest)
    exchanged = sa.update(requests).where(requests.c.id == verb.about).values(body_sealed=sealed)
    await world.hub.writer.run(lambda conn: conn.execute(exchanged))
    await is_refused(verb, verb.signed(raw=other), "invalid")
    await is_refused(verb, verb.signed(), "invalid")


async def test_every_spelling_of_one_content_has_one_signature(world: World) -> None:
    verb = await approval(world)
    members = json.loads(verb.raw)
    spelled = json.dumps(dict(reversed(members.items())), indent=3, ensure_ascii=True).encode()
    await verb.act(verb.signed(raw=spelled))
    [row] = await world.rows(ActionRequest)
    assert row["state"] is RequestState.ACTIVE


async def test_what_was_signed_is_kept_word_by_word(world: World) -> None:
    verb = await filing(world)
    signature = verb.signed()
    filed = (await verb.act(signature)).answer
    assert (await steps.request_now(world, filed.id))["signature"] == signature
    assert await world.filed_bytes(filed.id) == verb.raw
    yes = world.sign(Kind.APPROVAL, verb.raw, "approver", filed.id)
    await approve_request.approve(world.hub, world.police, filed.id, "approver", yes)
    assert [row["signature"] for row in await world.rows(Approval)] == [yes]


async def test_received_needs_no_signature_and_a_wrong_one_is_refused_still(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    bank = world.participant(order["participant_id"])
    raw = b'{"outcome": "received"}'
    shape = AcknowledgementBody.model_validate_json(raw)
    with pytest.raises(errors.Forbidden, match=r"signature\.about"):
        wrong = world.sign(Kind.ANSWER, raw, bank.tenant, uuid4())
        await acknowledge_order.acknowledge(world.hub, bank, order["id"], shape, raw, wrong)
    assert (await steps.order_now(world, order))["state"] is OrderState.PLACED
    await acknowledge_order.acknowledge(world.hub, bank, order["id"], shape, raw, None)
    assert (await steps.order_now(world, order))["state"] is OrderState.ACKNOWLEDGED


@pytest.mark.parametrize(
    "body",
    [
        {"outcome": "refused", "refusal_code": "target_closed"},
        {"outcome": "not_mine"},
        {"outcome": "not_mine", "ported_to": "techcombank"},
    ],
)
async def test_every_final_answer_is_signed(world: World, body: dict[str, Any]) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    bank = world.participant(order["participant_id"])
    with pytest.raises(errors.Forbidden, match=r"signature\.missing"):
        shape = AcknowledgementBody.model_validate(body)
        await acknowledge_order.acknowledge(world.hub, bank, order["id"], shape, json.dumps(body).encode(), None)
    assert [row["state"] for row in await world.orders(filed.id)] == [OrderState.PLACED]
    await world.answer(order, **body)
