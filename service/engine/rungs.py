"""The ladders of one request as they stand: each rung with its instant, what became of it, and who stands on it now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine import dossier, ladders, reach
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.engine.ladders import Subject
from service.models import ActionRequest, Appeal, Deadline, Escalation, table_of
from service.queries import visibility
from service.security.principals import Principal
from service.vault import subjects
from workflows import appeal, escalation, policy, states
from workflows.terms import AppealState, DeadlineState, Reach, RequestState, Role, Stage, SubjectKind

_APPEALS = table_of(Appeal)
_DEADLINES = table_of(Deadline)
_ESCALATIONS = table_of(Escalation)
_REQUESTS = table_of(ActionRequest)


class RungState(StrEnum):
    """What became of a rung: it fired, it is the next one, it comes later, or nobody has to be called any more."""

    DONE = "done"
    NEXT = "next"
    LATER = "later"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Place:
    """Who stands on a rung: in which part, of which house (None: there is none), how many are on duty now.

    ``people`` are their names, for who may call them.
    """

    reach: Reach
    house: str | None
    on_duty: int
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: when it is or was due, when it fired and how many it reached then (None: it did not fire).

    ``deadline_id`` is its own clock, while it waits (None: there is nothing to hasten).
    """

    number: int
    due_at: datetime
    state: RungState
    deadline_id: int | None
    raised_at: datetime | None
    reached: int | None
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The ladder behind one stage of one order, of an appeal, or of the request itself, and the policy it stands in.

    ``order_id`` is None but of an order's; ``participant_id`` is who owes what it waits for: of an appeal the agency,
    of the request itself None. ``current`` is the rung on which it stands: the last one that fired, while what it waits
    for is still owed.
    """

    order_id: UUID | None
    participant_id: str | None
    is_appeal: bool
    stage: str
    started_at: datetime
    due_at: datetime
    current: int | None
    policy_name: str
    policy_version: int
    rungs: tuple[Rung, ...]

    @property
    def is_over(self) -> bool:
        """Tell whether nobody has to be called any more."""
        return all(rung.state in (RungState.DONE, RungState.OVER) for rung in self.rungs)


@dataclass(frozen=True, slots=True)
class _Base:
    """A deadline with its ladder, and what its rungs have done so far."""

    deadline: Row
    ladder: tuple[policy.Rung, ...]
    rules: policy.Policy
    fired: Mapping[int, Row]
    timers: Mapping[int, Row]
    is_owed: bool


async def of_request(conn: AsyncConnection, hub: Hub, principal: Principal, request_id: UUID) -> list[Ladder]:
    """Return the ladders of a request that the caller was shown before, those that still climb first.

    Whose duty rosters are asked lies with other members: the transaction's reach is extended for them. Names are for
    coordinators, who call; others learn how many are on duty.
    """
    kept = sa.select(_REQUESTS.c.policy).where(_REQUESTS.c.id == request_id)
    if (await conn.execute(kept)).scalar_one_or_none() is None:
        return []  # what was refused at once climbs no ladder, and keeps none
    file = (await dossier.load(conn, [request_id]))[request_id]
    await db.extend(conn, db.HUB)
    rows = [dict(row._mapping) for row in (await conn.execute(_of(request_id))).all()]
    orders = {row["subject_id"] for row in rows if row["subject_kind"] is SubjectKind.ORDER}
    known = await ladders.subjects(conn, orders)
    raised = (await conn.execute(sa.select(_ESCALATIONS).where(_ESCALATIONS.c.request_id == request_id))).all()
    fired = {row.deadline_id: dict(row._mapping) for row in raised}
    contested = await conn.execute(
        sa.select(_APPEALS.c.id, _APPEALS.c.state).where(_APPEALS.c.request_id == request_id)
    )
    bases = _bases(rows, file, known, fired, {row.id: row.state for row in contested.all()})
    above = await reach.supervisors(conn, {each.deadline["participant_id"] for each in bases} - {None})
    houses = {house for base in bases for _, house in _called(base, above) if house}
    names = Role.COORDINATOR in principal.roles and visibility.sees_all(principal)
    people = await _people(conn, hub, houses, names=names)
    made = [_ladder(base, above, people) for base in bases]
    return sorted(made, key=lambda ladder: (ladder.is_over, ladder.due_at))


def _of(request_id: UUID) -> sa.Select[Any]:
    return (
        sa.select(_DEADLINES)
        .where(_DEADLINES.c.request_id == request_id, _DEADLINES.c.subject_kind != SubjectKind.TASK)
        .order_by(_DEADLINES.c.generation, _DEADLINES.c.id)
    )


def _bases(
    rows: Sequence[Row],
    file: Dossier,
    known: Mapping[UUID, Subject],
    fired: Mapping[int, Row],
    contested: Mapping[UUID, AppealState],
) -> list[_Base]:
    """Return the latest clock of each stage that has a ladder: one that runs, was missed, or had a rung fired."""
    latest = {(row["subject_id"], row["stage"]): row for row in rows if row["rung"] == 0}
    found = []
    for (subject_id, stage), deadline in latest.items():
        mine = [row for row in rows if (row["subject_id"], row["stage"]) == (subject_id, stage) and row["rung"]]
        mine = [row for row in mine if row["generation"] == deadline["generation"]]
        climbed = {row["rung"]: fired[row["id"]] for row in mine if row["id"] in fired}
        if deadline["state"] not in (DeadlineState.PENDING, DeadlineState.MISSED) and not climbed:
            continue
        ladder, rules = ladders.behind(deadline, file.policy, known, deadline["due_at"])
        timers = {row["rung"]: row for row in mine if row["state"] is DeadlineState.PENDING}
        if deadline["subject_kind"] is SubjectKind.APPEAL:
            is_owed = contested[subject_id] in appeal.OWED[stage]
        else:
            is_owed = _is_owed(deadline, known.get(subject_id), file)
        if ladder:
            found.append(_Base(deadline, ladder, rules, climbed, timers, is_owed))
    return found


def _is_owed(deadline: Row, subject: Subject | None, file: Dossier) -> bool:
    """Tell whether what the deadline is for has not come yet, be it in time or late."""
    if deadline["state"] is not DeadlineState.MISSED:
        return deadline["state"] is DeadlineState.PENDING
    if subject is None:
        return deadline["stage"] is Stage.APPROVAL and file.request["state"] is RequestState.AWAITING_APPROVAL
    since = subject.order["letting_go_since"]
    return states.is_owed(
        deadline["stage"], subject.order["state"], since is not None and deadline["started_at"] >= since
    )


def _called(base: _Base, above: Mapping[str, str]) -> list[tuple[Reach, str | None]]:
    whom = reach.houses(base.deadline, above)
    return [(part, whom[part]) for part in dict.fromkeys(part for rung in base.ladder for part in rung.reach)]


async def _people(conn: AsyncConnection, hub: Hub, houses: Collection[str], *, names: bool) -> dict[str, list[str]]:
    """Return who of each house is on duty now: their names, or as many empty ones."""
    duty = await reach.on_duty(conn, houses, await db.now(conn), mail=hub.settings.smtp_host is not None)
    if not names:
        return {house: [""] * len(contacts) for house, contacts in duty.items()}
    keys = await subjects.of(conn, *(each.name_sealed for contacts in duty.values() for each in contacts))
    return {
        house: [hub.vault.shown(keys, "contacts", each.contact_id, each.tenant, each.name_sealed) for each in contacts]
        for house, contacts in duty.items()
    }


def _ladder(base: _Base, above: Mapping[str, str], people: Mapping[str, Sequence[str]]) -> Ladder:
    deadline, whom = base.deadline, dict(_called(base, above))
    is_order, is_appeal = (deadline["subject_kind"] is kind for kind in (SubjectKind.ORDER, SubjectKind.APPEAL))
    is_climbed = deadline["state"] in (DeadlineState.PENDING, DeadlineState.MISSED)
    coming = next((rung.number for rung in base.ladder if rung.number not in base.fired), None)
    rungs = []
    for rung in base.ladder:
        raised = base.fired.get(rung.number)
        if raised is not None:
            state = RungState.DONE
        elif not is_climbed or (deadline["state"] is DeadlineState.MISSED and not base.timers):
            state = RungState.OVER
        else:
            state = RungState.NEXT if rung.number == coming else RungState.LATER
        timer = base.timers.get(rung.number)
        due_at = timer["due_at"] if timer else escalation.due(rung, deadline["started_at"])
        rungs.append(
            Rung(
                number=rung.number,
                due_at=raised["due_at"] if raised else due_at,
                state=state,
                deadline_id=timer["id"] if timer else None,
                raised_at=raised["raised_at"] if raised else None,
                reached=sum(entry["contacts"] for entry in raised["reached"]) if raised else None,
                places=tuple(_place(part, whom[part], people) for part in rung.reach),
            )
        )
    return Ladder(
        order_id=deadline["subject_id"] if is_order else None,
        participant_id=deadline["participant_id"] if is_order or is_appeal else None,
        is_appeal=is_appeal,
        stage=str(deadline["stage"]),
        started_at=deadline["started_at"],
        due_at=deadline["due_at"],
        current=max(base.fired, default=None) if base.is_owed else None,
        policy_name=base.rules.name,
        policy_version=base.rules.version,
        rungs=tuple(rungs),
    )


def _place(part: Reach, house: str | None, people: Mapping[str, Sequence[str]]) -> Place:
    standing = people.get(house or "", ())
    return Place(part, house, len(standing), tuple(name for name in standing if name))
