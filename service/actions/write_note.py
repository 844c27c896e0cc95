"""Somebody writes down what colleagues must know of a request: for the own house, sealed under the request's key."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import standing
from service.engine import writer
from service.engine.hub import Hub
from service.models import ActionRequest, table_of
from service.models import Note as NoteRow
from service.queries import visibility
from service.schemas.notes import NewNote
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import subjects
from workflows.terms import Fact

_REQUESTS = table_of(ActionRequest)
_NOTES = table_of(NoteRow)
# Who works on requests writes; who only reads them does not.
_WRITERS = frozenset({Scope.REQUESTS_WRITE, Scope.REQUESTS_APPROVE, Scope.TASKS_RESOLVE})


def may(principal: Principal) -> bool:
    """Tell whether the caller works on requests, and may write notes about those that it sees."""
    return not _WRITERS.isdisjoint(principal.scopes)


async def write(hub: Hub, principal: Principal, request_id: UUID, body: NewNote) -> UUID:
    """Keep a note and return its id; that there is one is a fact, what it says is not.

    Raises ``Forbidden`` for who only reads, ``NotFound`` for a request that the caller may not see, ``Conflict``
    (``request.erased``) where nothing may be kept any more, ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.REQUESTS_READ)
    if not may(principal):
        raise errors.Forbidden("note.reader")

    async def unit(conn: AsyncConnection) -> UUID:
        tenant = await _tenant(conn, principal, request_id)
        log = await writer.lock(conn, {audit.request_chain(request_id)})
        await standing.check(conn, principal)
        key = await subjects.of_request(conn, hub.vault, tenant, request_id)
        if hub.vault.is_erased(key):
            raise errors.Conflict("request.erased")
        note_id = clock.new_id()
        row = {
            "id": note_id,
            "tenant": principal.tenant,
            "agency": tenant,
            "request_id": request_id,
            "author": principal.client_id,
            "body_sealed": hub.vault.seal(key, "notes", note_id, body.text),
            "written_at": log.at,
        }
        await db.insert_rows(conn, _NOTES, [row])
        log.record(
            audit.request_chain(request_id),
            Fact.NOTE_WRITTEN,
            principal.actor(),
            tenant,
            request_id=request_id,
            note_id=str(note_id),
        )
        await log.flush()
        return note_id

    return await standing.run(hub, principal, unit)


async def _tenant(conn: AsyncConnection, principal: Principal, request_id: UUID) -> str:
    query = sa.select(_REQUESTS.c.tenant).where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    found: str | None = (await conn.execute(query)).scalar_one_or_none()
    if found is None:
        raise errors.NotFound
    return found
