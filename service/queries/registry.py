"""What the rules need to know of the network: directory, calendar, policy and limits, at most a second old."""

import asyncio
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock
from service.models import Alias, CalendarDay, Participant, Policy, TimeLimit, table_of
from workflows import deadlines, policy, routing, working_hours
from workflows.terms import Sector

_PARTICIPANTS = table_of(Participant)
_ALIASES = table_of(Alias)
_DAYS = table_of(CalendarDay)
_POLICIES = table_of(Policy)
_LIMITS = table_of(TimeLimit)

# A suspended participant must be known everywhere within ten seconds (PROMISES P10).
_FRESH = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """One reading of the registry; ``snapshot`` is its policy as a request keeps it."""

    directory: routing.Directory
    calendar: working_hours.Calendar
    policy: policy.Policy
    snapshot: Mapping[str, Any]


class Registry:
    """Keeps the last reading for a second, so that a burst of requests reads it once."""

    def __init__(self, policy_name: str) -> None:
        self._policy_name = policy_name
        self._known: Known | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def known(self, conn: AsyncConnection) -> Known:
        """Return what is known, at most a second old."""
        if (known := self._fresh()) is not None:
            return known
        # One of a burst reads, and the others wait for it.
        async with self._reading:
            if (known := self._fresh()) is None:
                rules = await self._policy(conn)
                known = Known(await _directory(conn), await _calendar(conn), rules, policy.to_snapshot(rules))
                self._known, self._read_at = known, clock.monotonic()
        return known

    def _fresh(self) -> Known | None:
        return self._known if clock.monotonic() - self._read_at <= _FRESH else None

    def forget(self) -> None:
        """Read anew at the next question: this node itself has just changed the registry."""
        self._known = None

    async def _policy(self, conn: AsyncConnection) -> policy.Policy:
        query = (
            sa.select(_POLICIES.c.text)
            .where(_POLICIES.c.name == self._policy_name)
            .order_by(_POLICIES.c.version.desc())
            .limit(1)
        )
        text = (await conn.execute(query)).scalar_one_or_none()
        chosen = policy.loads(self._policy_name) if text is None else _load(text)
        rows = (await conn.execute(sa.select(_LIMITS).order_by(_LIMITS.c.created_at, _LIMITS.c.id))).all()
        operator = tuple(
            deadlines.LimitOverride(
                stage=row.stage,
                within=timedelta(seconds=row.within_seconds),
                action=row.action,
                target_kind=row.target_kind,
                participant_id=row.participant_id,
                legal_basis=row.legal_basis,
            )
            for row in rows
        )
        # An operator's own limit takes the place of the policy's for exactly the same: a snapshot has no twins.
        limits = {_fits(limit): limit for limit in (*chosen.limit_overrides, *operator)}
        return replace(chosen, limit_overrides=tuple(limits.values()))


# Reading one takes two milliseconds, and it is the same one for months.
_load = functools.lru_cache(maxsize=4)(policy.load)


def _fits(limit: deadlines.LimitOverride) -> tuple[object, ...]:
    return limit.stage, limit.action, limit.target_kind, limit.participant_id, limit.legal_basis


async def _directory(conn: AsyncConnection) -> routing.Directory:
    members = (
        await conn.execute(
            sa.select(_PARTICIPANTS.c.id, _PARTICIPANTS.c.sector, _PARTICIPANTS.c.status).where(
                _PARTICIPANTS.c.sector != Sector.AGENCY
            )
        )
    ).all()
    aliases: dict[tuple[str, str], list[routing.AliasEntry]] = {}
    for row in (await conn.execute(sa.select(_ALIASES))).all():
        entry = routing.AliasEntry(row.participant_id, row.valid_from, row.valid_to)
        aliases.setdefault((row.scheme, row.value), []).append(entry)
    return routing.Directory(
        by_alias={key: tuple(entries) for key, entries in aliases.items()},
        participants={row.id: routing.Member(row.id, row.sector, row.status) for row in members},
    )


async def _calendar(conn: AsyncConnection) -> working_hours.Calendar:
    days = (await conn.execute(sa.select(_DAYS.c.day, _DAYS.c.kind))).all()
    holidays = frozenset(row.day for row in days if row.kind == "holiday")
    known = holidays or {date(1970, 1, 1)}
    return working_hours.Calendar(
        holidays=holidays,
        workdays=frozenset(row.day for row in days if row.kind == "workday"),
        # A year is known once the holidays of it are.
        known_from=date(min(known).year, 1, 1),
        known_to=date(max(known).year, 12, 31),
    )
