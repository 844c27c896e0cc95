"""An order as a letter: read as whoever asks may read it, worded, laid out and sealed by the hub's order key."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.letter import page
from service import db, errors
from service.actions import note_reading
from service.actions.letter_wording import Over, Wording
from service.engine.hub import Hub
from service.models import Participant, table_of
from service.queries import inbox
from service.schemas.orders import ParticipantOrder
from service.security import keyring, signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import states
from workflows.terms import Action, Door, Sector, View

_PARTICIPANTS = table_of(Participant)


@dataclass(frozen=True, slots=True)
class _Found:
    order: ParticipantOrder
    sent_at: datetime
    now: datetime
    names: dict[str, str]


def scope(principal: Principal) -> Scope:
    """Return the scope that opens a letter: an agency reads what it demanded, anybody else an order."""
    return Scope.REQUESTS_READ if principal.sector is Sector.AGENCY else Scope.ORDERS_READ


async def write(hub: Hub, principal: Principal, door: Door, order_id: UUID, lang: str) -> bytes:
    """Return the letter of an order as a sealed PDF/A, in ``vi`` or ``en``; that it was opened is a fact.

    Raises ScopeMissing, NotFound for an order that the caller may not see, Conflict ``request.erased`` where nothing
    is left to be read, and Unavailable where the reading cannot be recorded.
    """
    principal.require(scope(principal))
    async with hub.database.read(principal.reach) as conn:
        found = await _find(conn, hub, principal, order_id)
    if found is None:
        raise errors.NotFound
    if found.order.erased:
        raise errors.Conflict("request.erased")
    body = found.order.body
    await note_reading.opened(hub, principal, door, View.LETTER, [UUID(body["request_id"])], order_id=str(order_id))
    return await asyncio.to_thread(_make, hub, found, lang)


async def _find(conn: AsyncConnection, hub: Hub, principal: Principal, order_id: UUID) -> _Found | None:
    order = await inbox.order(conn, hub.vault, principal, order_id)
    if order is None:
        return None
    message = inbox.latest(order_id).subquery()
    query = sa.select(message.c.created_at, _PARTICIPANTS.c.name_vi, _PARTICIPANTS.c.name_en).join(
        _PARTICIPANTS, _PARTICIPANTS.c.id == message.c.participant_id
    )
    row = (await conn.execute(query)).one()
    return _Found(order, row.created_at, await db.now(conn), {"vi": row.name_vi, "en": row.name_en})


def _make(hub: Hub, found: _Found, lang: str) -> bytes:
    from adapters.letter import seal  # noqa: PLC0415 - what it stands on takes as long to load as a quarter of the hub

    body, signature = found.order.body, found.order.signature or ""
    # The order keeps the signature that it was placed with; the paper is sealed by the key of today.
    key = keyring.in_force(hub.order_keys, found.now)
    wording = Wording(lang, found.names[lang], hub.settings.address, signatures.key_of(signature) or "")
    # A messenger may carry it for an hour: what was ended meanwhile must not be ordered by paper.
    is_over = states.is_over(found.order.state, Action(body["action"]))
    over = Over(found.order.state, found.now) if is_over else None
    made = page.lay_out(wording.letter(body, signature, found.sent_at, over))
    by = seal.self_made(key.private, key.kid, hub.settings.address, key.not_before, key.not_after)
    return seal.seal(made, by, reason=wording.reason(body), place=hub.settings.address)
