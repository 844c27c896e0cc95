"""What the agency's answer to an appeal and its decision share: the appeal under its request's lock, facts, news."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import signing
from service.audit import Log
from service.engine import dossier, extensions, holding, statuses, tasks, writer
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import Appeal, table_of
from service.queries import appeals, visibility
from service.schemas.appeals import AppealDetail
from service.security.principals import Principal
from service.security.signatures import SignatureRefused
from workflows import appeal, states
from workflows.authority import AuthorityRefused
from workflows.terms import Actor, AppealState, Fact, TaskKind

_APPEALS = table_of(Appeal)


@dataclass(frozen=True, slots=True)
class Contested:
    """An appeal as it is under the lock, what it is about, and the extensions of that hold that are under way."""

    row: Row
    found: Dossier
    extensions: tuple[Dossier, ...]
    log: Log


async def lock(conn: AsyncConnection, principal: Principal, appeal_id: UUID) -> Contested:
    """Lock the request that an appeal is about and read the appeal. Raises ``NotFound`` unless it is the agency's."""
    row = await _row(conn, principal, appeal_id)
    # From here on what follows from the agency's word: lifts at the members that hold, tasks of the duty desk.
    await db.extend(conn, db.HUB)
    request_id = row["request_id"]
    ids = {request_id, *await extensions.under_way(conn, request_id)}
    log = await writer.lock(conn, [*map(audit.request_chain, ids), holding.chain(principal.tenant)])
    # Read again: of two decisions at once, the second finds the first one's.
    row = await _row(conn, principal, appeal_id)
    concerned = await extensions.lock(conn, log, request_id)
    return Contested(row, (await dossier.load(conn, [request_id]))[request_id], concerned, log)


async def request_of(hub: Hub, principal: Principal, appeal_id: UUID) -> UUID:
    """Return the request that an existing appeal of the caller's is about."""
    query = sa.select(_APPEALS.c.request_id).where(_APPEALS.c.id == appeal_id)
    async with hub.database.read(principal.reach) as conn:
        found: UUID = (await conn.execute(query)).scalar_one()
    return found


async def refuse(
    hub: Hub, principal: Principal, refused: SignatureRefused | AuthorityRefused, appeal_id: UUID, officer_id: str
) -> errors.Forbidden:
    """Keep why an officer's act does not count as a fact of the request, and return the error to raise."""
    request_id = await request_of(hub, principal, appeal_id)
    chain, data = audit.request_chain(request_id), {"appeal_id": str(appeal_id), "officer_id": officer_id}
    return await signing.refuse(hub, principal, refused, chain, request_id=request_id, **data)


def advance(case: Contested, to: AppealState) -> AppealState:
    """Return the appeal's next state; raise ``Conflict`` where it has been there, or is decided."""
    try:
        return appeal.advance(case.row["state"], to)
    except states.IllegalMove as illegal:
        raise errors.Conflict("appeal.not_open", state=illegal.state) from None


def record(case: Contested, fact: Fact, actor: Actor, **data: Any) -> None:
    """Record what became of the appeal on the chain of its request, in codes and ids."""
    case.log.record(
        case.found.chain,
        fact,
        actor,
        case.found.tenant,
        request_id=case.found.id,
        appeal_id=str(case.row["id"]),
        reference=case.row["reference"],
        **data,
    )


async def finish(conn: AsyncConnection, hub: Hub, principal: Principal, case: Contested, fact: Fact) -> AppealDetail:
    """Tell the agency's system, ask the duty desk to call a person who appealed, and return the appeal as it is now."""
    state = str(case.found.request["state"])
    news = statuses.News(case.found, fact, state, appeal_id=case.row["id"])
    await statuses.tell(conn, hub, case.log.at, [news])
    if case.row["participant_id"] is None:
        # A person has a reference and no system: somebody must tell what was said.
        call = tasks.NewTask(
            tenant=case.found.tenant,
            kind=TaskKind.APPEAL,
            chain=case.found.chain,
            request_id=case.found.id,
            order_id=case.row["order_id"],
            within=tasks.within(case.found.policy),
            data={"appeal_id": str(case.row["id"]), "reference": case.row["reference"]},
        )
        await tasks.open_tasks(conn, case.log, hub.actor, case.log.at, [call])
    await case.log.flush()
    shown = await appeals.one(conn, hub.vault, principal, case.row["id"])
    assert shown is not None
    return shown


async def _row(conn: AsyncConnection, principal: Principal, appeal_id: UUID) -> Row:
    row = (await conn.execute(sa.select(_APPEALS).where(_APPEALS.c.id == appeal_id))).one_or_none()
    if row is None or not visibility.owns(principal, row.tenant):
        raise errors.NotFound
    return dict(row._mapping)
