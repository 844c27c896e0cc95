"""The real application for tests: its doors without a network, clients with real keys, assertions and tokens."""

import base64
import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa
import world as worlds
from builders import table
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlmodel import SQLModel
from world import World

from service import clock, db
from service.models import ActionRequest, AuditEntry, Client, PublicKey
from service.security.signatures import Kind
from workflows.terms import Role

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DAY = timedelta(days=1)
# What an officer signs of the very body that is posted, about the thing in the path.
_ABOUT = {"withdrawals": Kind.WITHDRAWAL, "answers": Kind.REPLY}
_SIGNED = {"approvals": Kind.APPROVAL, "reviews": Kind.REVIEW}
# The keys of all systems that a test made, by their thumbprints.
KNOWN: dict[str, ECKey] = {}


@dataclass
class System:
    """A client system: its id and its private key; ``token`` is the access token it last got."""

    id: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    token: str = ""
    tenant: str = ""

    def __post_init__(self) -> None:
        """Let ``Proofs`` find the key by its thumbprint."""
        KNOWN[self.kid] = self.key

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of its key."""
        return self.key.thumbprint()

    @property
    def headers(self) -> dict[str, str]:
        """What it sends with each call."""
        return {"Authorization": f"DPoP {self.token}"}


class Proofs(httpx.Auth):
    """Adds a fresh proof to each call with the token of a known system, unless the test brings a proof of its own."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the call once, with what it needs."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "DPoP" and "DPoP" not in request.headers:
            key = KNOWN.get(bound_to(token))
            if key is not None:
                request.headers["DPoP"] = prove(key, request, token)
        yield request


def stopped() -> float:
    """A clock that stands, for budgets: how quick the machine is decides nothing."""
    return 0.0


def bound_to(token: str) -> str:
    """Return the thumbprint that a token says it is bound to; nothing where it says none."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return str(claims["cnf"]["jkt"])
    except (IndexError, KeyError, TypeError, ValueError):
        return ""


def prove(key: ECKey, request: httpx.Request, token: str, **claims: Any) -> str:
    """Make the proof for a call, with what a test wants otherwise."""
    given = {
        "htm": request.method,
        "htu": str(request.url.copy_with(query=None, fragment=None)),
        "iat": int(clock.utc_now().timestamp()),
        "jti": uuid4().hex,
        "ath": hashed(token.encode()),
        **({} if request.method in ("GET", "HEAD") else {"bsh": hashed(request.content)}),
        **({"qsh": hashed(request.url.query)} if request.method in ("GET", "HEAD") and request.url.query else {}),
        **claims,
    }
    header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    header["jwk"] = {name: header["jwk"][name] for name in ("kty", "crv", "x", "y")}
    return jwt.encode(header, given, key)


def hashed(raw: bytes) -> str:
    """Return SHA-256 in unpadded base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


class Api:
    """One application on one hub, and the systems that call it."""

    def __init__(self, world: World, http: httpx.AsyncClient, app: FastAPI) -> None:
        self.world = world
        self.hub = world.hub
        self.http = http
        self.http.auth = Proofs()
        self.app = app
        self.police = System("pc02-system")
        self.bank = System("vcb-system")
        self.coordinator = System("desk-system")
        self.admin = System("admin-system")

    async def settle_in(self) -> None:
        """Settle the network in, and enrol a police system, a bank's, a coordinator's and an administrator's."""
        await self.world.settle_in()
        await self.enroll(self.police, worlds.AGENCY, Role.MAKER, Role.APPROVER)
        await self.enroll(self.bank, "vietcombank", Role.PARTICIPANT_OPERATOR)
        await self.enroll(self.coordinator, "hoatoc-hub", Role.COORDINATOR)
        await self.enroll(self.admin, "hoatoc-hub", Role.HUB_ADMIN)

    async def enroll(self, system: System, tenant: str, *roles: Role) -> System:
        """Write a system and its public key, and let it get its first token."""
        system.tenant = tenant

        async def unit(conn: Any) -> None:
            now = await db.now(conn)
            client = {"id": system.id, "tenant": tenant, "roles": list(roles), "active": True, "created_at": now}
            await db.insert_rows(conn, table(Client), [client])
            key = {
                "kid": system.kid,
                "tenant": tenant,
                "owner_kind": "client",
                "owner_id": system.id,
                "purpose": "assertion",
                "jwk": system.key.as_dict(private=False),
                "not_before": now - DAY,
                "not_after": now + DAY,
            }
            key["jwk"] = {name: key["jwk"][name] for name in ("kty", "crv", "x", "y")}
            await db.insert_rows(conn, table(PublicKey), [key])

        await self.hub.writer.run(unit)
        await self.sign_on(system)
        return system

    async def assertion(self, system: System, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Make a client assertion, with what a test wants otherwise."""
        async with self.hub.database.read() as conn:
            now = int((await db.now(conn)).timestamp())
        given = {
            "iss": system.id,
            "sub": system.id,
            "aud": self.hub.settings.address,
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
            **claims,
        }
        return jwt.encode({"alg": "ES256", "typ": "JWT", "kid": system.kid, **(header or {})}, given, system.key)

    async def ask(self, assertion: str) -> httpx.Response:
        """Ask for a token."""
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        return await self.http.post("/oauth/token", data=form)

    async def sign_on(self, system: System) -> None:
        """Let a system get a token at the door."""
        answer = await self.ask(await self.assertion(system))
        assert answer.status_code == 200, answer.text
        system.token = answer.json()["access_token"]

    async def get(self, path: str, who: System, **params: Any) -> httpx.Response:
        """Read as a system."""
        return await self.http.get(path, params=params, headers=who.headers)

    async def post(self, path: str, who: System, body: Any, **headers: str) -> httpx.Response:
        """Post JSON as a system, with the signature that the call needs unless the test brings its own."""
        body, signed = await self.signed(path, who, body)
        return await self.http.post(path, json=body, headers={**who.headers, **signed, **headers})

    async def signed(self, path: str, who: System, body: Any) -> tuple[Any, dict[str, str]]:
        """Return the body and the header with which an officer or a participant signs what is posted to ``path``."""
        verb, about = path.rpartition("/")[2], path.split("/")[3:4]
        if not isinstance(body, dict):
            return body, {}
        raw, officer = json.dumps(body).encode(), body.get("officer_id")
        if verb == "requests" and officer in self.world.keys:
            return body, {"Hoatoc-Signature": self.world.sign(Kind.REQUEST, raw, officer)}
        if verb == "acknowledgements" and who.tenant in self.world.keys:
            return body, {"Hoatoc-Signature": self.world.sign(Kind.ANSWER, raw, who.tenant, about[0])}
        if verb == "etsi" and who.tenant in self.world.keys and (order_id := _hi1_order(body)):
            return body, {"Hoatoc-Signature": self.world.sign(Kind.ANSWER, raw, who.tenant, order_id)}
        if verb in _ABOUT and officer in self.world.keys:
            return body, {"Hoatoc-Signature": self.world.sign(_ABOUT[verb], raw, officer, about[0])}
        if verb == "silence-ends" and {officer, body.get("second_officer_id")} <= self.world.keys.keys():
            plain = {name: value for name, value in body.items() if name != "second_signature"}
            first, second = (
                self.world.sign(Kind.SILENCE, json.dumps(plain).encode(), who_, about[0])
                for who_ in (officer, body.get("second_officer_id"))
            )
            return {"second_signature": second, **body}, {"Hoatoc-Signature": first}
        if verb == "decisions" and officer in self.world.keys and "signature" not in body:
            return {**body, "signature": self.world.sign(Kind.DECISION, raw, officer, about[0])}, {}
        if verb in _SIGNED and officer in self.world.keys and "signature" not in body:
            rows = await self.world.rows(ActionRequest, id=UUID(about[0]))
            if rows:
                filed = await self.world.filed_bytes(rows[0]["id"])
                body = {**body, "signature": self.world.sign(_SIGNED[verb], filed, officer, about[0])}
        return body, {}

    async def file(self, body: Any, key: str | None = None, who: System | None = None) -> httpx.Response:
        """File a request as the police system."""
        return await self.post("/v1/requests", who or self.police, body, **{"Idempotency-Key": key or uuid4().hex})

    async def active(self, body: Any) -> dict[str, Any]:
        """File a request, approve it where that is needed, and return it whole."""
        filed = await self.file(body)
        assert filed.status_code == 201, filed.text
        path = filed.headers["location"]
        if filed.json()["state"] == "awaiting_approval":
            approved = await self.post(f"{path}/approvals", self.police, {"officer_id": "approver"})
            assert approved.status_code == 201, approved.text
        whole: dict[str, Any] = (await self.get(path, self.police)).json()
        return whole

    async def counts(self) -> dict[str, int]:
        """Count the rows of every table but one: each call that may change something leaves its spent proof."""
        async with self.hub.database.read() as conn:
            return {
                name: (await conn.execute(sa.select(sa.func.count()).select_from(rows))).scalar_one()
                for name, rows in SQLModel.metadata.tables.items()
                if name != "spent_identifiers"
            }

    async def facts(self, code: str) -> list[dict[str, Any]]:
        """Return the facts with a code, oldest first."""
        return [row for row in await self.world.rows(AuditEntry) if row["code"] == code]


def _hi1_order(body: dict[str, Any]) -> str | None:
    """The order that an HI1 message answers; None for one that only reads."""
    (action, *_) = body["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]
    made = action.get("UPDATE", {}).get("HI1Object", {})
    return made.get("ExternalIdentifier") or made.get("ObjectIdentifier")


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how many rows each table grew; what did not grow is left out."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}
