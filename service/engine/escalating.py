"""What a rung does when it fires: the escalation, the notices to whoever is on duty, and the next rung."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, i18n
from service.audit import Log
from service.engine import messages, outbox, reach, timers
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import Escalation, table_of
from service.queries import maintenance
from workflows import escalation, policy
from workflows.terms import DispatchKind, Fact, Reach, SubjectKind

_ESCALATIONS = table_of(Escalation)


@dataclass(frozen=True, slots=True)
class Due:
    """A rung whose instant has come: its timer, its ladder, when the stage itself was due, and what it is about."""

    deadline: Row
    was_due_at: datetime
    rung: policy.Rung
    ladder: tuple[policy.Rung, ...]
    policy: policy.Policy
    dossier: Dossier | None


async def raise_all(conn: AsyncConnection, hub: Hub, log: Log, due: Sequence[Due]) -> None:
    """Write the escalations, one notice per request, participant, stage and rung to each contact, and the next rungs.

    A rung that reaches nobody is a fact, and the next one fires at once instead of waiting its turn.
    """
    if not due:
        return
    participants = {item.deadline["participant_id"] for item in due if item.deadline["participant_id"]}
    above = await reach.supervisors(conn, participants)
    called = {id(item): _called(item, above) for item in due}
    everyone = {name for names in called.values() for _, name in names if name}
    duty = await reach.on_duty(conn, everyone, log.at, mail=hub.settings.smtp_host is not None)
    names = await reach.names(conn, participants)
    resting = await maintenance.until(conn, participants, log.at)
    rows: list[dict[str, Any]] = []
    notices: dict[tuple[Any, ...], outbox.Outgoing] = {}
    following: list[timers.Timer] = []
    for item in due:
        reached = [
            {"reach": str(whom), "participant_id": name, "contacts": len(duty.get(name, ()))}
            for whom, name in called[id(item)]
        ]
        somebody = any(entry["contacts"] for entry in reached)
        rows.append(_row(item, log, reached, somebody))
        _tell(log, hub, item, reached, somebody)
        for whom, name in called[id(item)]:
            for endpoint in duty.get(name, ()):
                key = (item.deadline["request_id"], item.deadline["participant_id"], item.deadline["stage"])
                notices.setdefault(
                    (*key, item.rung.number, endpoint.id),
                    _notice(
                        item, whom, endpoint, names.get(key[1], "–"), resting.get(key[1]), drill=hub.settings.drill
                    ),
                )
        following += _next(item, log, somebody)
    await db.insert_rows(conn, _ESCALATIONS, rows)
    await outbox.enqueue(conn, hub.vault, log.at, list(notices.values()))
    await timers.start(conn, following)


def first_rung(deadline: Row, ladder: tuple[policy.Rung, ...]) -> list[timers.Timer]:
    """Return the timer of the first rung behind a deadline that was missed, if its ladder has one."""
    rung = escalation.next_rung(ladder, deadline["rung"])
    return [] if rung is None else [_timer(deadline, rung, escalation.due(rung, deadline["started_at"]))]


def _called(item: Due, above: Mapping[str, str]) -> list[tuple[Reach, str]]:
    whom = reach.houses(item.deadline, above)
    return [(reached, whom[reached] or "") for reached in item.rung.reach]


def _row(item: Due, log: Log, reached: list[dict[str, Any]], somebody: bool) -> dict[str, Any]:
    deadline = item.deadline
    return {
        "id": clock.new_id(),
        "tenant": deadline["tenant"],
        "deadline_id": deadline["id"],
        "request_id": deadline["request_id"],
        "order_id": deadline["subject_id"] if deadline["subject_kind"] is SubjectKind.ORDER else None,
        "participant_id": deadline["participant_id"],
        "stage": deadline["stage"],
        "rung": item.rung.number,
        "due_at": deadline["due_at"],
        "raised_at": log.at,
        "reached": reached,
        "reached_somebody": somebody,
        "policy_name": item.policy.name,
        "policy_version": item.policy.version,
    }


def _tell(log: Log, hub: Hub, item: Due, reached: list[dict[str, Any]], somebody: bool) -> None:
    deadline = item.deadline
    log.record(
        deadline["chain"],
        Fact.ESCALATION_RAISED if somebody else Fact.ESCALATION_UNREACHABLE,
        hub.actor,
        deadline["tenant"],
        request_id=deadline["request_id"],
        deadline_id=deadline["id"],
        subject=str(deadline["subject_id"]),
        participant_id=deadline["participant_id"],
        stage=str(deadline["stage"]),
        rung=item.rung.number,
        reached=reached,
        due_at=deadline["due_at"],
        policy=f"{item.policy.name}/{item.policy.version}",
    )


def _notice(
    item: Due, whom: Reach, endpoint: reach.EndpointRow, name: str, rests_until: datetime | None, *, drill: bool
) -> outbox.Outgoing:
    deadline = item.deadline
    reference = item.dossier.request["reference"] if item.dossier else ""
    said = {
        "reference": reference,
        "participant": name,
        "stage": str(deadline["stage"]),
        "due_at": messages.instant(item.was_due_at),
    }
    rests = messages.instant(rests_until) if rests_until else None
    # An agency that is late itself is told to act, not to press somebody else.
    own = whom is Reach.AGENCY and deadline["subject_kind"] is SubjectKind.APPEAL
    todo = "appeal" if own else str(whom)
    # Not the row's own number: a database that was restored counts anew.
    names = ("subject_kind", "subject_id", "stage", "generation")
    identity = ("notice", *(deadline[name] for name in names), item.rung.number)
    letters = [i18n.notice(item.rung.number, todo, lang, rests, drill=drill, **said) for lang in i18n.LANGUAGES]
    body = {
        **said,
        "participant_id": deadline["participant_id"],
        "rung": item.rung.number,
        "reach": str(whom),
        "subject": letters[0][0],
        "text": "\n\n".join(text for _, text in letters),
    }
    return outbox.Outgoing(
        tenant=deadline["tenant"],
        participant_id=endpoint.tenant,
        kind=DispatchKind.NOTICE,
        endpoint_id=endpoint.id,
        channel=endpoint.channel,
        message_type=f"{messages.PREFIX}.notice.escalation",
        subject=f"ntf_{clock.derived_id(*identity).hex}",
        identity=identity,
        sequence=1,
        body=messages.marked(body, drill=drill),
        request_id=deadline["request_id"],
        key=item.dossier.keys.get(item.dossier.id) if item.dossier else None,
        urgent=True,
    )


def _next(item: Due, log: Log, somebody: bool) -> list[timers.Timer]:
    rung = escalation.next_rung(item.ladder, item.rung.number)
    if rung is None:
        return []
    due_at = escalation.due(rung, item.deadline["started_at"])
    return [_timer(item.deadline, rung, due_at if somebody else min(due_at, log.at))]


def _timer(deadline: Row, rung: policy.Rung, due_at: datetime) -> timers.Timer:
    return timers.Timer(
        tenant=deadline["tenant"],
        subject_kind=deadline["subject_kind"],
        subject_id=_uuid(deadline),
        chain=deadline["chain"],
        stage=deadline["stage"],
        started_at=deadline["started_at"],
        due_at=due_at,
        request_id=deadline["request_id"],
        participant_id=deadline["participant_id"],
        rung=rung.number,
        generation=deadline["generation"],
    )


def _uuid(deadline: Row) -> UUID:
    return deadline["subject_id"]  # type: ignore[no-any-return]
