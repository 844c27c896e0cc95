"""Somebody contests a hold: a participant its own order, the duty desk for a person; both clocks start with it."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import references, standing
from service.engine import dossier, statuses, timers, writer
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import ActionRequest, Appeal, Order, table_of
from service.queries import appeals, visibility
from service.schemas.appeals import AppealDetail, NewAppeal
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import KeyRow
from workflows import appeal
from workflows.terms import AppealState, Fact, Stage, SubjectKind

_APPEALS = table_of(Appeal)
_ORDERS = table_of(Order)
_REQUESTS = table_of(ActionRequest)

PREFIX = "KN"  # khiếu nại
# 50 bits: whoever tries all day at the door's limit finds none, for the state needs nothing but the reference.
LETTERS = 10


async def file(hub: Hub, principal: Principal, body: NewAppeal) -> AppealDetail:
    """File an appeal against what an order, or all orders of a request, hold now.

    A participant may contest its own orders only. Raises ``NotFound`` for what is unknown or another's,
    ``InvalidInput`` for a field that is not the caller's to give or is missing, ``Conflict`` when nothing is held, or
    when the same kind of appellant has an open appeal against the same hold, ``Unauthenticated`` when suspended
    meanwhile.
    """
    principal.require(Scope.APPEALS_FILE)
    _check_fields(principal, body)

    async def unit(conn: AsyncConnection) -> AppealDetail:
        request_id = await _request_of(conn, principal, body)
        # The appeal is against what is the agency's, and starts its clocks.
        await db.extend(conn, db.HUB)
        log = await writer.lock(conn, [audit.request_chain(request_id)])
        await standing.check(conn, principal)
        found = (await dossier.load(conn, [request_id]))[request_id]
        # Read under the lock: a lift, an end or another appeal may have come between.
        row = _row(hub, principal, body, found, await dossier.key(conn, hub.vault, found))
        row["order_id"] = await _contested(conn, body, request_id)
        await _refuse_twin(conn, row)
        row["reference"] = await references.draw(conn, _APPEALS.c.reference, PREFIX, LETTERS, log.at)
        calendar = (await hub.registry.known(conn)).calendar
        answer = found.within(Stage.APPEAL_ANSWER, appeal.ANSWER_WITHIN, found.tenant)
        decision = found.within(Stage.APPEAL_DECISION, appeal.decision_due(log.at, calendar) - log.at, found.tenant)
        row |= {"filed_at": log.at, "answer_due_at": log.at + answer, "decision_due_at": log.at + decision}
        await db.insert_rows(conn, _APPEALS, [row])
        await timers.start(conn, [_timer(found, row, stage) for stage in (Stage.APPEAL_ANSWER, Stage.APPEAL_DECISION)])
        log.record(
            found.chain,
            Fact.APPEAL_FILED,
            principal.actor(),
            found.tenant,
            request_id=found.id,
            appeal_id=str(row["id"]),
            reference=row["reference"],
            participant_id=row["participant_id"],
            appealed_order_id=str(row["order_id"]) if row["order_id"] else None,
            ground=str(body.ground),
        )
        news = statuses.News(found, Fact.APPEAL_FILED, str(found.request["state"]), appeal_id=row["id"])
        await statuses.tell(conn, hub, log.at, [news])
        await log.flush()
        filed = await appeals.one(conn, hub.vault, principal, row["id"])
        assert filed is not None
        return filed

    return await standing.run(hub, principal, unit)


def _check_fields(principal: Principal, body: NewAppeal) -> None:
    for_a_person = visibility.sees_all(principal)
    if for_a_person and body.appellant is None:
        raise errors.InvalidInput.of("/appellant", "appeal.appellant_missing")
    if not for_a_person and body.appellant is not None:
        raise errors.InvalidInput.of("/appellant", "appeal.appellant_not_asked")
    if not for_a_person and body.order_id is None:
        raise errors.InvalidInput.of("/order_id", "field.missing")


async def _request_of(conn: AsyncConnection, principal: Principal, body: NewAppeal) -> UUID:
    query = sa.select(_REQUESTS.c.id).where(_REQUESTS.c.reference == body.request_reference)
    if body.order_id is not None:
        query = sa.select(_ORDERS.c.request_id).where(_ORDERS.c.id == body.order_id, visibility.orders(principal))
    found: UUID | None = (await conn.execute(query)).scalar_one_or_none()
    if found is None:
        raise errors.NotFound
    return found


async def _contested(conn: AsyncConnection, body: NewAppeal, request_id: UUID) -> UUID | None:
    """Return the one order that is contested, or None where several of the request hold something."""
    holding = [
        order["id"]
        for order in await dossier.orders_of(conn, request_id)
        if appeal.is_contestable(order["action"], order["state"], order["lift_ordered"])
        and body.order_id in (None, order["id"])
    ]
    if not holding:
        raise errors.Conflict("appeal.nothing_held")
    return holding[0] if len(holding) == 1 else None


async def _refuse_twin(conn: AsyncConnection, row: Row) -> None:
    query = sa.select(_APPEALS.c.reference).where(
        _APPEALS.c.request_id == row["request_id"],
        _APPEALS.c.order_id.is_not_distinct_from(row["order_id"]),
        _APPEALS.c.participant_id.is_not_distinct_from(row["participant_id"]),
        _APPEALS.c.state.in_(appeal.OPEN),
    )
    twin = (await conn.execute(query)).scalars().first()
    if twin is not None:
        # Whoever is told has filed it himself, or is the duty desk: of a repeated call the first one's reference.
        raise errors.Conflict("appeal.already_open", reference=twin)


def _row(hub: Hub, principal: Principal, body: NewAppeal, found: Dossier, key: KeyRow) -> dict[str, Any]:
    appeal_id = clock.new_id()

    def seal(text: str) -> bytes:
        return hub.vault.seal(key, "appeals", appeal_id, text)

    return {
        "id": appeal_id,
        "tenant": found.tenant,
        "request_id": found.id,
        "request_reference": found.request["reference"],
        "participant_id": None if visibility.sees_all(principal) else principal.tenant,
        "state": AppealState.FILED,
        "ground": body.ground,
        "statement_sealed": seal(body.statement),
        "appellant_sealed": seal(body.appellant.model_dump_json()) if body.appellant else None,
        "filed_by": principal.client_id,
    }


def _timer(found: Dossier, row: Row, stage: Stage) -> timers.Timer:
    return timers.Timer(
        tenant=found.tenant,
        subject_kind=SubjectKind.APPEAL,
        subject_id=row["id"],
        chain=found.chain,
        stage=stage,
        started_at=row["filed_at"],
        due_at=row["answer_due_at"] if stage is Stage.APPEAL_ANSWER else row["decision_due_at"],
        request_id=found.id,
        # Who is late when it fires: the ladder climbs from the agency to whoever stands above it.
        participant_id=found.tenant,
    )
