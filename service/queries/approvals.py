"""What a second officer is shown before he signs: the very text, what it waits for, who spoke already, and his keys."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Approval, Officer, PublicKey, table_of
from service.queries import visibility
from service.security import signatures
from service.security.principals import Principal
from service.security.signatures import Kind
from service.vault import Vault, subjects
from workflows import authority
from workflows.terms import RequestState, Sector

_REQUESTS = table_of(ActionRequest)
_APPROVALS = table_of(Approval)
_OFFICERS = table_of(Officer)
_KEYS = table_of(PublicKey)


@dataclass(frozen=True, slots=True)
class Said:
    """What a second officer has said already: ``kind`` is approval or review."""

    kind: str
    officer_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Paper:
    """The text that is signed.

    ``reference`` is the request's, by which the text's file is called; ``content`` is the RFC 8785 form of what the
    first officer filed, ``body`` the same as values, ``digest`` its SHA-256 in hex; ``awaits`` is the kind of signature
    that is missing (None: nothing is asked for any more).
    """

    reference: str
    content: str
    body: Mapping[str, Any]
    digest: str
    awaits: Kind | None
    held_bounds: tuple[str, ...]
    said: Sequence[Said]


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of the reader's that counts now; one with a ``credential_id`` is a passkey."""

    kid: str
    credential_id: str | None
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Signer:
    """The officer who reads: by rank and number, whether he serves now, and with which keys he may sign."""

    id: str
    rank: str
    number: str
    serves: bool
    keys: Sequence[OwnKey]


async def paper(
    conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID, now: datetime
) -> Paper | None:
    """Return what there is to sign, or None unless it is a request of the caller's own agency. Raises ``Erased``."""
    query = sa.select(_REQUESTS).where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    row = (await conn.execute(query)).one_or_none()
    if row is None or not visibility.owns(principal, row.tenant):
        return None
    keys = await subjects.of(conn, row.body_sealed)
    content = signatures.canonical(vault.unseal(keys, "requests", row.id, row.tenant, row.body_sealed).encode())
    spoken = sa.select(_APPROVALS).where(_APPROVALS.c.request_id == request_id, _APPROVALS.c.kind != "silence")
    said = (await conn.execute(spoken.order_by(_APPROVALS.c.approved_at, _APPROVALS.c.id))).all()
    return Paper(
        reference=row.reference,
        content=content.decode(),
        body=json.loads(content),
        digest=hashlib.sha256(content).hexdigest(),
        awaits=awaited(row, now),
        held_bounds=tuple(row.held_bounds or ()) if row.state is RequestState.HELD_FOR_CALLBACK else (),
        said=[Said(each.kind, each.officer_id, each.approved_at) for each in said],
    )


async def signer(conn: AsyncConnection, principal: Principal, now: datetime) -> Signer | None:
    """Return the officer that the caller is, or None for a person who is no officer of an agency."""
    query = sa.select(_OFFICERS).where(_OFFICERS.c.id == principal.client_id, _OFFICERS.c.tenant == principal.tenant)
    row = (await conn.execute(query)).one_or_none()
    if row is None or principal.sector is not Sector.AGENCY:
        return None
    keys = (
        sa.select(_KEYS)
        .where(
            _KEYS.c.owner_kind == "officer",
            _KEYS.c.owner_id == row.id,
            _KEYS.c.tenant == row.tenant,
            _KEYS.c.revoked_at.is_(None),
            _KEYS.c.not_before <= now,
            _KEYS.c.not_after > now,
        )
        .order_by(_KEYS.c.not_before, _KEYS.c.kid)
    )
    own = [
        OwnKey(each.kid, each.credential_id, each.not_before, each.not_after)
        for each in (await conn.execute(keys)).all()
    ]
    return Signer(row.id, row.rank, row.number, authority.is_serving(row.active, row.appointed_until, now), own)


def awaited(row: sa.Row[Any], now: datetime) -> Kind | None:
    """Return the kind of signature that a request (its row) still waits for, None once its time has passed."""
    if row.state is RequestState.AWAITING_APPROVAL:
        return Kind.APPROVAL if row.ends_at is None or now < row.ends_at else None
    unreviewed = row.review_by is not None and row.reviewed_at is None and now < row.review_by
    return Kind.REVIEW if row.state is RequestState.ACTIVE and unreviewed else None
