"""The policies and time limits as an operator reads them."""

from importlib import resources

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Policy, TimeLimit, table_of
from service.schemas.policies import PolicyAnswer, TimeLimitAnswer, TimeLimitList
from workflows import policy

_POLICIES = table_of(Policy)
_LIMITS = table_of(TimeLimit)


async def newest(conn: AsyncConnection, name: str) -> PolicyAnswer | None:
    """Return the version in force: the operator's newest, else the shipped one, else None."""
    query = sa.select(_POLICIES).where(_POLICIES.c.name == name).order_by(_POLICIES.c.version.desc()).limit(1)
    row = (await conn.execute(query)).one_or_none()
    if row is not None:
        return PolicyAnswer(**row._mapping)
    if name not in policy.SHIPPED:
        return None
    text = resources.files("workflows").joinpath("policies", f"{name}.toml").read_text(encoding="utf-8")
    return PolicyAnswer(name=name, version=policy.load(text).version, text=text, created_by=None, created_at=None)


async def limits(conn: AsyncConnection) -> TimeLimitList:
    """Return the limits that an operator set, in the order in which they were."""
    query = sa.select(_LIMITS).order_by(_LIMITS.c.created_at, _LIMITS.c.id)
    return TimeLimitList(items=[TimeLimitAnswer(**row._mapping) for row in await conn.execute(query)])
