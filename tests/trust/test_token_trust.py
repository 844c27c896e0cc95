"""T-TOKEN (P8): bad tokens of all three profiles, respelled and mutated, are never taken, and good ones always."""

import base64
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from typing import Any
from urllib.parse import quote

import bad_access
import bad_proofs
import bad_tokens
import httpx
import pytest
import sqlalchemy as sa
import token_forge as forge
import trust_sizes
import world as worlds
from apis import ASSERTION
from builders import table
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from world import World

from service import app as application
from service import clock, db
from service.engine.hub import Hub
from service.models import AuditEntry, Client, PublicKey
from service.security import proofs, tokens
from service.security.keyring import SigningKey
from service.security.proofs import Call
from service.security.refusal import Reason, TokenRefused
from service.web.limits import Limits
from workflows.terms import Role

ENOUGH_CLASSES = 60
CALL = Call(forge.METHOD, forge.ISSUER + forge.PATH, body=forge.BODY)


@dataclass(frozen=True)
class Kind:
    """One profile: its bad tokens, what verifies it, who signs it, and the one good token's header and claims."""

    name: str
    bad: Mapping[str, tuple[str, Reason]]
    verify: Callable[[str], object]
    good: Callable[..., str]
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    key: ec.EllipticCurvePrivateKey


def _verify_assertion(text: str) -> object:
    return tokens.verify_client_assertion(text, key_of=forge.key_of, audience=forge.ISSUER, now=forge.NOW)


def _verify_access(text: str) -> object:
    return tokens.verify_access_token(
        text, key_of=forge.key_of, issuer=forge.ISSUER, audience=forge.ISSUER, now=forge.NOW
    )


def _verify_proof(text: str) -> object:
    return proofs.verify(text, CALL, access_token=forge.ACCESS, jkt=forge.JKT, now=forge.NOW)


KINDS = (
    Kind("assertion", bad_tokens.BAD, _verify_assertion, forge.assertion, forge.HEADER, forge.CLAIMS, forge.KEY),
    Kind(
        "access",
        bad_access.BAD,
        _verify_access,
        forge.access,
        forge.ACCESS_HEADER,
        forge.ACCESS_CLAIMS,
        forge.HUB.private,
    ),
    Kind("proof", bad_proofs.BAD, _verify_proof, forge.proof, forge.PROOF_HEADER, forge.PROOF_CLAIMS, forge.KEY),
)
CLASSES = [(kind, name) for kind in KINDS for name in kind.bad]
LETTERS = st.one_of(st.sampled_from(forge.ALPHABET + "=.+/ \n"), st.characters())
STEPS = st.tuples(
    st.sampled_from(["replace", "insert", "delete", "double", "swap"]),
    st.floats(0, 1, exclude_max=True),
    LETTERS,
)


def mutated(kind: Kind, text: str, steps: list[tuple[str, float, str]]) -> str:
    """Change the text of a token, blindly."""
    for way, where, letter in steps:
        place = int(where * (len(text) or 1))
        match way:
            case "replace":
                text = text[:place] + letter + text[place + 1 :]
            case "insert":
                text = text[:place] + letter + text[place:]
            case "delete":
                text = text[:place] + text[place + 1 :]
            case "double":
                text = text[:place] + text[max(0, place - 40) :]
            case "swap":
                # A segment of a good token in the place of this one's.
                segments, others = text.split("."), kind.good().split(".")
                at = place % len(segments)
                segments[at] = others[at % 3]
                text = ".".join(segments)
    return text


def respelled(kind: Kind, text: str, draw: random.Random) -> str | None:
    """Write the same bad token in another spelling of its JSON and sign it well; None where it cannot be read."""
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in text.split(".")[:2])
        parts = [_spelled(each, draw) for each in (header, claims)]
    except (ValueError, AttributeError, TypeError):
        return None
    made = forge.sealed(*(forge.b64(part.encode()) for part in parts), lambda message: forge.es256(message, kind.key))
    return made if len(made) <= 4096 else None


def _spelled(members: Any, draw: random.Random) -> str:
    names = list(members)
    draw.shuffle(names)
    indent = draw.choice([None, 0, 1])
    spelled = json.dumps({name: members[name] for name in names}, indent=indent, allow_nan=False)
    name = draw.choice(names)
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    return spelled.replace(f'"{name}"', f'"{escaped}"', 1) if draw.random() < 0.5 else spelled


def is_the_good_one(kind: Kind, text: str) -> bool:
    """Judge without the hub's own reader: just the good header and claims, one spelling, and well signed."""
    try:
        raw = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split(".")]
        header, claims = json.loads(raw[0]), json.loads(raw[1])
    except (ValueError, UnicodeError):
        return False
    same = json.dumps([header, claims], sort_keys=True) == json.dumps([kind.header, kind.claims], sort_keys=True)
    if not same or ".".join(map(forge.b64, raw)) != text or len(raw[2]) != 64:
        return False
    r, s = (int.from_bytes(raw[2][at : at + 32], "big") for at in (0, 32))
    signed = text.rpartition(".")[0].encode()
    try:
        kind.key.public_key().verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def test_bad_tokens_are_refused_however_they_are_spelled_or_mutated(record_property: Callable[..., None]) -> None:
    wanted = trust_sizes.size(gate=1_000, full=10_000)
    tried: Counter[str] = Counter()
    classes: set[tuple[str, str]] = set()
    violations: list[str] = []
    turn = cycle(CLASSES)

    def judge(kind: Kind, name: str, way: str, text: str, reason: Reason | None) -> None:
        tried[way] += 1
        classes.add((kind.name, name))
        try:
            kind.verify(text)
        except TokenRefused as refused:
            if reason is not None and refused.reason is not reason:
                violations.append(f"{kind.name}: {name}: {way}: {refused.reason} for {reason}")
        except Exception as error:
            violations.append(f"{kind.name}: {name}: {way}: {type(error).__name__}")
        else:
            if not is_the_good_one(kind, text):
                violations.append(f"{kind.name}: {name}: {way}: taken: {text}")

    @seed(trust_sizes.seed())
    @settings(
        max_examples=wanted // 3 + 1,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(steps=st.lists(STEPS, min_size=1, max_size=3), salt=st.integers(0, 2**32))
    def attack(steps: list[tuple[str, float, str]], salt: int) -> None:
        kind, name = next(turn)
        text, reason = kind.bad[name]
        judge(kind, name, "as it is", text, reason)
        judge(kind, name, "mutated", mutated(kind, text, steps), None)
        judge(kind, name, "good, mutated", mutated(kind, kind.good(), steps), None)
        if reason.partition(".")[0] not in {"form", "json", "signature"}:
            again = respelled(kind, text, random.Random(salt))
            if again is not None:
                judge(kind, name, "respelled and signed", again, reason)

    attack()
    record_property(
        *trust_sizes.figure(
            "P8",
            "T-TOKEN: verifiers",
            n=sum(tried.values()),
            violations=len(violations),
            classes=len(classes),
            respelled=tried["respelled and signed"],
        )
    )
    assert violations == []
    assert sum(tried.values()) >= wanted
    assert len(classes) >= ENOUGH_CLASSES and len({kind for kind, _ in classes}) == 3


def test_a_thousand_good_controls_are_all_accepted(record_property: Callable[..., None]) -> None:
    draw = random.Random(trust_sizes.seed())
    refused: list[str] = []
    controls = 0
    for number in range(334):
        for kind in KINDS:
            controls += 1
            # Another identifier, another spelling, somewhere in the time that it may be used.
            made = forge.T - draw.randrange(0, 60)
            times = {"iat": made} if kind.name == "proof" else {"iat": made, "exp": made + draw.randrange(70, 301)}
            text = respelled(kind, kind.good(jti=f"good-{number}", **times), draw)
            assert text is not None
            try:
                kind.verify(text)
            except TokenRefused as refusal:
                refused.append(f"{kind.name}: {refusal.reason}")
    record_property(*trust_sizes.figure("P8", "T-TOKEN: good controls", n=controls, violations=len(refused)))
    assert refused == []
    assert controls >= 1_000


@dataclass(frozen=True)
class Door:
    """The real door at the forge's own address and instant, with the forge's clients enrolled."""

    http: httpx.AsyncClient
    hub: Hub

    async def send(self, kind: Kind, text: str) -> httpx.Response:
        """Bring a token of one profile to where it is used, as bytes: a client library would refuse to send some."""
        raw = text.encode("utf-8", "surrogatepass")
        if kind.name == "assertion":
            form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION}
            content = f"{httpx.QueryParams(form)}&client_assertion={quote(raw)}".encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return await self.http.post("/oauth/token", content=content, headers=headers)
        token, proof = (raw, forge.proof().encode()) if kind.name == "access" else (forge.ACCESS.encode(), raw)
        given = [(b"Authorization", b"DPoP " + token), (b"DPoP", proof), (b"Content-Type", b"application/json")]
        return await self.http.post(forge.PATH, content=forge.BODY, headers=given)

    async def refusals(self) -> list[dict[str, Any]]:
        """Return what the facts of refused tokens say, oldest first."""
        entries = table(AuditEntry)
        query = sa.select(entries.c.data).where(entries.c.code == "token.refused").order_by(entries.c.sequence)
        async with self.hub.database.read() as conn:
            return [json.loads(data) for data in (await conn.execute(query)).scalars()]


@pytest.fixture
async def door(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """A hub that is where and when the forge's tokens are good."""
    following = SigningKey.generate(not_before=forge.NOW, not_after=forge.NOW + 90 * forge.DAY)
    settings_there = hub.settings.model_copy(update={"issuer": forge.ISSUER})
    there = replace(hub, settings=settings_there, signing=(forge.HUB, following))
    await World(there).settle_in()
    await there.writer.run(enrol)
    app = application.create_app(there)
    app.state.limits = {name: Limits(1_000_000, 10_000_000) for name in app.state.limits}
    monkeypatch.setattr(clock, "utc_now", lambda: forge.NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=forge.ISSUER) as http:
        yield Door(http, there)


def shows(told: str, token: str) -> bool:
    """Tell whether a text holds a part of a token."""
    return any(len(part) > 20 and part in told for part in token.split("."))


async def enrol(conn: Any) -> None:
    """Register the forge's two clients, and keys under the names that its bad tokens use."""
    early = forge.NOW + timedelta(microseconds=1)
    keys = [
        (forge.CLIENT, forge.JKT, forge.KEY, "assertion", forge.NOW - forge.DAY, forge.NOW + forge.DAY),
        (forge.CLIENT, "k1", forge.KEY, "assertion", forge.NOW - forge.DAY, forge.NOW + forge.DAY),
        (forge.CLIENT, "ended", forge.KEY, "assertion", forge.NOW - forge.DAY, forge.NOW),
        (forge.CLIENT, "early", forge.KEY, "assertion", early, forge.NOW + forge.DAY),
        (forge.CLIENT, "purpose", forge.KEY, "signature", forge.NOW - forge.DAY, forge.NOW + forge.DAY),
        (forge.OTHER, "k2", forge.OTHER_KEY, "assertion", forge.NOW - forge.DAY, forge.NOW + forge.DAY),
    ]
    for client, tenant, role in (
        (forge.CLIENT, worlds.AGENCY, Role.MAKER),
        (forge.OTHER, "vietcombank", Role.PARTICIPANT_OPERATOR),
    ):
        row = {"id": client, "tenant": tenant, "roles": [role], "active": True, "created_at": forge.NOW}
        await db.insert_rows(conn, table(Client), [row])
        rows = [
            {
                "kid": kid,
                "tenant": tenant,
                "owner_kind": "client",
                "owner_id": owner,
                "purpose": purpose,
                "jwk": {**forge.public_jwk(private), "kid": kid},
                "not_before": begins,
                "not_after": ends,
            }
            for owner, kid, private, purpose, begins, ends in keys
            if owner == client
        ]
        await db.insert_rows(conn, table(PublicKey), rows)


async def test_the_door_answers_every_bad_token_alike_and_keeps_why_without_the_token(
    door: Door, record_property: Callable[..., None]
) -> None:
    draw = random.Random(trust_sizes.seed())
    attacks = [(kind, name, *kind.bad[name]) for kind, name in CLASSES]
    # Then the same again in other spellings, which end at the same check.
    while len(attacks) < trust_sizes.size(gate=len(CLASSES), full=2_000):
        kind, name = draw.choice(CLASSES)
        text, reason = kind.bad[name]
        if reason.partition(".")[0] not in {"form", "json", "signature"}:
            again = respelled(kind, text, draw)
            if again is not None:
                attacks.append((kind, name, again, reason))
    wrong: list[str] = []
    expected: list[str] = []
    answers = set()
    for kind, name, text, reason in attacks:
        answer = await door.send(kind, text)
        about = f"{kind.name}: {name}: {answer.status_code}"
        if kind.name == "assertion" and answer.status_code in (400, 413):
            # No form at all (control characters, no UTF-8, too long), refused before anybody looks for a token.
            if reason not in (Reason.ALPHABET, Reason.TOO_LONG):
                wrong.append(about)
        elif answer.status_code != 401:
            wrong.append(about)
        elif answer.json()["code"] == "token.refused":
            # The registry's own look-ups know no key for another purpose.
            expected.append(Reason.KEY_UNKNOWN if reason is Reason.KEY_PURPOSE else reason)
            answers.add(answer.content)
        elif text or answer.json()["code"] != "token.missing":
            wrong.append(about)
        if shows(answer.text, text):
            wrong.append(f"{about}: told")
    facts = await door.refusals()
    kept = json.dumps(facts)
    told = [fact["reason"] for fact in facts]
    wrong += [f"fact {at}: {pair}" for at, pair in enumerate(zip(told, expected, strict=False)) if pair[0] != pair[1]]
    wrong += [f"{name} is in a fact" for _, name, text, _ in attacks if shows(kept, text)]
    record_property(
        *trust_sizes.figure(
            "P8",
            "T-TOKEN: the door",
            n=len(attacks),
            violations=len(wrong),
            facts=len(facts),
            database=door.hub.database.dialect,
        )
    )
    assert wrong == []
    assert len(facts) == len(expected) and len(answers) == 1


async def test_good_tokens_of_all_profiles_pass_the_door(door: Door, record_property: Callable[..., None]) -> None:
    refused = []
    controls = trust_sizes.size(gate=50, full=350)
    for number in range(controls):
        issued = await door.send(KINDS[0], forge.assertion(jti=f"good-{number}"))
        if issued.status_code != 200:
            refused.append(issued.text)
            continue
        token = issued.json()["access_token"]
        target = f"{forge.ISSUER}/v1/requests"
        reading = {"htm": "GET", "htu": target, "bsh": forge.DROP, "qsh": forge.hashed(b"limit=1")}
        proof = forge.proof(**reading, ath=forge.hashed(token.encode()), jti=f"r-{number}")
        read = await door.http.get("/v1/requests?limit=1", headers={"Authorization": f"DPoP {token}", "DPoP": proof})
        # The client may not write to the registry: whoever is told that has come past token and proof.
        changed = await door.send(KINDS[2], forge.proof(jti=f"c-{number}"))
        if (read.status_code, changed.status_code) != (200, 403):
            refused.append(f"{read.status_code} {changed.status_code}")
    record_property(
        *trust_sizes.figure(
            "P8",
            "T-TOKEN: good controls at the door",
            n=3 * controls,
            violations=len(refused),
            database=door.hub.database.dialect,
        )
    )
    assert refused == [] and await door.refusals() == []
