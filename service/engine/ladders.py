"""Which ladder and which time belong to a deadline: the rules asked with what the database knows of its subject."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.engine import reach
from service.engine.dossier import Dossier, Row
from service.models import Order, table_of
from workflows import deadlines, policy, states
from workflows.terms import Action, Sector, Stage, SubjectKind

_ORDERS = table_of(Order)
# The hub's own clocks: their instant is not somebody's failure, so no "missed" is recorded and nobody is called.
OWN = frozenset({Stage.END, Stage.END_WARNING, Stage.ACKNOWLEDGEMENT_END, Stage.REVIEW})


@dataclass(frozen=True, slots=True)
class Subject:
    """An order with what its clocks depend on."""

    order: Row
    dossier: Dossier
    sector: Sector

    @property
    def action(self) -> Action:
        """What the participant is asked for now."""
        order = self.order
        return states.asked_for(order["action"], order["state"], lift_ordered=order["lift_ordered"])


async def subjects(
    conn: AsyncConnection, about: Mapping[UUID, Dossier], order_ids: Collection[UUID]
) -> dict[UUID, Subject]:
    """Read the orders behind a batch of deadlines."""
    if not order_ids:
        return {}
    rows = (await conn.execute(sa.select(_ORDERS).where(among.of(conn, _ORDERS.c.id, order_ids)))).all()
    sectors = await reach.sectors(conn, {row.participant_id for row in rows})
    return {row.id: Subject(dict(row._mapping), about[row.request_id], sectors[row.participant_id]) for row in rows}


# What the rules said of a policy and all else that a ladder depends on: alike for most of a batch of deadlines.
Known = dict[tuple[object, ...], tuple[policy.Rung, ...]]


def behind(
    deadline: Row, found: Dossier | None, subjects: Mapping[UUID, Subject], due_at: datetime, known: Known
) -> tuple[tuple[policy.Rung, ...], policy.Policy]:
    """Return the ladder behind a deadline, or behind the one of its rungs, and the policy that it stands in.

    ``found`` is what its request keeps (None: it belongs to no request), ``subjects`` has its order, ``due_at`` is when
    the deadline itself was due; ``known`` is that of ``of_order``. An own clock of an order has no ladder.
    """
    stage: Stage = deadline["stage"]
    if deadline["subject_kind"] is SubjectKind.ORDER and found is not None:
        return () if stage in OWN else of_order(subjects[deadline["subject_id"]], stage, known), found.policy
    if deadline["subject_kind"] is SubjectKind.APPEAL and found is not None:
        return of_appeal(found.policy, stage, due_at - deadline["started_at"])
    # A task that belongs to no request (an endpoint that is down) climbs the shipped ladder.
    rules = found.policy if found is not None else policy.loads("vn-default")
    return of_other(rules, stage), rules


def within(subject: Subject, stage: Stage) -> timedelta:
    """Return the time that this order has for a stage."""
    target = subject.dossier.targets[subject.order["target_id"]]
    request = subject.dossier.request
    limits = deadlines.limits_for(
        subject.action,
        target["kind"],
        subject.sector,
        measure=request["measure"],
        urgency=request["urgency"],
        intimate=target["intimate"],
        participant_id=subject.order["participant_id"],
        legal_basis=request["legal_basis"],
        overrides=subject.dossier.policy.limit_overrides,
    )
    return next(limit.within for limit in limits if limit.stage is stage)


def of_order(subject: Subject, stage: Stage, known: Known) -> tuple[policy.Rung, ...]:
    """Return the ladder behind one stage of an order; what ``known`` has, the rules are not asked again.

    ``known`` is for as long as the dossiers are: it names policies by their place in memory.
    """
    found = known.get(name := _depends_on(subject, stage))
    if found is None:
        found = known[name] = _asked(subject, stage)
    return found


def _depends_on(subject: Subject, stage: Stage) -> tuple[object, ...]:
    request, target = subject.dossier.request, subject.dossier.targets[subject.order["target_id"]]
    demanded = tuple(request[name] for name in ("measure", "urgency", "legal_basis"))
    about = target["kind"], target["intimate"], subject.sector, subject.order["participant_id"]
    return id(subject.dossier.policy), subject.action, stage, *demanded, *about


def _asked(subject: Subject, stage: Stage) -> tuple[policy.Rung, ...]:
    target = subject.dossier.targets[subject.order["target_id"]]
    return policy.rungs(
        subject.dossier.policy,
        subject.action,
        target["kind"],
        stage,
        sector=subject.sector,
        intimate=target["intimate"],
        urgency=subject.dossier.request["urgency"],
        within=within(subject, stage),
    )


def of_other(rules: policy.Policy, stage: Stage) -> tuple[policy.Rung, ...]:
    """Return the ladder behind a clock of a request or a task."""
    return policy.rungs(rules, None, None, stage)


def of_appeal(rules: policy.Policy, stage: Stage, within: timedelta) -> tuple[tuple[policy.Rung, ...], policy.Policy]:
    """Return the ladder behind a clock of an appeal that has the time ``within``, and the policy that it stands in.

    A policy of before there were appeals knows none: then the shipped ladder is climbed, so that somebody is called.
    """
    for chosen in (rules, policy.loads("vn-default")):
        found = policy.rungs(chosen, None, None, stage, within=within)
        if found:
            return found, chosen
    return (), rules
