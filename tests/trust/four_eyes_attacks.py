"""How one person, or two who may not, try to make a hold active: each attack is one attempt on requests that wait.

An attack leaves the world as it found it, so that the request it failed on can still be approved by two.
"""

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
import world as worlds
from builders import table
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc.jwk import ECKey
from opening import sealed_for
from world import World

from service import clock, db, errors
from service.actions import approve_request
from service.engine.hub import Hub
from service.models import ActionRequest, Officer, Participant, PublicKey
from service.security import signatures
from service.security.principals import Principal
from service.security.signatures import Kind
from workflows.terms import Role, Sector

OTHER_AGENCY = "ca-tinh-01"
ALL_POWERS = ["order", "approve", "emergency"]
# Besides the maker and the approver; who of them may second a request is said where they are used.
OFFICERS: dict[str, dict[str, Any]] = {
    "second": {},
    "powerless": {"powers": ["order", "emergency"]},
    "lieutenant": {"rank": "thieu_uy"},
    "retired": {"appointed_until": timedelta(days=-1)},
    "suspended": {"active": False},
    "stranger": {"tenant": OTHER_AGENCY},
}


class Attacks:
    """The attackers' hands: every officer's key, every signature that was seen, several nodes to try at once."""

    def __init__(self, world: World, hubs: list[Hub], chance: random.Random) -> None:
        self.world, self.hubs, self.chance = world, hubs, chance
        self.seen: list[str] = []
        self.faults: list[str] = []
        self.strangers = worlds._principal("other", OTHER_AGENCY, Sector.AGENCY, Role.MAKER, Role.APPROVER)

    async def enrol(self) -> None:
        """Enrol everybody, each with a key, the first officer with every power that he could misuse."""
        officers, world = table(Officer), self.world

        async def unit(conn: Any) -> None:
            now = await db.now(conn)
            agency = (
                await conn.execute(sa.select(table(Participant)).where(table(Participant).c.id == worlds.AGENCY))
            ).one()
            await db.insert_rows(conn, table(Participant), [{**agency._mapping, "id": OTHER_AGENCY}])
            first = sa.update(officers).where(officers.c.id == "maker")
            await conn.execute(first.values(powers=ALL_POWERS, rank="thieu_ta"))
            [like] = (await conn.execute(sa.select(officers).where(officers.c.id == "approver"))).all()
            for name, changes in OFFICERS.items():
                made = {**like._mapping, "id": name, "number": name, **changes}
                if name == "retired":
                    made["appointed_until"] = now + changes["appointed_until"]
                await db.insert_rows(conn, officers, [made])
                await db.insert_rows(conn, table(PublicKey), [world.new_key("officer", name, made["tenant"], now)])

        await world.hub.writer.run(unit)

    async def sign(
        self, request_id: UUID, who: str, *, key: ECKey | None = None, raw: bytes | None = None, **header: Any
    ) -> str:
        """Sign an approval of a request as somebody; whatever is passed is what is wrong with it."""
        key = key or self.world.keys[who]
        members = {"alg": "ES256", "typ": str(Kind.APPROVAL), "kid": self.world.keys[who].thumbprint()}
        members |= {"iat": int(clock.utc_now().timestamp()), "jti": uuid4().hex, "sub": str(request_id)}
        members |= {"aud": self.world.hub.settings.address, **header}
        payload = signatures.canonical(raw or await self.world.filed_bytes(request_id))
        encoded = _encode(json.dumps(members).encode())
        private: Any = key.private_key
        r, s = utils.decode_dss_signature(
            private.sign(signatures.signing_input(encoded, payload), ec.ECDSA(hashes.SHA256()))
        )
        return f"{encoded}..{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    async def attempt(
        self, request_id: UUID, officer: str, signature: str | None, *, by: Principal | None = None, verb: Any = None
    ) -> bool:
        """Approve on one of the nodes and tell whether it was taken; anything but a refusal is a fault."""
        hub, verb = self.chance.choice(self.hubs), verb or approve_request.approve
        try:
            await verb(hub, by or self.world.police, request_id, officer, signature)
        except errors.HubError as refused:
            if refused.status >= 500:
                self.faults.append(repr(refused))
            return False
        except Exception as fault:
            self.faults.append(repr(fault))
            return False
        return True

    async def approved(self, request_id: UUID, officer: str = "approver") -> bool:
        """Approve as two may, and remember the signature for later."""
        signature = await self.sign(request_id, officer)
        self.seen.append(signature)
        return await self.attempt(request_id, officer, signature)

    @contextlib.asynccontextmanager
    async def changed(self, model: Any, where: Any, **values: Any) -> AsyncIterator[None]:
        """Let a row be another one for a while."""
        rows = table(model)
        async with self.world.hub.database.read() as conn:
            [before] = (await conn.execute(sa.select(rows).where(where(rows.c)))).all()
        write = self.world.hub.writer.run
        await write(lambda conn: conn.execute(sa.update(rows).where(where(rows.c)).values(**values)))
        kept = {name: before._mapping[name] for name in values}
        try:
            yield
        finally:
            primary = [column == before._mapping[column.name] for column in rows.primary_key.columns]
            await write(lambda conn: conn.execute(sa.update(rows).where(*primary).values(**kept)))

    def officer(self, name: str, **values: Any) -> Any:
        return self.changed(Officer, lambda columns: columns.id == name, **values)

    def key(self, name: str, **values: Any) -> Any:
        kid = self.world.keys[name].thumbprint()
        return self.changed(PublicKey, lambda columns: columns.kid == kid, **values)

    # Each takes a request that waits, and a twin of it with the same content that waits too.

    async def alone(self, one: UUID, _: UUID) -> None:
        await self.attempt(one, "maker", await self.sign(one, "maker"))

    async def alone_with_the_seconds_hand(self, one: UUID, _: UUID) -> None:
        await self.attempt(one, "maker", await self.sign(one, "approver"))

    async def alone_in_the_seconds_name(self, one: UUID, _: UUID) -> None:
        await self.attempt(one, "approver", await self.sign(one, "maker"))

    async def alone_under_the_seconds_kid(self, one: UUID, _: UUID) -> None:
        await self.attempt(one, "approver", await self.sign(one, "approver", key=self.world.keys["maker"]))

    async def one_key_for_two(self, one: UUID, _: UUID) -> None:
        async with self.key("maker", owner_id="approver"):
            await self.attempt(one, "approver", await self.sign(one, "maker"))

    async def another_agencys_system(self, one: UUID, _: UUID) -> None:
        for officer in ("stranger", "approver"):
            await self.attempt(one, officer, await self.sign(one, officer), by=self.strangers)

    async def another_agencys_officer(self, one: UUID, _: UUID) -> None:
        for officer in ("stranger", "approver"):
            await self.attempt(one, officer, await self.sign(one, "stranger"))

    async def somebody_who_may_not(self, one: UUID, _: UUID) -> None:
        for officer in ("powerless", "lieutenant", "retired", "suspended", "nobody"):
            await self.attempt(one, officer, await self.sign(one, officer if officer != "nobody" else "approver"))

    async def a_role_that_expired(self, one: UUID, _: UUID) -> None:
        whose = self.chance.choice(("maker", "approver"))
        lost = {"active": False}, {"appointed_until": clock.utc_now()}, {"rank": "thieu_uy"}, {"powers": ["emergency"]}
        async with self.officer(whose, **self.chance.choice(lost)):
            await self.attempt(one, "approver", await self.sign(one, "approver"))

    async def a_key_that_does_not_count(self, one: UUID, _: UUID) -> None:
        now, day = clock.utc_now(), timedelta(days=1)
        dead = {"not_after": now}, {"not_before": now + day}, {"revoked_at": now}, {"purpose": "assertion"}
        async with self.key("approver", **self.chance.choice(dead)):
            await self.attempt(one, "approver", await self.sign(one, "approver"))
        async with self.key("maker", revoked_at=now):
            await self.attempt(one, "approver", await self.sign(one, "approver"))
        await self.attempt(one, "approver", await self.sign(one, "approver", key=ECKey.generate_key("P-256")))

    async def a_changed_body(self, one: UUID, _: UUID) -> None:
        raw = self._changed(await self.world.filed_bytes(one))
        await self.attempt(one, "approver", await self.sign(one, "approver", raw=raw))

    async def an_exchanged_body(self, one: UUID, _: UUID) -> None:
        raw = self._changed(await self.world.filed_bytes(one))
        sealed = await sealed_for(self.world.hub, one, "requests", one, worlds.AGENCY, raw.decode())
        async with self.changed(ActionRequest, lambda columns: columns.id == one, body_sealed=sealed):
            await self.attempt(one, "approver", await self.sign(one, "approver"))

    async def a_signature_for_its_twin(self, one: UUID, twin: UUID) -> None:
        await self.attempt(one, "approver", await self.sign(twin, "approver"))

    async def whatever_was_seen(self, one: UUID, _: UUID) -> None:
        [row] = await self.world.rows(ActionRequest, id=one)
        replayed = [row["signature"], *self.chance.sample(self.seen, min(3, len(self.seen)))]
        await asyncio.gather(*(self.attempt(one, "approver", signature) for signature in replayed))

    async def a_signature_of_something_else(self, one: UUID, _: UUID) -> None:
        kind = self.chance.choice([kind for kind in Kind if kind is not Kind.APPROVAL])
        await self.attempt(one, "approver", await self.sign(one, "approver", typ=str(kind)))

    async def as_a_review(self, one: UUID, _: UUID) -> None:
        for kind in (Kind.REVIEW, Kind.APPROVAL):
            signature = await self.sign(one, "approver", typ=str(kind))
            await self.attempt(one, "approver", signature, verb=approve_request.review)

    async def none_or_not_now(self, one: UUID, _: UUID) -> None:
        now = int(clock.utc_now().timestamp())
        late = [await self.sign(one, "approver", iat=now + seconds) for seconds in (-1_000, 60)]
        for signature in (None, "", "..", *late):
            await self.attempt(one, "approver", signature)

    async def two_halves_at_once(self, one: UUID, twin: UUID) -> None:
        halves: list[Awaitable[bool]] = [
            self.attempt(one, "maker", await self.sign(one, "maker")),
            self.attempt(one, "approver", await self.sign(one, "second")),
            self.attempt(one, "second", await self.sign(twin, "second")),
            self.attempt(one, "lieutenant", await self.sign(one, "lieutenant")),
            self.attempt(one, "stranger", await self.sign(one, "stranger"), by=self.strangers),
        ]
        self.chance.shuffle(halves)
        await asyncio.gather(*halves)

    def _changed(self, raw: bytes) -> bytes:
        body = json.loads(raw)
        changes: list[Callable[[], None]] = [
            lambda: body["amount"].update(value="1500000000"),
            lambda: body["target"].update(value="9990001119999"),
            lambda: body["target"].update(holder_name="NGUYEN VAN KHAC"),
            lambda: body["document"].update(sha256="cd" * 32),
            lambda: body.update(case_number="99/2026/CA"),
            lambda: body.update(officer_id="second"),
            lambda: body.update(ends_at="2026-12-24T00:00:00Z"),
            lambda: body.pop("contact"),
        ]
        self.chance.choice(changes)()
        return json.dumps(body).encode()

    # These consume what they are tried on: the request is over, or exactly one of several may become active.

    async def after_its_withdrawal(self, one: UUID) -> None:
        signature = await self.sign(one, "approver")
        await self.world.withdraw(one)
        await self.attempt(one, "approver", signature)

    async def one_signature_on_two(self, one: UUID, twin: UUID) -> list[UUID]:
        signature = await self.sign(one, "approver")
        return await self._race({one: signature, twin: signature})

    async def one_identifier_on_two(self, one: UUID, twin: UUID) -> list[UUID]:
        jti = uuid4().hex
        return await self._race({each: await self.sign(each, "approver", jti=jti) for each in (one, twin)})

    async def _race(self, signed: dict[UUID, str]) -> list[UUID]:
        done = await asyncio.gather(*(self.attempt(one, "approver", signature) for one, signature in signed.items()))
        return [one for one, taken in zip(signed, done, strict=True) if taken]

    async def two_approvals_of_one(self, one: UUID) -> int:
        yes = [(who, await self.sign(one, who)) for who in ("approver", "second", "approver")]
        return sum(await asyncio.gather(*(self.attempt(one, who, signature) for who, signature in yes)))


HOPELESS = (
    Attacks.alone,
    Attacks.alone_with_the_seconds_hand,
    Attacks.alone_in_the_seconds_name,
    Attacks.alone_under_the_seconds_kid,
    Attacks.one_key_for_two,
    Attacks.another_agencys_system,
    Attacks.another_agencys_officer,
    Attacks.somebody_who_may_not,
    Attacks.a_role_that_expired,
    Attacks.a_key_that_does_not_count,
    Attacks.a_changed_body,
    Attacks.an_exchanged_body,
    Attacks.a_signature_for_its_twin,
    Attacks.whatever_was_seen,
    Attacks.a_signature_of_something_else,
    Attacks.as_a_review,
    Attacks.none_or_not_now,
    Attacks.two_halves_at_once,
)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
