"""Which ladder and which time belong to a deadline: the rules asked with what the database knows of its subject."""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.engine import dossier
from service.engine.dossier import Row
from service.models import ActionRequest, Order, Participant, Target, table_of
from workflows import deadlines, policy, states
from workflows.policy import Policy, Rung
from workflows.terms import Action, Stage, SubjectKind

_ORDERS = table_of(Order)
_REQUESTS = table_of(ActionRequest)
_TARGETS = table_of(Target)
_PARTICIPANTS = table_of(Participant)
# The hub's own clocks: their instant is not somebody's failure, so no "missed" is recorded and nobody is called.
OWN = frozenset({Stage.END, Stage.END_WARNING, Stage.ACKNOWLEDGEMENT_END, Stage.REVIEW})
_STANDING = ("id", "request_id", "participant_id", "action", "state", "lift_ordered", "letting_go_since")
_SUBJECTS = (
    sa.select(*(_ORDERS.c[name] for name in _STANDING), _TARGETS.c.kind, _TARGETS.c.intimate, _PARTICIPANTS.c.sector)
    .join(_TARGETS, _TARGETS.c.id == _ORDERS.c.target_id)
    .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _ORDERS.c.participant_id)
)


@dataclass(frozen=True, slots=True)
class Subject:
    """An order with what its clocks depend on: what was demanded, about what kind of target, of whom, by which policy.

    ``order`` has besides its own columns the ``kind`` and ``intimate`` of its target and the ``sector`` of its
    participant, ``demand`` the request's measure, urgency and legal basis.
    """

    order: Row
    demand: Row
    policy: Policy

    @property
    def action(self) -> Action:
        """What the participant is asked for now."""
        order = self.order
        return states.asked_for(order["action"], order["state"], lift_ordered=order["lift_ordered"])


async def subjects(conn: AsyncConnection, order_ids: Collection[UUID]) -> dict[UUID, Subject]:
    """Read the orders behind a batch of deadlines, and no more of their requests than their ladders depend on."""
    if not order_ids:
        return {}
    rows = (await conn.execute(_SUBJECTS.where(among.of(conn, _ORDERS.c.id, order_ids)))).all()
    demands = await dossier.demands(conn, {row.request_id for row in rows})
    return {row.id: Subject(dict(row._mapping), *demands[row.request_id]) for row in rows}


def behind(
    deadline: Row, found: Policy | None, subjects: Mapping[UUID, Subject], due_at: datetime
) -> tuple[tuple[Rung, ...], Policy]:
    """Return the ladder behind a deadline, or behind the one of its rungs, and the policy that it stands in.

    ``found`` is the policy that its request keeps (an order brings it along, and a task may belong to no request),
    ``subjects`` has its order, ``due_at`` is when the deadline itself was due. An own clock of an order has no ladder.
    """
    stage: Stage = deadline["stage"]
    if deadline["subject_kind"] is SubjectKind.ORDER:
        subject = subjects[deadline["subject_id"]]
        return () if stage in OWN else of_order(subject, stage), subject.policy
    if deadline["subject_kind"] is SubjectKind.APPEAL and found is not None:
        return of_appeal(found, stage, due_at - deadline["started_at"])
    # A task that belongs to no request (an endpoint that is down) climbs the shipped ladder.
    rules = found if found is not None else policy.loads("vn-default")
    return of_other(rules, stage), rules


def within(subject: Subject, stage: Stage) -> timedelta:
    """Return the time that this order has for a stage."""
    return _within(_Same(subject.policy), *_depends_on(subject, stage))


def of_order(subject: Subject, stage: Stage) -> tuple[Rung, ...]:
    """Return the ladder behind one stage of an order."""
    return _ladder(_Same(subject.policy), *_depends_on(subject, stage))


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A policy that is compared by which one it is: comparing rung by rung costs more than asking the rules."""

    policy: Policy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.policy is self.policy

    def __hash__(self) -> int:
        return id(self.policy)


def _depends_on(subject: Subject, stage: Stage) -> tuple[Any, ...]:
    order, demand = subject.order, subject.demand
    demanded = demand["measure"], demand["urgency"], demand["legal_basis"]
    return stage, subject.action, *demanded, order["kind"], order["intimate"], order["sector"], order["participant_id"]


# What the rules say is alike for most of a batch of deadlines, and for one batch after the other.
@functools.lru_cache(maxsize=8_192)
def _within(rules: _Same, stage: Stage, action: Action, *about: Any) -> timedelta:
    measure, urgency, legal_basis, kind, intimate, sector, participant_id = about
    limits = deadlines.limits_for(
        action,
        kind,
        sector,
        measure=measure,
        urgency=urgency,
        intimate=intimate,
        participant_id=participant_id,
        legal_basis=legal_basis,
        overrides=rules.policy.limit_overrides,
    )
    return next(limit.within for limit in limits if limit.stage is stage)


@functools.lru_cache(maxsize=8_192)
def _ladder(rules: _Same, stage: Stage, action: Action, *about: Any) -> tuple[Rung, ...]:
    _, urgency, _, kind, intimate, sector, _ = about
    time = _within(rules, stage, action, *about)
    return policy.rungs(
        rules.policy, action, kind, stage, sector=sector, intimate=intimate, urgency=urgency, within=time
    )


def of_other(rules: Policy, stage: Stage) -> tuple[Rung, ...]:
    """Return the ladder behind a clock of a request or a task."""
    return policy.rungs(rules, None, None, stage)


def of_appeal(rules: Policy, stage: Stage, within: timedelta) -> tuple[tuple[Rung, ...], Policy]:
    """Return the ladder behind a clock of an appeal that has the time ``within``, and the policy that it stands in.

    A policy of before there were appeals knows none: then the shipped ladder is climbed, so that somebody is called.
    """
    for chosen in (rules, policy.loads("vn-default")):
        found = policy.rungs(chosen, None, None, stage, within=within)
        if found:
            return found, chosen
    return (), rules
