"""Somebody opens or searches what is personal: a fact, committed before the answer leaves; without it, no answer."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors, log
from service.audit import Log
from service.db import Unit
from service.engine.hub import Hub
from service.models import ActionRequest, table_of
from service.schemas.tasks import TaskAnswer
from service.security.principals import Principal
from workflows.terms import Door, Fact, View

_REQUESTS = table_of(ActionRequest)
_log = log.get(__name__)


async def opened(
    hub: Hub, principal: Principal, door: Door, view: View, requests: Collection[UUID], **about: Any
) -> None:
    """Record that the caller was shown what these requests say of persons, each on the chain of its readers.

    ``about`` names what exactly, by its id (an order, an appeal, a task). Raises ``Unavailable`` where the fact cannot
    be written: what nobody can be told of is not shown (PROMISES R13).
    """
    if not requests:
        return

    async def unit(conn: AsyncConnection) -> None:
        query = sa.select(_REQUESTS.c.id, _REQUESTS.c.tenant).where(_REQUESTS.c.id.in_(requests))
        owners = {row.id: row.tenant for row in (await conn.execute(query)).all()}
        chains = {audit.reads_chain(request_id): tenant for request_id, tenant in owners.items()}
        facts = await Log.open(conn, None, chains, tenants=chains)
        for request_id, tenant in sorted(owners.items()):
            facts.record(
                audit.reads_chain(request_id),
                Fact.PERSON_OPENED,
                principal.actor(),
                tenant,
                request_id=request_id,
                door=str(door),
                view=str(view),
                **about,
            )
        await facts.flush()

    await _write(hub, unit)


async def opened_notes(hub: Hub, principal: Principal, door: Door, tasks: Iterable[TaskAnswer]) -> None:
    """Record that the notes of these tasks were read: at each one's request, or at its member where it has none.

    Raises ``Unavailable``.
    """
    noted = [task for task in tasks if task.note is not None]
    await opened(hub, principal, door, View.NOTE, {task.request_id for task in noted if task.request_id is not None})
    owners = {task.id: task.tenant for task in noted if task.request_id is None}
    if not owners:
        return

    async def unit(conn: AsyncConnection) -> None:
        chains = {task_id: audit.tenant_chain(tenant) for task_id, tenant in owners.items()}
        facts = await Log.open(conn, None, chains.values())
        for task_id, chain in sorted(chains.items()):
            facts.record(
                chain,
                Fact.PERSON_OPENED,
                principal.actor(),
                owners[task_id],
                door=str(door),
                view=str(View.NOTE),
                task_id=str(task_id),
            )
        await facts.flush()

    await _write(hub, unit)


async def opened_roster(hub: Hub, principal: Principal, door: Door | None, participant_id: str) -> None:
    """Record, on its own chain, that the names on a member's duty roster were read. Raises ``Unavailable``.

    ``door`` is None for who works on the hub's own machine.
    """

    async def unit(conn: AsyncConnection) -> None:
        chain = audit.tenant_chain(participant_id)
        facts = await Log.open(conn, None, [chain])
        facts.record(
            chain,
            Fact.PERSON_OPENED,
            principal.actor(),
            participant_id,
            door=None if door is None else str(door),
            view=str(View.ROSTER),
            participant_id=participant_id,
        )
        await facts.flush()

    await _write(hub, unit)


async def searched(hub: Hub, principal: Principal, door: Door, by: str, value: str, found: int) -> None:
    """Record on the searcher's own chain by what was searched, how much was found, and the value's blind index.

    The index is keyed for the searcher's tenant: who holds the key and asks "was this looked for?" is answered, nobody
    else learns it. Raises ``Unavailable``.
    """

    async def unit(conn: AsyncConnection) -> None:
        chain = audit.tenant_chain(principal.tenant)
        facts = await Log.open(conn, None, [chain])
        facts.record(
            chain,
            Fact.PERSON_SEARCHED,
            principal.actor(),
            principal.tenant,
            door=str(door),
            by=by,
            index=hub.vault.blind_index(principal.tenant, by, value).hex(),
            found=found,
        )
        await facts.flush()

    await _write(hub, unit)


async def _write(hub: Hub, unit: Unit[None]) -> None:
    # Not through the call's writer: a read changes nothing, so its proof stays unspent and may be shown again.
    try:
        await hub.database.write(unit, db.HUB)
    except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
        _log.error("reading.unrecorded", exc_info=error)
        raise errors.Unavailable("reading.unrecorded") from None
