"""An answer about to be taken, and what every kind of answer shares: moving, settling, recording, telling."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.audit import Log
from service.engine import owing, placing, settling, statuses, tasks
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import Order, Task, table_of
from service.queries import visibility
from service.schemas.orders import AcknowledgementBody
from service.security.principals import Principal
from workflows import states
from workflows.terms import Actor, Fact, OrderState, RefusalCode, Stage, TaskKind

_ORDERS = table_of(Order)
_TASKS = table_of(Task)


async def answerable(conn: AsyncConnection, principal: Principal, order_id: UUID) -> Row:
    """Return the row of an order that the caller may answer; another's is as unknown as none. Raises ``NotFound``."""
    query = sa.select(_ORDERS).where(_ORDERS.c.id == order_id, visibility.answerable(principal))
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return dict(row._mapping)


@dataclass(frozen=True, slots=True)
class Onward:
    """Where "not mine, ported to X" sends an order, and the holds that it meets there."""

    placement: placing.Placement | None
    overlaps: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer about to be taken, with the rows it touches, all read under the lock of their chains."""

    conn: AsyncConnection
    hub: Hub
    log: Log
    actor: Actor
    body: AcknowledgementBody
    # To the answer's bytes as received: each fact that it causes names it, so that neither goes missing alone.
    commitment: str
    order: Row
    dossier: Dossier
    original: Row | None
    original_dossier: Dossier | None
    onward: Onward
    # It was made after somebody had asked what is held now, and nobody had answered yet.
    is_to_a_question: bool

    @property
    def ported_to(self) -> str | None:
        """The participant that is named as having the target now."""
        return self.onward.placement.participant_id if self.onward.placement else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of it."""

    state: OrderState
    contradicts: bool = False
    refusal_code: RefusalCode | None = None


async def contradicted(answering: Answering, code: RefusalCode | None = None) -> Verdict:
    """Change nothing, and ask a coordinator: the answer contradicts a final one."""
    record(answering, Fact.ORDER_CONTRADICTED, outcome=str(answering.body.outcome), state=str(answering.order["state"]))
    await open_task(answering, TaskKind.CONTRADICTING_ANSWER)
    return Verdict(answering.order["state"], contradicts=True, refusal_code=code)


async def open_task(answering: Answering, kind: TaskKind) -> None:
    """Open a task about this order, unless one of the same kind still waits for somebody."""
    said = str(answering.body.outcome)
    await ask(answering.conn, answering.hub, answering.log, answering.dossier, answering.order, kind, said)


async def ask(
    conn: AsyncConnection, hub: Hub, log: Log, dossier: Dossier, order: Row, kind: TaskKind, said: str
) -> None:
    """Open a task about an order because of what its participant said, unless one of the kind still waits."""
    same = sa.select(_TASKS.c.id).where(
        _TASKS.c.order_id == order["id"], _TASKS.c.kind == kind, _TASKS.c.resolved_at.is_(None)
    )
    if (await conn.execute(same)).first() is not None:
        return
    task = tasks.NewTask(
        tenant=order["tenant"],
        kind=kind,
        chain=dossier.chain,
        participant_id=order["participant_id"],
        request_id=order["request_id"],
        order_id=order["id"],
        within=tasks.within(dossier.policy),
        data={"outcome": said, "state": str(order["state"])},
    )
    await tasks.open_tasks(conn, log, hub.actor, log.at, [task])


async def move(answering: Answering, state: OrderState, **values: Any) -> None:
    """Write the order's new state; members that are None stay as they are."""
    values = {name: value for name, value in values.items() if value is not None}
    if state in states.UNANSWERED:
        values |= owing.due(answering.conn, state)
    await answering.conn.execute(
        sa.update(_ORDERS)
        .where(_ORDERS.c.id == answering.order["id"])
        .values(state=state, changed_at=answering.log.at, answered_at=answering.log.at, **values)
    )


async def meet(answering: Answering, stages: Collection[Stage], cancelled: Collection[Stage] = ()) -> None:
    """Meet the deadlines of these stages, and cancel those of the stages ``cancelled``."""
    subjects = [answering.order["id"]]
    await settling.meet(answering.conn, answering.log, answering.actor, subjects, stages, cancelled)


async def finish(answering: Answering) -> None:
    """Meet all of a participant's stages and cancel whatever else waits for this order."""
    await meet(answering, settling.PARTICIPANT_STAGES, tuple(Stage))


def record(answering: Answering, fact: Fact, **data: Any) -> None:
    """Record a fact about this order."""
    order = answering.order
    answering.log.record(
        answering.dossier.chain,
        fact,
        answering.actor,
        order["tenant"],
        request_id=order["request_id"],
        order_id=str(order["id"]),
        participant_id=order["participant_id"],
        answer_commitment=answering.commitment,
        **data,
    )


async def tell(
    answering: Answering,
    fact: Fact,
    state: OrderState,
    *,
    amount_held: int | None = None,
    amount_returned: int | None = None,
    amount_asked: int | None = None,
    refusal_code: RefusalCode | None = None,
    **data: Any,
) -> Verdict:
    """Record a fact, tell the agency, and return the verdict; ``data`` are codes and numbers for the fact alone."""
    record(
        answering,
        fact,
        **data,
        amount_held=None if amount_held is None else str(amount_held),
        amount_returned=None if amount_returned is None else str(amount_returned),
        amount_asked=None if amount_asked is None else str(amount_asked),
        refusal=str(refusal_code) if refusal_code else None,
        ported_to=answering.ported_to,
    )
    news = statuses.News(
        answering.dossier,
        fact,
        str(state),
        answering.order["id"],
        answering.order["participant_id"],
        amount_held,
        str(refusal_code) if refusal_code else None,
        amount_returned=amount_returned,
    )
    await statuses.tell(answering.conn, answering.hub, answering.log.at, [news])
    return Verdict(state, refusal_code=refusal_code)
