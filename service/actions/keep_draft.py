"""A person keeps what was answered of a request that is not filed yet, or throws it away."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db
from service.actions import standing
from service.engine import drafts as engine
from service.engine.hub import Hub
from service.models import Draft, table_of
from service.models.subject_key import KeyOwner
from service.queries import drafts
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import subjects

_DRAFTS = table_of(Draft)
Edit = Callable[[Mapping[str, str]], Mapping[str, str]]


async def save(hub: Hub, principal: Principal, edit: Edit, paper: bytes | None = None) -> Mapping[str, str]:
    """Put what ``edit`` makes of the answers in their place, begin a draft where there is none, return the answers.

    ``edit`` is asked inside the transaction, so that two windows of one person lose nothing of each other's; it may be
    asked more than once. ``paper`` is the file that lies with it from now on; b"" takes it away.
    """
    principal.require(Scope.REQUESTS_WRITE)

    async def unit(conn: AsyncConnection) -> Mapping[str, str]:
        now = await db.now(conn)
        begun = await drafts.find(conn, hub.vault, principal, now)
        if begun is None:
            await _drop(conn, principal)  # one whose time is over, which nobody has swept yet
            insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
            row = {"id": clock.new_id(), "tenant": principal.tenant, "person": principal.client_id}
            empty = insert(_DRAFTS).values(**row, answers_sealed=b"", created_at=now, touched_at=now)
            await conn.execute(empty.on_conflict_do_nothing())
        locked = sa.select(_DRAFTS.c.id, _DRAFTS.c.answers_sealed).where(drafts.own(principal)).with_for_update()
        found = (await conn.execute(locked)).one()
        key = await subjects.of_subject(conn, hub.vault, principal.tenant, KeyOwner.DRAFT, str(found.id), found.id)
        # Read again under the lock: another window may have written since.
        held = "{}"
        if found.answers_sealed:
            held = hub.vault.unseal({key.id: key}, "drafts", found.id, principal.tenant, found.answers_sealed)
        answers = edit(json.loads(held))
        text = json.dumps(answers, ensure_ascii=False, separators=(",", ":"))
        values: dict[str, Any] = {"answers_sealed": hub.vault.seal(key, "drafts", found.id, text), "touched_at": now}
        if paper is not None:
            file = base64.b64encode(paper).decode()
            values["paper_sealed"] = hub.vault.seal(key, "drafts", found.id, file) if paper else None
        await conn.execute(sa.update(_DRAFTS).where(_DRAFTS.c.id == found.id).values(**values))
        await standing.check(conn, principal)
        return answers

    return await standing.run(hub, principal, unit)


async def discard(hub: Hub, principal: Principal) -> None:
    """Throw a person's draft away, with its key."""
    principal.require(Scope.REQUESTS_WRITE)
    await standing.run(hub, principal, lambda conn: _drop(conn, principal))


async def _drop(conn: AsyncConnection, principal: Principal) -> None:
    ids = (await conn.execute(sa.select(_DRAFTS.c.id).where(drafts.own(principal)))).scalars().all()
    if ids:
        await engine.drop(conn, ids, await db.now(conn))
