"""A case: the requests about one matter over money, phone and content, and what became of each target."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Case, Order, Target, table_of
from service.queries import visibility
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows import amounts
from workflows.terms import Action, OrderState, RequestState, TargetKind, Urgency

_CASES = table_of(Case)
_ORDERS = table_of(Order)
_REQUESTS = table_of(ActionRequest)
_TARGETS = table_of(Target)

MOST_REQUESTS = 200
MOST_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class Matter:
    """One request of the case."""

    id: UUID
    reference: str
    action: Action
    state: RequestState
    urgency: Urgency
    submitted_at: datetime
    amount: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """What one participant was asked to do with one target, and how far it is; ``from_id`` is the order passed on."""

    id: UUID
    request_id: UUID
    target_id: UUID
    kind: TargetKind
    value: str
    participant_id: str
    action: Action
    state: OrderState
    asked: int | None
    done: int | None
    placed_at: datetime
    from_id: UUID | None

    @property
    def is_partly(self) -> bool:
        """Tell whether less was held, or sent back, than was asked."""
        return amounts.is_partly(self.state, self.asked, self.done)


@dataclass(frozen=True, slots=True)
class Whole:
    """A case as the caller may see it, the oldest first; ``is_cut`` tells that there is more than is shown."""

    number: str
    tenant: str
    opened_at: datetime
    matters: tuple[Matter, ...]
    steps: tuple[Step, ...]
    is_cut: bool


async def of_request(conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID) -> Whole | None:
    """Return the case that a request belongs to, or None where the request is none or not for the caller."""
    query = (
        sa.select(_CASES)
        .join(_REQUESTS, _REQUESTS.c.case_id == _CASES.c.id)
        .where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    )
    case = (await conn.execute(query)).one_or_none()
    if case is None:
        return None
    columns = ("id", "reference", "action", "state", "urgency", "submitted_at", "amount")
    requests = (
        sa.select(*(_REQUESTS.c[name] for name in columns))
        .where(_REQUESTS.c.case_id == case.id, visibility.requests(principal))
        .order_by(_REQUESTS.c.submitted_at, _REQUESTS.c.id)
        .limit(MOST_REQUESTS + 1)
    )
    matters = [Matter(*row) for row in (await conn.execute(requests)).all()]
    ids = [matter.id for matter in matters[:MOST_REQUESTS]]
    orders = (
        sa.select(_ORDERS, _TARGETS.c.kind, _TARGETS.c.value_sealed, _TARGETS.c.tenant.label("owner"))
        .join(_TARGETS, _TARGETS.c.id == _ORDERS.c.target_id)
        .where(_ORDERS.c.request_id.in_(ids))
        .order_by(_ORDERS.c.placed_at, _ORDERS.c.id)
        .limit(MOST_STEPS + 1)
    )
    rows = (await conn.execute(orders)).all()
    keys = await subjects.of(conn, *(row.value_sealed for row in rows))
    steps = [_step(vault, keys, row) for row in rows[:MOST_STEPS]]
    is_cut = len(matters) > MOST_REQUESTS or len(rows) > MOST_STEPS
    return Whole(case.number, case.tenant, case.opened_at, tuple(matters[:MOST_REQUESTS]), tuple(steps), is_cut)


def _step(vault: Vault, keys: Keys, row: sa.Row[Any]) -> Step:
    return Step(
        id=row.id,
        request_id=row.request_id,
        target_id=row.target_id,
        kind=row.kind,
        value=vault.shown(keys, "targets", row.target_id, row.owner, row.value_sealed),
        participant_id=row.participant_id,
        action=row.action,
        state=row.state,
        asked=row.amount,
        done=amounts.done(row.action, row.amount_held, row.amount_returned),
        placed_at=row.placed_at,
        from_id=row.rerouted_from_id,
    )
