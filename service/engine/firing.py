"""Fires what is due: each deadline once, with its fact, its notices and the next rung in one transaction."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, clock, db, log, outages
from service.audit import Log
from service.engine import dossier, ending, escalating, ladders, timers
from service.engine.dossier import Dossier, Row
from service.engine.floors import Floor
from service.engine.hub import Hub
from service.models import Deadline, table_of
from workflows.terms import DeadlineState, Fact, Stage, SubjectKind

BATCH = 200
# How many batches to look past that other nodes are just firing, before waiting for them.
_PAST = 4

_DEADLINES = table_of(Deadline)
_log = log.get(__name__)


# How long a chain is left alone of which a deadline broke its batch, in seconds.
SET_ASIDE = 30.0


class Aside:
    """What a node leaves aside: chains of which a deadline could not fire, for a while, and all below its floor."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self.floor = Floor()

    def chains(self) -> Collection[str]:
        """Return those that are left alone now."""
        at = clock.monotonic()
        kept = {chain: until for chain, until in self._until.items() if at < until}
        if len(kept) < len(self._until):
            # What is due of a chain that comes back lies below the floor, and fires before what is due later of it.
            self.floor.forget()
        self._until = kept
        return kept.keys()

    def put(self, chain: str) -> None:
        """Leave one alone from now on."""
        self._until[chain] = clock.monotonic() + SET_ASIDE


@dataclass(frozen=True, slots=True)
class FireResult:
    """How many deadlines fired, whether more may be due now, and in how many seconds the next one is.

    ``late`` is by how many seconds the latest of them was.
    """

    fired: int
    more: bool
    next_in: float | None
    late: float = 0.0


async def fire_once(hub: Hub, aside: Aside | None = None) -> FireResult:
    """Fire one batch of due deadlines; any node may call it at any time, all the time.

    A request whose chain another transaction holds (an answer arriving this instant) is left for the next call:
    whoever locks the chain first is first, and the other one sees what it did. Where one deadline breaks the batch,
    the chains fire one by one, and its own is put ``aside``, so that it holds up nobody but itself.
    """
    aside = aside or Aside()
    try:
        return await hub.writer.run(
            functools.partial(_fire, hub=hub, without=aside.chains(), floor=aside.floor), reach=db.HUB
        )
    except Exception as error:
        if outages.is_outage(error):
            raise
        _log.exception("firing.broke", node=hub.settings.node)
    async with hub.database.read(db.HUB) as conn:
        due = await _candidates(conn, await db.now(conn), without=aside.chains())
        chains = dict.fromkeys(row.chain for row in due)
    fired = 0
    for chain in chains:
        try:
            fired += (await hub.writer.run(functools.partial(_fire, hub=hub, only=[chain]), reach=db.HUB)).fired
        except Exception as error:
            if outages.is_outage(error):
                raise
            aside.put(chain)
            _log.exception("firing.given_up", chain=chain, node=hub.settings.node)
    # What broke is due for ever; but of what stands behind it nothing has been looked at yet.
    return FireResult(fired, len(due) == BATCH, None)


async def _fire(
    conn: AsyncConnection,
    hub: Hub,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    floor: Floor | None = None,
) -> FireResult:
    now = await db.now(conn)
    since = floor.at(now) if floor else None
    least: datetime | None = None
    fired: list[Row] = []
    is_full = True
    for past in range(_PAST):
        candidates = await _candidates(conn, now, only, past * BATCH, without=without, since=since)
        least = candidates[0].due_at if candidates and not past else least
        is_full = len(candidates) == BATCH
        facts = await Log.open(conn, now, {row.chain for row in candidates}, wait=False)
        held = [row.id for row in candidates if facts.holds(row.chain)]
        if held and past:
            # What was looked past may have been let go meanwhile: of a chain nothing fires before what is due earlier.
            chains = {row.chain for row in candidates if facts.holds(row.chain)}
            held = [row.id for row in await _candidates(conn, now, chains, until=candidates[-1], since=since)]
        if held:
            facts.at = await db.now(conn)
            fired = await _flip(conn, hub, facts.at, held)
            await _consequences(conn, hub, facts, fired)
            await facts.flush()
        if held or not is_full:
            break
    # Cleared chains may hold more; locked ones are free in a moment.
    late = max(((facts.at - row["due_at"]).total_seconds() for row in fired), default=0.0)
    following = None if is_full else await _next(conn, without, since)
    if floor:
        floor.looked(least or following, now)
    return FireResult(len(fired), is_full, 0.0 if is_full else _until(following, now), late)


async def _candidates(
    conn: AsyncConnection,
    now: datetime,
    only: Collection[str] | None = None,
    past: int = 0,
    until: sa.Row[Any] | None = None,
    without: Collection[str] = (),
    since: datetime | None = None,
) -> Sequence[Any]:
    """Return a batch of what is due at ``now``, of the chains ``only``, behind so many, no later than ``until``.

    Of the chains ``without`` there is nothing among it, nor of what was due before ``since``.
    """
    # By the instant that the facts will carry: not a moment early.
    query = (
        sa.select(_DEADLINES.c.id, _DEADLINES.c.chain, _DEADLINES.c.due_at)
        .where(_DEADLINES.c.state == DeadlineState.PENDING, _DEADLINES.c.due_at <= now)
        .order_by(_DEADLINES.c.due_at, _DEADLINES.c.id)
        .limit(BATCH)
        .offset(past)
    )
    if only is not None:
        query = query.where(among.of(conn, _DEADLINES.c.chain, only))
    if without:
        query = query.where(sa.not_(among.of(conn, _DEADLINES.c.chain, without)))
    if since is not None:
        query = query.where(_DEADLINES.c.due_at >= since)
    if until is not None:
        # Else a burst is walked through to its end, for the few chains that are asked for.
        place = sa.tuple_(_DEADLINES.c.due_at, _DEADLINES.c.id)
        query = query.where(place <= sa.tuple_(sa.literal(until.due_at, _DEADLINES.c.due_at.type), until.id))
    return (await conn.execute(query)).all()


async def _flip(conn: AsyncConnection, hub: Hub, at: datetime, ids: Sequence[int]) -> list[Row]:
    if not ids:
        return []
    statement = (
        sa.update(_DEADLINES)
        .where(among.of(conn, _DEADLINES.c.id, ids), _DEADLINES.c.state == DeadlineState.PENDING)
        .values(state=DeadlineState.MISSED, settled_at=at, settled_by=hub.settings.node)
        .returning(_DEADLINES)
    )
    result = await conn.execute(statement)
    names = tuple(result.keys())
    rows = [dict(zip(names, row, strict=True)) for row in result.all()]
    return sorted(rows, key=lambda row: (row["due_at"], row["id"]))


async def _consequences(conn: AsyncConnection, hub: Hub, facts: Log, fired: Sequence[Row]) -> None:
    about = await dossier.load(conn, {row["request_id"] for row in fired if _needs_dossier(row)})
    orders = {row["subject_id"] for row in fired if row["subject_kind"] is SubjectKind.ORDER}
    subjects = await ladders.subjects(conn, orders)
    were_due = await _were_due(conn, [row for row in fired if row["rung"] > 0])
    first: list[timers.Timer] = []
    due: list[escalating.Due] = []
    for row in fired:
        found = about.get(row["request_id"])
        was_due_at: datetime = were_due.get(_clock(row)) or row["due_at"]
        ladder, rules = ladders.behind(row, found.policy if found else None, subjects, was_due_at)
        if row["rung"] > 0:
            rung = next(rung for rung in ladder if rung.number == row["rung"])
            due.append(escalating.Due(row, was_due_at, rung, ladder, rules, found))
            continue
        if row["stage"] not in ladders.OWN:
            _missed(hub, facts, row)
        first += escalating.first_rung(row, ladder)
    await timers.start(conn, first)
    await escalating.raise_all(conn, hub, facts, due)
    await _own_clocks(conn, hub, facts, about, subjects, [row for row in fired if row["rung"] == 0])


def _needs_dossier(row: Row) -> bool:
    """Tell whether more of a request is needed than the ladder of a missed order asks for, as most of a burst are."""
    is_missed_order = row["subject_kind"] is SubjectKind.ORDER and row["rung"] == 0 and row["stage"] not in ladders.OWN
    return row["request_id"] is not None and not is_missed_order


async def _own_clocks(
    conn: AsyncConnection,
    hub: Hub,
    facts: Log,
    about: dict[UUID, Dossier],
    subjects: dict[UUID, ladders.Subject],
    fired: Sequence[Row],
) -> None:
    def of(stage: Stage, kind: SubjectKind) -> list[Row]:
        return [row for row in fired if row["stage"] is stage and row["subject_kind"] is kind]

    await ending.warn_of_end(conn, hub, facts, about, of(Stage.END_WARNING, SubjectKind.REQUEST))
    await ending.reopen(conn, hub, facts, subjects, of(Stage.ACKNOWLEDGEMENT_END, SubjectKind.ORDER))
    await ending.end_unreviewed(conn, hub, facts, about, of(Stage.REVIEW, SubjectKind.REQUEST))
    await ending.end_orders(conn, hub, facts, about, of(Stage.END, SubjectKind.ORDER), "end_reached")
    await ending.end_requests(conn, hub, facts, about, of(Stage.END, SubjectKind.REQUEST))


def _clock(row: Row) -> tuple[UUID, Stage, int]:
    return row["subject_id"], row["stage"], row["generation"]


async def _were_due(conn: AsyncConnection, rungs: Sequence[Row]) -> dict[tuple[UUID, Stage, int], datetime]:
    """Read when the deadlines themselves, behind which these rungs stand, were due."""
    subjects = {row["subject_id"] for row in rungs}
    query = sa.select(_DEADLINES).where(_DEADLINES.c.subject_id.in_(subjects), _DEADLINES.c.rung == 0)
    rows = (await conn.execute(query)).all() if subjects else []
    return {_clock(dict(row._mapping)): row.due_at for row in rows}


def _missed(hub: Hub, facts: Log, row: Row) -> None:
    facts.record(
        row["chain"],
        Fact.DEADLINE_MISSED,
        hub.actor,
        row["tenant"],
        request_id=row["request_id"],
        deadline_id=row["id"],
        subject=str(row["subject_id"]),
        stage=str(row["stage"]),
        participant_id=row["participant_id"],
        due_at=row["due_at"],
    )


async def _next(conn: AsyncConnection, without: Collection[str], since: datetime | None) -> datetime | None:
    query = sa.select(sa.func.min(_DEADLINES.c.due_at)).where(_DEADLINES.c.state == DeadlineState.PENDING)
    if without:
        query = query.where(sa.not_(among.of(conn, _DEADLINES.c.chain, without)))
    if since is not None:
        query = query.where(_DEADLINES.c.due_at >= since)
    due_at: datetime | None = (await conn.execute(query)).scalar_one()
    return due_at


def _until(due_at: datetime | None, now: datetime) -> float | None:
    return None if due_at is None else max(0.0, (due_at - now).total_seconds())
