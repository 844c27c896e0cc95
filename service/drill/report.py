"""What came of a drill, participant by participant: received, answered, executed, in time or not, escalated."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, i18n
from service.engine.hub import Hub
from service.models import Acknowledgement, Deadline, Escalation, Order, Participant, table_of
from workflows.terms import DeadlineState, Outcome, Stage, SubjectKind

_ORDERS, _PARTICIPANTS = table_of(Order), table_of(Participant)
_ANSWERS, _DEADLINES, _ESCALATIONS = table_of(Acknowledgement), table_of(Deadline), table_of(Escalation)
# The stages of a participant's own; an end or a report is nobody's to be quick about.
STAGES = (Stage.RECEIPT, Stage.ACKNOWLEDGE, Stage.EXECUTE)


@dataclass
class Row:
    """One participant: how many orders it got, and how many of them came to what.

    ``answered`` counts orders with any answer, ``executed`` and ``refused`` those with such a one. ``met`` and
    ``missed`` count limits by stage, ``pending`` those that still run. ``rungs`` counts rungs that fired,
    ``unreachable`` those of them that reached nobody.
    """

    participant_id: str
    name: str
    orders: int = 0
    received: int = 0
    answered: int = 0
    executed: int = 0
    refused: int = 0
    met: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    rungs: int = 0
    unreachable: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The drill at an instant: which hub, which participants."""

    hub: str
    at: datetime
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data; ``drill`` is always true."""
        return {
            "drill": True,
            "hub": self.hub,
            "at": clock.written(self.at),
            "participants": [asdict(row) for row in self.rows],
        }


async def make(hub: Hub) -> Report:
    """Count what happened at this drill's hub until now."""
    async with hub.database.read(db.HUB) as conn:
        rows = await _orders(conn)
        await _answers(conn, rows)
        await _limits(conn, rows)
        await _escalations(conn, rows)
        return Report(hub.settings.address, await db.now(conn), tuple(rows[name] for name in sorted(rows)))


async def _orders(conn: AsyncConnection) -> dict[str, Row]:
    query = sa.select(_ORDERS.c.participant_id, _PARTICIPANTS.c.short_name, _ORDERS.c.delivered_at).join(
        _PARTICIPANTS, _PARTICIPANTS.c.id == _ORDERS.c.participant_id
    )
    rows: dict[str, Row] = {}
    for found in (await conn.execute(query)).all():
        row = rows.setdefault(found.participant_id, Row(found.participant_id, found.short_name))
        row.orders += 1
        row.received += found.delivered_at is not None
    return rows


async def _answers(conn: AsyncConnection, rows: Mapping[str, Row]) -> None:
    query = sa.select(_ORDERS.c.participant_id, _ORDERS.c.id, _ANSWERS.c.outcome).join(
        _ANSWERS, _ANSWERS.c.order_id == _ORDERS.c.id
    )
    said: dict[tuple[str, Any], set[Outcome]] = {}
    for found in (await conn.execute(query)).all():
        said.setdefault((found.participant_id, found.id), set()).add(found.outcome)
    for (name, _), outcomes in said.items():
        rows[name].answered += 1
        rows[name].executed += Outcome.EXECUTED in outcomes
        rows[name].refused += Outcome.REFUSED in outcomes


async def _limits(conn: AsyncConnection, rows: Mapping[str, Row]) -> None:
    query = sa.select(_DEADLINES.c.participant_id, _DEADLINES.c.stage, _DEADLINES.c.state).where(
        _DEADLINES.c.subject_kind == SubjectKind.ORDER, _DEADLINES.c.rung == 0, _DEADLINES.c.stage.in_(STAGES)
    )
    counted = Counter((found.participant_id, found.stage, found.state) for found in (await conn.execute(query)).all())
    for (name, stage, state), count in counted.items():
        if state is DeadlineState.MET:
            rows[name].met[str(stage)] = count
        elif state is DeadlineState.MISSED:
            rows[name].missed[str(stage)] = count
        elif state is DeadlineState.PENDING:
            rows[name].pending += count


async def _escalations(conn: AsyncConnection, rows: Mapping[str, Row]) -> None:
    query = sa.select(_ESCALATIONS.c.participant_id, _ESCALATIONS.c.reached_somebody).where(
        _ESCALATIONS.c.order_id.is_not(None)
    )
    for found in (await conn.execute(query)).all():
        rows[found.participant_id].rungs += 1
        rows[found.participant_id].unreachable += not found.reached_somebody


def as_markdown(report: Report, lang: str) -> str:
    """Return the report as a page for people, in ``vi`` or ``en``: a table with one line a participant."""

    def say(key: str, **params: Any) -> str:
        return i18n.text(f"drill.report.{key}", lang, **params)

    heads = ("participant", "orders", "received", "answered", "executed", "refused", "limits", "escalations")
    lines = [
        f"# {i18n.text('drill.mark', lang)}: {say('title')}",
        "",
        say("at", hub=report.hub, at=report.at),
        "",
        _line(say(head) for head in heads),
        _line("---" for _ in heads),
    ]
    for row in report.rows:
        counts = (row.orders, row.received, row.answered, row.executed, row.refused)
        lines.append(_line([row.name, *map(str, counts), _within(row, say), _called(row, say)]))
    return "\n".join([*lines, "", say("nobody") if not report.rows else say("note"), ""])


def _within(row: Row, say: Any) -> str:
    told = []
    for stage in STAGES:
        met, missed = row.met.get(str(stage), 0), row.missed.get(str(stage), 0)
        if met or missed:
            told.append(say("missed" if missed else "met", stage=str(stage), met=met, missed=missed))
    if row.pending:
        told.append(say("pending", count=row.pending))
    return "; ".join(told) or "–"


def _called(row: Row, say: Any) -> str:
    if not row.rungs:
        return "–"
    return str(say("unreachable" if row.unreachable else "rungs", count=row.rungs, nobody=row.unreachable))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
