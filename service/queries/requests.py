"""Requests as a door shows them: a page of lines, and one of them whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Approval, Case, Deadline, Order, Target, Task, table_of
from service.queries import cursors, refusals, visibility
from service.schemas import requests as shapes
from service.schemas.common import money
from service.schemas.demands import Payment, Window
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows.terms import Action, RequestState, TaskKind

_REQUESTS = table_of(ActionRequest)
_CASES = table_of(Case)
_TARGETS = table_of(Target)
_ORDERS = table_of(Order)
_DEADLINES = table_of(Deadline)
_APPROVALS = table_of(Approval)
_TASKS = table_of(Task)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list of requests is narrowed to; None is everything."""

    state: RequestState | None = None
    action: Action | None = None
    case_number: str | None = None
    reference: str | None = None
    submitted_from: datetime | None = None
    submitted_to: datetime | None = None
    # Those that this officer filed, approved or reviewed.
    officer_id: str | None = None


async def page(
    conn: AsyncConnection, principal: Principal, wanted: Filter, *, after: str | None, limit: int
) -> shapes.RequestPage:
    """Return a page of what the caller may see, newest first."""
    query = (
        sa.select(_REQUESTS, _CASES.c.number.label("case_number"))
        .join(_CASES, _CASES.c.id == _REQUESTS.c.case_id)
        .where(visibility.requests(principal), *_conditions(wanted))
        .order_by(_REQUESTS.c.submitted_at.desc(), _REQUESTS.c.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        at, last = cursors.read(after)
        query = query.where(
            sa.or_(_REQUESTS.c.submitted_at < at, sa.and_(_REQUESTS.c.submitted_at == at, _REQUESTS.c.id < last))
        )
    rows = (await conn.execute(query)).all()
    shown = rows[:limit]
    counts = await _order_counts(conn, [row.id for row in shown])
    items = [shapes.RequestSummary(**_summary(row._mapping, counts.get(row.id, {}))) for row in shown]
    more = cursors.write(shown[-1].submitted_at, shown[-1].id) if len(rows) > limit else None
    return shapes.RequestPage(items=items, next=more)


async def line(conn: AsyncConnection, principal: Principal, request_id: UUID) -> shapes.RequestSummary | None:
    """Return the line of one request, or None when it does not exist or is not for the caller."""
    query = (
        sa.select(_REQUESTS, _CASES.c.number.label("case_number"))
        .join(_CASES, _CASES.c.id == _REQUESTS.c.case_id)
        .where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else shapes.RequestSummary(**_summary(row._mapping, {}))


async def one(
    conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID
) -> shapes.RequestDetail | None:
    """Return one request whole, or None when it does not exist or is not for the caller."""
    query = (
        sa.select(_REQUESTS, _CASES.c.number.label("case_number"))
        .join(_CASES, _CASES.c.id == _REQUESTS.c.case_id)
        .where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    targets = await _targets(conn, row.original_id or row.id)
    keys = await subjects.by_id(conn, {request_id, row.original_id or request_id})
    orders = (
        await conn.execute(
            sa.select(_ORDERS).where(_ORDERS.c.request_id == request_id).order_by(_ORDERS.c.placed_at, _ORDERS.c.id)
        )
    ).all()
    counts: dict[str, int] = {}
    for order in orders:
        counts[str(order.state)] = counts.get(str(order.state), 0) + 1
    approved = (
        await conn.execute(
            sa.select(_APPROVALS.c.officer_id)
            .where(_APPROVALS.c.request_id == request_id, _APPROVALS.c.kind != "silence")
            .order_by(_APPROVALS.c.approved_at, _APPROVALS.c.id)
        )
    ).all()
    return shapes.RequestDetail(
        **_summary(row._mapping, counts),
        authority_rule=row.authority_rule,
        officer_id=row.officer_id,
        approvals_needed=row.approvals_needed,
        approved_by=[approval.officer_id for approval in approved],
        document_number=row.document_number,
        document_date=row.document_date,
        document_sha256=row.document_sha256,
        original_request_id=row.original_id,
        measure=row.measure,
        payment=_payment(vault, keys, row),
        asked=row.asked,
        window=Window(since=row.window_since, until=row.window_until) if row.window_since else None,
        review_by=row.review_by,
        held_at=row.held_at,
        held_bounds=row.held_bounds or [],
        targets=[_target(vault, keys, target) for target in targets.values()],
        order_list=await _orders(conn, orders, targets),
        unreachable=await _unreachable(conn, request_id),
        erased=vault.is_erased(keys.get(request_id)),
    )


async def body(conn: AsyncConnection, vault: Vault, principal: Principal, request_id: UUID) -> bytes | None:
    """Return the bytes of a request as they were received, for its own agency alone; None for everybody else's.

    Raises ``Erased``.
    """
    query = sa.select(_REQUESTS.c.tenant, _REQUESTS.c.body_sealed).where(_REQUESTS.c.id == request_id)
    row = (await conn.execute(query)).one_or_none()
    if row is None or not visibility.owns(principal, row.tenant):
        return None
    keys = await subjects.of(conn, row.body_sealed)
    return vault.unseal(keys, "requests", request_id, row.tenant, row.body_sealed).encode()


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.state:
        conditions.append(_REQUESTS.c.state == wanted.state)
    if wanted.action:
        conditions.append(_REQUESTS.c.action == wanted.action)
    if wanted.case_number:
        conditions.append(_CASES.c.number == wanted.case_number)
    if wanted.reference:
        conditions.append(_REQUESTS.c.reference == wanted.reference)
    if wanted.submitted_from:
        conditions.append(_REQUESTS.c.submitted_at >= wanted.submitted_from)
    if wanted.submitted_to:
        conditions.append(_REQUESTS.c.submitted_at < wanted.submitted_to)
    if wanted.officer_id:
        signed = sa.select(_APPROVALS.c.request_id).where(_APPROVALS.c.officer_id == wanted.officer_id)
        conditions.append(sa.or_(_REQUESTS.c.officer_id == wanted.officer_id, _REQUESTS.c.id.in_(signed)))
    return conditions


def _summary(row: sa.RowMapping, counts: dict[str, int]) -> dict[str, Any]:
    names = (
        "id",
        "reference",
        "case_number",
        "action",
        "state",
        "urgency",
        "legal_basis",
        "whole_account",
        "starts_at",
        "ends_at",
        "submitted_at",
        "activated_at",
        "closed_at",
    )
    return {name: row[name] for name in names} | {"amount": money(row["amount"]), "orders": counts}


async def _order_counts(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    query = (
        sa.select(_ORDERS.c.request_id, _ORDERS.c.state, sa.func.count())
        .where(_ORDERS.c.request_id.in_(ids))
        .group_by(_ORDERS.c.request_id, _ORDERS.c.state)
    )
    counts: dict[UUID, dict[str, int]] = {}
    for request_id, state, count in (await conn.execute(query)).all():
        counts.setdefault(request_id, {})[str(state)] = count
    return counts


async def _targets(conn: AsyncConnection, owner: UUID) -> dict[UUID, sa.Row[Any]]:
    query = sa.select(_TARGETS).where(_TARGETS.c.request_id == owner).order_by(_TARGETS.c.position)
    return {row.id: row for row in (await conn.execute(query)).all()}


def _target(vault: Vault, keys: Keys, row: sa.Row[Any]) -> shapes.TargetAnswer:
    return shapes.TargetAnswer(
        position=row.position,
        kind=row.kind,
        value=vault.shown(keys, "targets", row.id, row.tenant, row.value_sealed),
        institution=row.institution,
        platform=row.platform,
        holder_name=vault.shown(keys, "targets", row.id, row.tenant, row.holder_sealed) if row.holder_sealed else None,
    )


def _payment(vault: Vault, keys: Keys, row: sa.Row[Any]) -> Payment | None:
    if row.payment_sealed is None or vault.is_erased(keys.get(row.id)):
        return None
    return Payment.model_validate_json(vault.unseal(keys, "requests", row.id, row.tenant, row.payment_sealed))


async def deadlines_of(conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, list[shapes.DeadlineAnswer]]:
    """Return the deadlines of these orders, which the caller was shown before, in the order of their instants."""
    found: dict[UUID, list[shapes.DeadlineAnswer]] = {}
    query = (
        sa.select(_DEADLINES)
        .where(_DEADLINES.c.subject_id.in_(ids), _DEADLINES.c.rung == 0)
        .order_by(_DEADLINES.c.due_at, _DEADLINES.c.id)
    )
    for row in (await conn.execute(query)).all():
        answer = shapes.DeadlineAnswer(stage=row.stage, due_at=row.due_at, state=str(row.state))
        found.setdefault(row.subject_id, []).append(answer)
    return found


async def _orders(
    conn: AsyncConnection, orders: Sequence[sa.Row[Any]], targets: Mapping[UUID, sa.Row[Any]]
) -> list[shapes.OrderAnswer]:
    ids = [order.id for order in orders]
    deadlines = await deadlines_of(conn, ids)
    refused = await refusals.of_orders(conn, ids)
    return [
        shapes.OrderAnswer(
            id=order.id,
            participant_id=order.participant_id,
            target=targets[order.target_id].position,
            action=order.action,
            state=order.state,
            amount=money(order.amount),
            amount_held=money(order.amount_held),
            amount_returned=money(order.amount_returned),
            ends_at=order.ends_at,
            original_order_id=order.original_id,
            rerouted_from_id=order.rerouted_from_id,
            refusal_code=refused.get(order.id),
            placed_at=order.placed_at,
            deadlines=deadlines.get(order.id, []),
        )
        for order in orders
    ]


async def _unreachable(conn: AsyncConnection, request_id: UUID) -> list[shapes.Unreachable]:
    query = sa.select(_TASKS.c.id, _TASKS.c.participant_id).where(
        _TASKS.c.request_id == request_id,
        _TASKS.c.kind == TaskKind.UNREACHABLE_PARTICIPANT,
        _TASKS.c.resolved_at.is_(None),
    )
    return [
        shapes.Unreachable(participant_id=row.participant_id, reason="no_endpoint", task_id=row.id)
        for row in (await conn.execute(query.order_by(_TASKS.c.participant_id))).all()
    ]
