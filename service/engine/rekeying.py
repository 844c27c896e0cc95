"""Keys are replaced while everybody works: new ones wrap at once, old wrappings follow in batches, then the old go.

Only what wraps is exchanged, never what seals a field: whoever has read a key's row may go on working with it, and a
row that was rewrapped meanwhile is whole before and after. Each batch is a transaction; a run that broke off goes on.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.audit import Log
from service.engine.hub import OPERATOR, Hub
from service.vault import KeyRow, roots, subjects
from service.vault.subjects import ROOTS, SUBJECTS, TENANTS
from workflows.terms import Actor, Fact

BATCH = 200


async def tenants_with_keys(conn: AsyncConnection) -> Sequence[str]:
    """Return who has a key of his own, in order."""
    query = sa.select(TENANTS.c.tenant).distinct().order_by(TENANTS.c.tenant)
    return (await conn.execute(query)).scalars().all()


async def rotate_tenant(hub: Hub, actor: Actor, tenant: str) -> int:
    """Give a tenant a new key, wrap its subjects' keys with it, remove the old one; return how many were rewrapped."""

    async def begin(conn: AsyncConnection) -> None:
        chain = audit.tenant_chain(tenant)
        log = await Log.open(conn, None, [chain])
        in_force = (TENANTS.c.tenant == tenant, TENANTS.c.retired_at.is_(None))
        await conn.execute(sa.update(TENANTS).where(*in_force).values(retired_at=log.at))
        await subjects.new_tenant_key(conn, hub.vault, tenant)
        _tell(log, actor, tenant, "tenant")
        await log.flush()

    await hub.writer.run(begin, reach=db.HUB)
    hub.vault.forget(tenant)
    return await finish_tenant(hub, tenant)


async def finish_tenant(hub: Hub, tenant: str) -> int:
    """Rewrap what retired keys of a tenant still wrap, and delete them; return how many were rewrapped.

    A transaction that began before may yet write a key under a retired one: the row it points to is not deleted then
    (a foreign key says so), and the next round rewraps it.
    """
    count = 0
    while True:
        done = await hub.writer.run(lambda conn: _rewrap_subjects(conn, hub, tenant), reach=db.HUB)
        count += done
        if done:
            continue
        try:
            await hub.writer.run(lambda conn: _drop_retired(conn, tenant), reach=db.HUB)
        except IntegrityError:
            continue
        return count


async def rotate_master(hub: Hub, actor: Actor, master: str) -> int:
    """Wrap the roots and every tenant's key with another master key of this node; return how many were rewrapped.

    From the first transaction on, whatever is made is wrapped by it. Every node must have it before: one that has not
    opens nothing, and says which key it lacks, until the file is brought there.
    """

    async def begin(conn: AsyncConnection) -> None:
        chain = audit.tenant_chain(OPERATOR)
        log = await Log.open(conn, None, [chain])
        masters, rows = hub.vault.masters, (await conn.execute(sa.select(ROOTS).with_for_update())).all()
        if any(row.master == master for row in rows):
            return
        for row in rows:
            bound_to = roots.bound_to(row.name)
            wrapped = masters.wrap(master, masters.unwrap(row.master, row.wrapped, bound_to), bound_to)
            await conn.execute(sa.update(ROOTS).where(ROOTS.c.name == row.name).values(master=master, wrapped=wrapped))
        _tell(log, actor, OPERATOR, "master")
        await log.flush()

    await hub.writer.run(begin, reach=db.HUB)
    count = 0
    while done := await hub.writer.run(lambda conn: _rewrap_tenants(conn, hub, master), reach=db.HUB):
        count += done
    return count


async def _rewrap_subjects(conn: AsyncConnection, hub: Hub, tenant: str) -> int:
    query = sa.select(TENANTS).where(TENANTS.c.tenant == tenant, TENANTS.c.retired_at.is_(None))
    found = (await conn.execute(query)).one()
    above = KeyRow(found.id, tenant, None, found.id, found.wrapped, found.master)
    old = (
        sa.select(SUBJECTS.c.id)
        .where(SUBJECTS.c.tenant == tenant, SUBJECTS.c.tenant_key_id != found.id)
        .order_by(SUBJECTS.c.id)
        .limit(BATCH)
        .with_for_update(of=SUBJECTS)
    )
    ids = (await conn.execute(old)).scalars().all()
    for key in (await subjects.by_id(conn, ids)).values():
        wrapped = hub.vault.rewrap_subject_key(key, above)
        changed = sa.update(SUBJECTS).where(SUBJECTS.c.id == key.id, SUBJECTS.c.destroyed_at.is_(None))
        await conn.execute(changed.values(wrapped=wrapped, tenant_key_id=found.id))
    return len(ids)


async def _drop_retired(conn: AsyncConnection, tenant: str) -> None:
    wraps = sa.exists().where(SUBJECTS.c.tenant_key_id == TENANTS.c.id)
    retired = (TENANTS.c.tenant == tenant, TENANTS.c.retired_at.is_not(None))
    await conn.execute(sa.delete(TENANTS).where(*retired, ~wraps))


async def _rewrap_tenants(conn: AsyncConnection, hub: Hub, master: str) -> int:
    old = sa.select(TENANTS).where(TENANTS.c.master != master).order_by(TENANTS.c.id).limit(BATCH).with_for_update()
    rows = (await conn.execute(old)).all()
    for row in rows:
        wrapped = hub.vault.rewrap_tenant_key(row.wrapped, row.id, row.tenant, old=row.master, new=master)
        await conn.execute(sa.update(TENANTS).where(TENANTS.c.id == row.id).values(wrapped=wrapped, master=master))
    return len(rows)


def _tell(log: Log, actor: Actor, tenant: str, what: str) -> None:
    chain = audit.tenant_chain(tenant)
    log.record(chain, Fact.KEY_ROTATED, actor, tenant, what=what, participant_id=tenant)
