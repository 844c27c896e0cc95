"""What was sent of one order and what came back: each dispatch with its attempts, each answer with its key."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import Acknowledgement, ActionRequest, Attempt, Dispatch, Order, Target, table_of
from service.queries import visibility
from service.schemas.common import ERASED
from service.security import signatures
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows.terms import Action, Channel, DispatchState, OrderState, Outcome, RefusalCode, TargetKind

_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_ATTEMPTS = table_of(Attempt)
_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)
_REQUESTS = table_of(ActionRequest)
_TARGETS = table_of(Target)


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt: ``answer`` is the head of what came back, None where it is not shown or was reduced."""

    number: int
    node: str
    started_at: datetime
    latency_ms: int
    status: int | None
    error: str | None
    superseded: bool
    answer: str | None
    answer_sha256: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """One dispatch: ``content`` is the message as every attempt sends it, None where it is not shown or is gone."""

    id: UUID
    participant_id: str
    message_type: str
    channel: Channel
    state: DispatchState
    created_at: datetime
    delivered_at: datetime | None
    replayed_at: datetime | None
    content: str | None
    sha256: str | None
    signed_with: str | None
    attempts: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: ``signed_with`` names the key whose signature the hub verified when it took the answer in."""

    outcome: Outcome
    refusal_code: RefusalCode | None
    amount_held: int | None
    amount_returned: int | None
    received_at: datetime
    client_id: str
    contradicts: bool
    sha256: str
    signed_with: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """All that was sent and answered of one order."""

    id: UUID
    request_id: UUID
    original_request_id: UUID | None
    reference: str
    tenant: str
    participant_id: str
    action: Action
    state: OrderState
    is_to_let_go: bool
    placed_at: datetime
    target_kind: TargetKind
    sent: tuple[Sent, ...]
    answers: tuple[Answered, ...]

    def shows_targets_of(self) -> list[UUID]:
        """Return the requests whose targets its messages name: a lift and an extension name those of their original."""
        return [self.request_id] if self.original_request_id is None else [self.request_id, self.original_request_id]


async def tell(
    conn: AsyncConnection, vault: Vault, principal: Principal, order_id: UUID, *, opens: bool
) -> Story | None:
    """Return the story of an order, or None where there is none or it is not for the caller.

    With ``opens`` what was sent is shown as it is: whoever asks for it records that it was read. What an endpoint
    answered is for its own member and for who watches over the hub.
    """
    mine = sa.select(_ORDERS.c.id).where(_ORDERS.c.id == order_id, visibility.orders(principal))
    if (await conn.execute(mine)).first() is None:
        return None
    # What stands around it is its agency's: a participant reads of it what its order says anyway.
    await db.extend(conn, db.HUB)
    query = (
        sa.select(
            _ORDERS, _REQUESTS.c.reference, _REQUESTS.c.original_id.label("about"), _TARGETS.c.kind.label("target_kind")
        )
        .join(_REQUESTS, _REQUESTS.c.id == _ORDERS.c.request_id)
        .join(_TARGETS, _TARGETS.c.id == _ORDERS.c.target_id)
        .where(_ORDERS.c.id == order_id)
    )
    order = (await conn.execute(query)).one()
    # What else hangs on the order, such as the status to its agency, is no participant's.
    to_it = _DISPATCHES.c.participant_id == order.participant_id
    sent = (
        await conn.execute(
            sa.select(_DISPATCHES)
            .where(_DISPATCHES.c.order_id == order_id, to_it)
            .order_by(_DISPATCHES.c.created_at, _DISPATCHES.c.id)
        )
    ).all()
    tried = (
        await conn.execute(
            sa.select(_ATTEMPTS)
            .where(_ATTEMPTS.c.dispatch_id.in_([row.id for row in sent]))
            .order_by(_ATTEMPTS.c.started_at, _ATTEMPTS.c.id)
        )
    ).all()
    answers = (
        await conn.execute(
            sa.select(_ACKNOWLEDGEMENTS)
            .where(_ACKNOWLEDGEMENTS.c.order_id == order_id)
            .order_by(_ACKNOWLEDGEMENTS.c.received_at, _ACKNOWLEDGEMENTS.c.id)
        )
    ).all()
    sealed = [*(row.message_sealed for row in sent), *(row.answer_head_sealed for row in tried)]
    keys = await subjects.of(conn, *sealed)
    sees_answers = visibility.sees_all(principal) or principal.tenant == order.participant_id
    show = _Opening(vault, keys, opens, sees_answers)
    return Story(
        id=order_id,
        request_id=order.request_id,
        original_request_id=order.about,
        reference=order.reference,
        tenant=order.tenant,
        participant_id=order.participant_id,
        action=order.action,
        state=order.state,
        is_to_let_go=order.letting_go_since is not None,
        placed_at=order.placed_at,
        target_kind=order.target_kind,
        sent=tuple(show.sent(row, [each for each in tried if each.dispatch_id == row.id]) for row in sent),
        answers=tuple(_answered(row) for row in answers),
    )


@dataclass(frozen=True, slots=True)
class _Opening:
    vault: Vault
    keys: Keys
    opens: bool
    sees_answers: bool

    def sent(self, row: sa.Row[Any], tried: list[sa.Row[Any]]) -> Sent:
        text = None
        if row.message_sealed:
            shown = self.vault.shown(self.keys, "dispatches", row.id, row.tenant, row.message_sealed)
            text = None if shown == ERASED else shown
        message: dict[str, Any] = json.loads(text) if text else {}
        return Sent(
            id=row.id,
            participant_id=row.participant_id,
            message_type=row.message_type,
            channel=row.channel,
            state=row.state,
            created_at=row.created_at,
            delivered_at=row.delivered_at,
            replayed_at=row.replayed_at,
            content=_written(message) if self.opens and message else None,
            sha256=hashlib.sha256(text.encode()).hexdigest() if text else row.message_sha256,
            signed_with=signatures.key_of(message.get("signature") or ""),
            attempts=tuple(self._tried(row, each) for each in tried),
        )

    def _tried(self, sent: sa.Row[Any], row: sa.Row[Any]) -> Tried:
        answer = None
        if self.opens and self.sees_answers and row.answer_head_sealed:
            answer = self.vault.shown(self.keys, "attempts", sent.id, row.tenant, row.answer_head_sealed)
        return Tried(
            number=row.attempt,
            node=row.node,
            started_at=row.started_at,
            latency_ms=row.latency_ms,
            status=row.status,
            error=row.error,
            superseded=row.superseded,
            answer=answer,
            answer_sha256=row.answer_head_sha256,
        )


def _written(message: dict[str, Any]) -> str:
    return json.dumps(message.get("body", {}), ensure_ascii=False, indent=2)


def _answered(row: sa.Row[Any]) -> Answered:
    return Answered(
        outcome=row.outcome,
        refusal_code=row.refusal_code,
        amount_held=row.amount_held,
        amount_returned=row.amount_returned,
        received_at=row.received_at,
        client_id=row.client_id,
        contradicts=row.contradicts,
        sha256=row.body_sha256,
        signed_with=signatures.key_of(row.signature or ""),
    )
