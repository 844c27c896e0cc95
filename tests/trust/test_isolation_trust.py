"""P11: nobody sees or changes what is another's, by any route, filter or id; nor would it without the filter."""

import inspect
import random
from collections.abc import Awaitable, Callable

import isolation_walk
import pytest
import sqlalchemy as sa
import trust_sizes
from apis import Api
from builders import table
from isolation_stage import Stage
from isolation_walk import Walker

from service import db
from service.engine.hub import OPERATOR
from service.models import AuditEntry
from service.queries import visibility

pytest_plugins = ["api_fixtures"]

FastForward = Callable[..., Awaitable[None]]
# Each reads or tries one id: with its twin that nobody ever had, the calls are twice as many.
SIZE = (250, 2_500)
BARE = (100, 1_000)
CONDITIONS = frozenset(
    {
        *("answerable", "appeals", "escalations", "inbox", "orders", "participants", "requests", "tasks"),
        "whole_participants",
    }
)


@pytest.fixture
async def stage(api: Api, fast_forward: FastForward) -> Stage:
    """Two agencies, two banks and a telecom, with a matter of every kind each."""
    return await Stage(api).fill(fast_forward)


async def test_nobody_sees_or_changes_what_is_anothers(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    kind = stage.api.hub.database.dialect
    draw = random.Random(trust_sizes.seed())
    routes = [*isolation_walk.operations(), *isolation_walk.pages(stage.api.app)]
    walker = Walker(stage, draw)
    before, facts = await stage.digest(), await _last_fact(stage)
    wrong: list[str] = []
    tried = isolation_walk.attempts(stage, routes, draw, trust_sizes.size(*SIZE))
    for attempt in tried:
        wrong += await walker.judge(attempt)
    after = await stage.digest()
    wrong += [f"{name} was changed" for name in after if after[name] != before[name]]
    wrong += await _facts_of_others(stage, facts)
    record_property(
        *trust_sizes.figure("P11", "T-BOLA every route", n=len(tried), violations=len(wrong), database=kind)
    )
    assert not wrong, "\n".join(wrong[:20])
    assert walker.asked == {route.name for route in routes}
    assert len(walker.found_own) >= 5, walker.found_own


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_with_the_applications_filter_deleted_there_are_no_foreign_rows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Every condition lets everything pass: what is left is PostgreSQL, and the reach of the caller's transaction."""
    draw = random.Random(trust_sizes.seed())
    for name in CONDITIONS:
        monkeypatch.setattr(visibility, name, lambda *_: sa.true())
    monkeypatch.setattr(visibility, "owns", lambda *_: True)
    monkeypatch.setattr(visibility, "opens_appeal", lambda *_: True)
    routes = [*isolation_walk.operations(), *isolation_walk.pages(stage.api.app)]
    # Who the members of the network are is for all of them to know: only its own row holds more than a name.
    routes = [route for route in routes if route.name not in {"listParticipants", "getParticipant"}]
    walker = Walker(stage, draw)
    before = await stage.digest()
    wrong: list[str] = []
    tried = [
        attempt
        for attempt in isolation_walk.attempts(stage, routes, draw, trust_sizes.size(*BARE) * 3)
        if not stage.callers[attempt.caller].is_the_hubs
    ]
    for attempt in tried:
        wrong += await walker.judge(attempt)
    after = await stage.digest()
    wrong += [f"{name} was changed" for name in after if after[name] != before[name]]
    record_property(*trust_sizes.figure("P11", "T-RLS filter deleted", n=len(tried), violations=len(wrong)))
    assert not wrong, "\n".join(wrong[:20])
    assert len(walker.found_own) >= 5, walker.found_own


def test_the_test_deletes_every_condition_of_the_filter() -> None:
    made = {name for name, each in vars(visibility).items() if inspect.isfunction(each) and name[0] != "_"}
    assert made == CONDITIONS | {"owns", "opens_appeal", "sees_all"}


async def _last_fact(stage: Stage) -> int:
    entries = table(AuditEntry)
    async with stage.api.hub.database.read(db.HUB) as conn:
        return int((await conn.execute(sa.select(sa.func.max(entries.c.id)))).scalar_one())


async def _facts_of_others(stage: Stage, since: int) -> list[str]:
    """Return the facts that a call left on another's record."""
    entries = table(AuditEntry)
    query = sa.select(entries).where(entries.c.id > since, entries.c.tenant.not_in([OPERATOR]))
    async with stage.api.hub.database.read(db.HUB) as conn:
        rows = (await conn.execute(query)).all()
    return [
        f"a fact {row.code} of {row.actor_tenant} at {row.tenant}" for row in rows if row.actor_tenant != row.tenant
    ]
