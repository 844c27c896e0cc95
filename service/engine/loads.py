"""What was set in motion, as bounds count it: requests that became active and appeals that were upheld."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.engine.dossier import Dossier
from service.models import ActionRequest, Appeal, Approval, Target, table_of
from workflows import bounds
from workflows.bounds import Load
from workflows.terms import Action, AppealState

_REQUESTS = table_of(ActionRequest)
_ORIGINALS = _REQUESTS.alias("originals")
_APPROVALS = table_of(Approval)
_APPEALS = table_of(Appeal)
_TARGETS = table_of(Target)

# A lift or an extension is about the money and the targets of what it lifts or extends.
_WORTH = sa.case(
    (sa.or_(_REQUESTS.c.whole_account, sa.func.coalesce(_ORIGINALS.c.whole_account, sa.false())), bounds.WHOLE_ACCOUNT),
    else_=sa.func.coalesce(_REQUESTS.c.amount, _ORIGINALS.c.amount, 0),
)
_COUNT = (
    sa.select(sa.func.count())
    .where(_TARGETS.c.request_id == sa.func.coalesce(_REQUESTS.c.original_id, _REQUESTS.c.id))
    .scalar_subquery()
)
_WITH_ORIGINALS = _REQUESTS.outerjoin(_ORIGINALS, _ORIGINALS.c.id == _REQUESTS.c.original_id)

_OF_REQUESTS = sa.select(
    _REQUESTS.c.id.label("id"),
    _REQUESTS.c.tenant.label("tenant"),
    _REQUESTS.c.officer_id.label("officer_id"),
    _APPROVALS.c.officer_id.label("second_id"),
    _REQUESTS.c.action.label("action"),
    _REQUESTS.c.activated_at.label("at"),
    _REQUESTS.c.held_at.is_not(None).label("was_held"),
    _COUNT.label("count"),
    _WORTH.label("amount"),
).select_from(
    _WITH_ORIGINALS.outerjoin(
        _APPROVALS, sa.and_(_APPROVALS.c.request_id == _REQUESTS.c.id, _APPROVALS.c.kind == "approval")
    )
)
# An upheld appeal is a lift that one officer ordered: without this it would be the way around the bound of lifts.
_OF_APPEALS = (
    sa.select(
        _APPEALS.c.id,
        _APPEALS.c.tenant,
        _APPEALS.c.decided_by,
        sa.null(),
        sa.literal(Action.LIFT, _REQUESTS.c.action.type),
        _APPEALS.c.decided_at,
        sa.false(),
        sa.case((_APPEALS.c.order_id.is_not(None), 1), else_=_COUNT),
        _WORTH,
    )
    .select_from(_APPEALS.join(_WITH_ORIGINALS, _REQUESTS.c.id == _APPEALS.c.request_id))
    .where(_APPEALS.c.state == AppealState.UPHELD)
)


def since(after: datetime) -> sa.Subquery:
    """Return what was set in motion after an instant, a row a request or appeal.

    Its columns: ``id``, ``tenant``, ``officer_id`` (who filed, or upheld), ``second_id`` (who approved), ``action``,
    ``at``, ``was_held`` (released after a call-back), ``count`` (targets), ``amount`` (whole ₫).
    """
    requests = _OF_REQUESTS.where(_REQUESTS.c.activated_at > after)
    return requests.union_all(_OF_APPEALS.where(_APPEALS.c.decided_at > after)).subquery("loads")


async def of_request(conn: AsyncConnection, found: Dossier) -> Load:
    """Return what a request sets in motion once it is active."""
    request = found.request
    if request["original_id"] is None:
        amount = bounds.WHOLE_ACCOUNT if request["whole_account"] else request["amount"] or 0
        return Load(len(found.targets), amount)
    query = sa.select(_COUNT, _WORTH).select_from(_WITH_ORIGINALS).where(_REQUESTS.c.id == found.id)
    return Load(*(await conn.execute(query)).one())


async def of_lift(conn: AsyncConnection, found: Dossier, order_id: UUID | None) -> Load:
    """Return what lifting one order of a request, or all of it, sets in motion."""
    load = await of_request(conn, found)
    return load if order_id is None else Load(1, load.amount)
