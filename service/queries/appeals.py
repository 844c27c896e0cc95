"""Appeals as the doors show them: to those concerned, to whoever has the reference, and counted per agency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Appeal, table_of
from service.queries import cursors, visibility
from service.schemas import appeals as shapes
from service.schemas.common import ERASED
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows import appeal
from workflows.terms import AppealState

_APPEALS = table_of(Appeal)
_REQUESTS = table_of(ActionRequest)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list of appeals is narrowed to; None is everything."""

    state: AppealState | None = None
    request_id: UUID | None = None


async def page(
    conn: AsyncConnection, principal: Principal, wanted: Filter, *, after: str | None, limit: int
) -> shapes.AppealPage:
    """Return a page of what the caller may see, newest first."""
    query = _visible(principal).order_by(_APPEALS.c.filed_at.desc(), _APPEALS.c.id.desc()).limit(limit + 1)
    if wanted.state is not None:
        query = query.where(_APPEALS.c.state == wanted.state)
    if wanted.request_id is not None:
        query = query.where(_APPEALS.c.request_id == wanted.request_id)
    if after is not None:
        at, last = cursors.read(after)
        query = query.where(sa.or_(_APPEALS.c.filed_at < at, sa.and_(_APPEALS.c.filed_at == at, _APPEALS.c.id < last)))
    rows = (await conn.execute(query)).all()
    shown = rows[:limit]
    return shapes.AppealPage(
        items=[shapes.AppealSummary(**_summary(row._mapping)) for row in shown],
        next=cursors.write(shown[-1].filed_at, shown[-1].id) if len(rows) > limit else None,
    )


async def one(conn: AsyncConnection, vault: Vault, principal: Principal, appeal_id: UUID) -> shapes.AppealDetail | None:
    """Return one appeal whole, or None when it does not exist or is not for the caller."""
    row = (await conn.execute(_visible(principal).where(_APPEALS.c.id == appeal_id))).one_or_none()
    if row is None:
        return None
    return _detail(vault, await subjects.by_id(conn, {row.request_id}), principal, row._mapping)


async def state(conn: AsyncConnection, reference: str) -> shapes.AppealStateAnswer | None:
    """Return what the reference tells to anybody who has it, or None for one that was never given."""
    columns = [_APPEALS.c[name] for name in shapes.AppealStateAnswer.model_fields]
    row = (await conn.execute(sa.select(*columns).where(_APPEALS.c.reference == reference))).one_or_none()
    return None if row is None else shapes.AppealStateAnswer.model_validate(row, from_attributes=True)


async def counted(conn: AsyncConnection, principal: Principal) -> list[shapes.WrongfulHolds]:
    """Return the counters of the agencies that the caller sees: of its own, or at the hub of all."""
    held = (
        sa.select(_REQUESTS.c.tenant, sa.func.count().label("holds"))
        .where(
            visibility.requests(principal),
            _REQUESTS.c.action.in_(appeal.CONTESTABLE),
            _REQUESTS.c.activated_at.is_not(None),
        )
        .group_by(_REQUESTS.c.tenant)
    )
    holds: dict[str, int] = {row.tenant: row.holds for row in (await conn.execute(held)).all()}
    upheld = _APPEALS.c.state == AppealState.UPHELD
    contested = (
        sa.select(
            _APPEALS.c.tenant,
            sa.func.count().label("appeals"),
            *(_count(_APPEALS.c.state == each).label(each.value) for each in AppealState),
            sa.func.count(sa.distinct(sa.case((upheld, _APPEALS.c.request_id)))).label("wrongful_holds"),
        )
        .where(visibility.appeals(principal))
        .group_by(_APPEALS.c.tenant)
    )
    rows = {row.tenant: dict(row._mapping) for row in (await conn.execute(contested)).all()}
    return [_counters(tenant, holds.get(tenant, 0), rows.get(tenant, {})) for tenant in sorted({*holds, *rows})]


def _visible(principal: Principal) -> sa.Select[Any]:
    return sa.select(_APPEALS).where(visibility.appeals(principal))


def _summary(row: sa.RowMapping) -> dict[str, Any]:
    same = set(shapes.AppealSummary.model_fields) - {"agency_id", "filed_for", "reason_code"}
    return {name: row[name] for name in same} | {
        "agency_id": row["tenant"],
        "filed_for": "participant" if row["participant_id"] else "person",
        "reason_code": row["decision_code"],
    }


def _detail(vault: Vault, keys: Keys, principal: Principal, row: sa.RowMapping) -> shapes.AppealDetail:
    is_open = visibility.opens_appeal(principal, row["tenant"], row["participant_id"])
    own = visibility.owns(principal, row["tenant"])

    def opened(name: str) -> str | None:
        sealed = row[name] if is_open else None
        return vault.shown(keys, "appeals", row["id"], row["tenant"], sealed) if sealed else None

    appellant, answer, decision = opened("appellant_sealed"), opened("answer_sealed"), opened("decision_sealed")
    if answer not in (None, ERASED) and row["answer_signature"] is not None:
        # What was signed is kept whole; an answer from before officers signed them is the text alone.
        answer = shapes.AppealReply.model_validate_json(answer).text
    return shapes.AppealDetail(
        **_summary(row),
        statement=opened("statement_sealed"),
        appellant=shapes.Appellant.model_validate_json(appellant) if appellant not in (None, ERASED) else None,
        answer=answer,
        # An officer is known to others by what his agency says, not by his id (PROMISES R19).
        answered_by=row["answered_by"] if own else None,
        decision=_text(decision),
        decided_by=row["decided_by"] if own else None,
        signature=row["signature"] if own else None,
    )


def _text(decision: str | None) -> str | None:
    return decision if decision in (None, ERASED) else shapes.AppealDecision.model_validate_json(decision).text


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _counters(tenant: str, holds: int, row: Mapping[str, Any]) -> shapes.WrongfulHolds:
    def of(state: AppealState) -> int:
        return int(row.get(state.value, 0))

    return shapes.WrongfulHolds(
        agency_id=tenant,
        holds=holds,
        appeals=row.get("appeals", 0),
        open=sum(of(state) for state in appeal.OPEN),
        upheld=of(AppealState.UPHELD),
        rejected=of(AppealState.REJECTED),
        wrongful_holds=row.get("wrongful_holds", 0),
    )
