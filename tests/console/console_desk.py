"""A served hub with a settled network, where officers really sign; at a name, as passkeys want it."""

import functools
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from builders import table
from console_site import Site
from joserfc.jwk import ECKey
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY, World

from service import db
from service.actions import changes, enroll_key
from service.engine import owing
from service.models import ActionRequest, Approval, Deadline, Officer
from service.schemas.registry import KeyEnrolled, NewKey
from service.security.signatures import Kind


class Desk(Site):
    """A hub with an agency, its officers and their keys, and banks; ``world`` does what their systems do."""

    host = "localhost"
    world: World

    async def fill(self) -> None:
        """Write the network of the hub's own tests; its officers rank high enough for a whole account."""
        self.world = World(self.hub)
        await self.world.settle_in()
        officers = table(Officer)
        for name, rank in (("maker", "thuong_ta"), ("approver", "dai_ta")):
            ranked = sa.update(officers).where(officers.c.id == name).values(rank=rank)
            await self.hub.writer.run(functools.partial(_execute, ranked), reach=db.HUB)

    def file(self, body: Mapping[str, Any]) -> UUID:
        """File a request as the first officer."""
        return self.run(self.world.submit(body)).id

    def page(self, request_id: UUID) -> str:
        """Return the address of the page on which a request is signed."""
        return f"{self.address}/requests/{request_id}/approve"

    def state(self, request_id: UUID) -> str:
        """Return the state of a request."""
        (row,) = self.run(self.world.rows(ActionRequest, id=request_id))
        return str(row["state"])

    def signed(self, request_id: UUID) -> list[dict[str, Any]]:
        """Return what second officers said of a request."""
        return self.run(self.world.rows(Approval, request_id=request_id))

    def sign(self, request_id: UUID, who: str = "approver", kind: Kind = Kind.APPROVAL) -> str:
        """Sign a request as ``hoatoc sign`` does, on the officer's own machine."""
        return self.world.sign(kind, self.run(self.world.filed_bytes(request_id)), who, request_id)

    def make_late(self, *subjects: UUID, stage: str) -> None:
        """Let the deadline of a stage of these orders or requests have come a minute ago, and fire what is due."""
        deadlines = table(Deadline)

        async def unit(conn: AsyncConnection) -> None:
            now = await db.now(conn)
            mine = sa.and_(deadlines.c.subject_id.in_(subjects), deadlines.c.stage == stage, deadlines.c.rung == 0)
            moved = {"started_at": now - timedelta(minutes=5), "due_at": now - timedelta(minutes=1)}
            await conn.execute(sa.update(deadlines).where(mine).values(moved))
            await owing.renew(conn, subjects)

        self.run(self.hub.writer.run(unit, reach=db.HUB))
        self.run(self.world.fire())

    def key_file(self, folder: Path, who: str = "approver") -> Path:
        """Write an officer's private key into a file."""
        return key_file(folder, self.world.keys[who])

    def register(self, officer: str, jwk: Mapping[str, str], credential_id: str | None = None) -> KeyEnrolled:
        """Register a key as the hub's administrator."""
        public = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        body = NewKey.model_validate({"officer_id": officer, "key": public, "credential_id": credential_id})
        return self.run(enroll_key.enroll(self.hub, changes.local_administrator("root"), AGENCY, body))


async def _execute(statement: Any, conn: AsyncConnection) -> None:
    await conn.execute(statement)


def key_file(folder: Path, key: ECKey) -> Path:
    """Write a private key into a file, as the page for keys and ``hoatoc keygen`` do."""
    path = folder / "officer.jwk"
    path.write_text(json.dumps(key.as_dict(private=True)))
    return path
