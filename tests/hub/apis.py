"""The real application for tests: its doors without a network, clients with real keys, assertions and tokens."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import sqlalchemy as sa
import world as worlds
from builders import table
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlmodel import SQLModel
from world import World

from service import db
from service.models import AuditEntry, Client, PublicKey
from workflows.terms import Role

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DAY = timedelta(days=1)


@dataclass
class System:
    """A client system: its id and its private key; ``token`` is the access token it last got."""

    id: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    token: str = ""

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of its key."""
        return self.key.thumbprint()

    @property
    def headers(self) -> dict[str, str]:
        """What it sends with each call."""
        return {"Authorization": f"Bearer {self.token}"}


class Api:
    """One application on one hub, and the systems that call it."""

    def __init__(self, world: World, http: httpx.AsyncClient, app: FastAPI) -> None:
        self.world = world
        self.hub = world.hub
        self.http = http
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
        """Post JSON as a system."""
        return await self.http.post(path, json=body, headers={**who.headers, **headers})

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
        """Count the rows of every table."""
        async with self.hub.database.read() as conn:
            return {
                name: (await conn.execute(sa.select(sa.func.count()).select_from(rows))).scalar_one()
                for name, rows in SQLModel.metadata.tables.items()
            }

    async def facts(self, code: str) -> list[dict[str, Any]]:
        """Return the facts with a code, oldest first."""
        return [row for row in await self.world.rows(AuditEntry) if row["code"] == code]


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how many rows each table grew; what did not grow is left out."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}
