"""The promises, held against what the database, its witness and the endpoints saw: each broken one is told by name."""

import itertools
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sim_lanes
from sim_nodes import CHECKER, Process
from sim_time import ACTING

from service import audit, db
from workflows import states
from workflows.terms import Action, OrderState, RequestState

if TYPE_CHECKING:
    from sim_world import Simulation

# The rungs of the shipped ladders, in minutes after the clock began; published in policies/vn-default.toml.
RUNGS = {"receipt": (2,), "approval": (30, 120), "review": (120,), "task": (30, 120), "end_warning": (0,)}
FREEZE_RUNGS = {"execute": (10, 30, 60), "acknowledge": (5,), **RUNGS}
TOPS = {"receipt": 1, "approval": 2, "review": 1, "task": 2, "end_warning": 1, "execute": 3}
# The hub's own clocks: that their instant comes is nobody's failure.
OWN = {"end", "end_warning", "acknowledgement_end", "review"}
# What happens to an order or a request once, if at all.
ONCE = {"order.placed", "order.lapsed", "order.withdrawn", "order.rerouted", "order.refused"}
ONCE |= {"request.submitted", "request.approved", "request.closed", "request.lapsed", "request.withdrawn"}
# What a person has sent once more arrives once more.
SENT = {"order.delivered", "dispatch.sent", "dispatch.dead"}
ONCE |= SENT
COUNTED = ("requests", "orders", "dispatches", "attempts", "deadlines", "escalations", "audit_entries")
# What people here rightly get to hear: they come too late, twice, or to a hub whose clock has just jumped.
PROVOKED = {
    "request.not_awaiting_approval",
    "request.not_awaiting_review",
    "request.not_active",
    "request.end_has_come",
    "signature.ahead",
    "authority.emergency_in_a_row",
}
# P5: how late a deadline may fire while nothing is broken; the database's clock and the nodes' polls included.
LATE = timedelta(seconds=5)
ORDER_MOVES = {("", "placed")} | {(str(was), str(now)) for (was, _), now in states.MOVES.items()}
REQUEST_MOVES = {("", "awaiting_approval"), ("", "active"), ("", "held_for_callback")}
REQUEST_MOVES |= {(str(was), str(now)) for (was, _), now in states.REQUEST_MOVES.items()}


# Of each open order what it says of when it is due, beside the earliest of the clocks that count for it.
OWED = """
    SELECT o.id, o.state, o.due_at, min(d.due_at) FROM orders o LEFT JOIN deadlines d
    ON d.subject_id = o.id AND d.rung = 0 AND d.state IN ('pending', 'missed') AND (
        d.stage = 'receipt' AND o.state = 'placed'
        OR d.stage = 'acknowledge' AND o.state IN ('placed', 'delivered')
        OR d.stage = 'execute' AND o.state IN ('placed', 'delivered', 'acknowledged')
        OR d.stage IN ('receipt', 'acknowledge', 'execute') AND d.started_at >= o.letting_go_since
    )
    WHERE o.state IN ('placed', 'delivered', 'acknowledged') OR o.letting_go_since IS NOT NULL
    GROUP BY o.id, o.state, o.due_at
"""


def in_passing(simulation: "Simulation") -> None:
    """Check what must hold at every moment, and remember the heads of the audit."""
    rows = simulation.store.rows
    for (lost,) in rows(
        "SELECT id FROM dispatches d WHERE state = 'pending' AND channel <> 'pull'"
        " AND NOT EXISTS (SELECT 1 FROM dispatch_queue q WHERE q.dispatch_id = d.id)"
    ):
        simulation.wrong("lost", f"dispatch {lost[-8:]} waits and is not in the queue")
    for order, state, said, counted in rows(OWED):
        if said != counted:
            simulation.wrong("owed", f"the board has order {order[-8:]}, {state}, due at {said}, its clocks {counted}")
    if len(simulation.heads) < 300:
        simulation.heads += rows("SELECT chain, sequence, hash FROM audit_heads")


async def at_the_end(simulation: "Simulation") -> None:
    """Check everything once all has come to its end."""
    _rest(simulation)
    _filings(simulation)
    _moves(simulation)
    _clocks(simulation)
    _ladders(simulation)
    _facts(simulation)
    _requests(simulation)
    _holds(simulation)
    sim_lanes.check(simulation)
    await _audit(simulation)
    _refusals(simulation)
    counts = {name: simulation.store.rows(f"SELECT count(*) FROM {name}")[0][0] for name in COUNTED}
    [[superseded]] = simulation.store.rows("SELECT count(*) FROM attempts WHERE superseded")
    happened = {f"faults of {kind}": times for kind, times in sorted(simulation.faults.happened.items())}
    simulation.verdict.counts = {**counts, "superseded": superseded, **happened, **simulation.office.happened}


def _refusals(simulation: "Simulation") -> None:
    """Nobody is refused anything but what this world provokes."""
    # Who is suspended as a whole is not let in, and this world's banks do not answer anew afterwards.
    of_suspended = {"token.refused"} if "suspensions" in simulation.office.happened else set()
    for code, times in simulation.people.refused.items():
        if code not in PROVOKED | of_suspended:
            simulation.wrong("refused", f"{code}, {times} times")


def _rest(simulation: "Simulation") -> None:
    rows, wrong = simulation.store.rows, simulation.wrong
    for stage, due in rows("SELECT stage, due_at FROM deadlines WHERE state = 'pending'"):
        wrong("skipped", f"the deadline {stage} of {due} never fired")
    for kind, participant in rows("SELECT kind, participant_id FROM dispatches WHERE state = 'pending'"):
        wrong("lost", f"a dispatch ({kind}) to {participant} was never settled")
    for error, attempts in rows(
        "SELECT (SELECT error FROM attempts a WHERE a.dispatch_id = d.id ORDER BY a.id DESC LIMIT 1), attempts"
        " FROM dispatches d WHERE state = 'dead'"
    ):
        wrong("lost", f"a dispatch was given up after {attempts} attempts: {error}")


def _filings(simulation: "Simulation") -> None:
    """P1 and P2: what was acknowledged is there, once."""
    stored = Counter(UUID(row[0]) for row in simulation.store.rows("SELECT id FROM requests"))
    known: set[UUID] = set()
    for filing in simulation.people.filings:
        if len(filing.ids) > 1:
            simulation.wrong("doubled", f"one key has {len(filing.ids)} requests")
        if filing.id is not None and filing.id not in stored:
            simulation.wrong("lost", f"request {filing.id} was acknowledged and is gone")
        known |= filing.ids
    for stray in set(stored) - known:
        simulation.wrong("doubled", f"nobody was told of request {stray}")


def _moves(simulation: "Simulation") -> None:
    """Every move that was ever committed is one of the two tables'; nothing is settled twice."""
    settled: Counter[tuple[str, str]] = Counter()
    again: Counter[str] = Counter()
    active: set[str] = set()
    requests = dict(simulation.store.rows("SELECT id, request_id FROM orders"))
    for what, subject, was, now in simulation.store.rows("SELECT what, subject, was, now FROM sim_moves ORDER BY id"):
        legal = {"order": ORDER_MOVES, "request": REQUEST_MOVES}.get(what)
        if legal is not None and (was, now) not in legal:
            simulation.wrong("illegal", f"{what} {subject[-8:]} went from {was or 'nothing'} to {now}")
        if what == "request" and now == "active":
            active.add(subject)
        if what == "order" and not was and requests[subject] not in active:
            simulation.wrong("illegal", f"order {subject[-8:]} was placed before its request was active")
        if what == "dispatch" and was in ("delivered", "dead") and now == "pending":
            again[subject] += 1
        elif what in ("deadline", "dispatch"):
            settled[what, subject] += 1
            if was != "pending":
                simulation.wrong("doubled", f"{what} {subject[-8:]} was {was} and became {now}")
    for (what, subject), times in settled.items():
        if times > 1 + again[subject]:
            simulation.wrong("doubled", f"{what} {subject[-8:]} was settled {times} times")
    [[told]] = simulation.store.rows("SELECT count(*) FROM audit_entries WHERE code = 'dispatch.replayed'")
    if told != again.total():
        simulation.wrong("false", f"{again.total()} dispatches were sent once more, and {told} are told")


def _clocks(simulation: "Simulation") -> None:
    """P5 and P6: nothing fires early, and while nothing is broken nothing fires late."""
    calm = simulation.clocks.at(simulation.faults.ended_at) + timedelta(minutes=2)
    query = (
        "SELECT d.stage, d.rung, d.started_at, d.due_at, d.settled_at, m.at FROM deadlines d"
        " JOIN sim_moves m ON m.what = 'deadline' AND m.subject = CAST(d.id AS TEXT) WHERE d.state = 'missed'"
    )
    for stage, rung, _, due, settled, at in simulation.store.rows(query):
        due_at, fired_at = _instant(due), _instant(at)
        if fired_at < due_at or _instant(settled) < due_at:
            simulation.wrong("early", f"{stage}/{rung} was due at {due} and fired at {at}")
        if due_at > calm and fired_at > due_at + LATE:
            simulation.wrong("late", f"{stage}/{rung} was due at {due} and fired at {at}")


def _ladders(simulation: "Simulation") -> None:
    """Rungs fire in order, at the instants of the policy, to the top unless somebody answers."""
    clocks: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    actions = dict(simulation.store.rows("SELECT id, action FROM orders"))
    query = (
        "SELECT subject_id, stage, generation, rung, started_at, due_at, state, id FROM deadlines"
        " ORDER BY subject_id, stage, generation, rung"
    )
    for row in simulation.store.rows(query):
        clocks[row[:3]].append(row)
    raised = Counter(row[0] for row in simulation.store.rows("SELECT deadline_id FROM escalations"))
    # Behind a rung that reached nobody the next one does not wait for its turn.
    in_vain = {
        row[0] for row in simulation.store.rows("SELECT deadline_id FROM escalations WHERE NOT reached_somebody")
    }
    for (subject, stage, generation), rungs in clocks.items():
        name = f"{stage}/{generation} of {subject[-8:]}"
        if [row[3] for row in rungs] != list(range(len(rungs))):
            simulation.wrong("order", f"{name} has the rungs {[row[3] for row in rungs]}")
        first_due = actions.get(subject) == "freeze" and generation == 0
        published = (FREEZE_RUNGS if first_due else RUNGS).get(stage)
        for below, row in itertools.pairwise(rungs):
            after = (_instant(row[5]) - _instant(row[4])).total_seconds() / 60
            if below[7] in in_vain:
                continue
            if published is not None and row[3] <= len(published) and after != published[row[3] - 1]:
                simulation.wrong("order", f"{name} has rung {row[3]} after {after} minutes")
        for row in rungs[:-1]:
            if row[6] != "missed":
                simulation.wrong("order", f"{name} climbed beyond rung {row[3]}, which was {row[6]}")
        for row in rungs:
            expected = int(row[3] > 0 and row[6] == "missed")
            if raised[row[7]] != expected:
                simulation.wrong("doubled", f"{name} rung {row[3]} ({row[6]}) has {raised[row[7]]} escalations")
        if rungs[-1][6] == "missed" and rungs[-1][3] < TOPS.get(stage, 0):
            simulation.wrong("skipped", f"{name} ended at rung {rungs[-1][3]}")


def _facts(simulation: "Simulation") -> None:
    """Each thing that happens once is told once, and everything that fired is told."""
    told: Counter[tuple[str, str]] = Counter()
    about: set[tuple[str, int]] = set()
    for code, request, deadline, data in simulation.store.rows(
        "SELECT code, request_id, deadline_id, data FROM audit_entries"
    ):
        said = json.loads(data)
        told[code, said.get("dispatch_id") or said.get("order_id") or str(request)] += 1
        if deadline is not None:
            about.add((code, deadline))
    for (code, subject), times in told.items():
        once_more = told["dispatch.replayed", subject] if code in SENT else 0
        if code in ONCE and times > 1 + once_more:
            simulation.wrong("doubled", f"{code} of {subject[-8:]} is told {times} times")
    for deadline, stage, rung in simulation.store.rows("SELECT id, stage, rung FROM deadlines WHERE state = 'missed'"):
        codes = ("escalation.raised", "escalation.unreachable") if rung else ("deadline.missed",)
        if (rung or stage not in OWN) and not any((code, deadline) in about for code in codes):
            simulation.wrong("lost", f"that {stage}/{rung} fired is not told")


def _requests(simulation: "Simulation") -> None:
    orders: dict[str, list[bool]] = defaultdict(list)
    query = "SELECT request_id, state, action, delivered_at, answered_at, lift_ordered FROM orders"
    for request, state, action, delivered, answered, lift in simulation.store.rows(query):
        out_there = delivered is not None or answered is not None or bool(lift)
        orders[request].append(states.is_final(OrderState(state), Action(action), out_there))
    waiting = {row[0] for row in simulation.store.rows("SELECT request_id FROM tasks WHERE resolved_at IS NULL")}
    for request, state in simulation.store.rows("SELECT id, state FROM requests"):
        done = all(orders[request])
        if state == RequestState.CLOSED and not done:
            simulation.wrong("illegal", f"request {request[-8:]} is closed and has an open order")
        if state == RequestState.ACTIVE and done and request not in waiting:
            simulation.wrong("lost", f"request {request[-8:]} has nothing open and was never closed")


def _holds(simulation: "Simulation") -> None:
    """P13 and P4: every hold ends by itself, not before, and at the bank too, in whatever order things arrived."""
    query = (
        "SELECT o.id, o.action, o.state, o.ends_at, r.legal_basis, r.reviewed_at,"
        " (SELECT min(m.at) FROM sim_moves m WHERE m.what = 'order' AND m.now = 'lapsed'"
        "   AND m.subject = replace(CAST(o.id AS TEXT), '-', ''))"
        " FROM orders o JOIN requests r ON r.id = o.request_id"
    )
    ended: dict[str, tuple[str, str]] = {}
    for order, action, state, ends_at, basis, reviewed, lapsed in simulation.store.rows(query):
        ended[str(UUID(order))] = action, state
        if action == "freeze" and state in ("placed", "delivered", "acknowledged", "executed"):
            simulation.wrong("endless", f"the freeze {order[-8:]} is {state} long after its end")
        unreviewed = basis == "emergency" and reviewed is None
        if lapsed is not None and not unreviewed and _instant(lapsed) < _instant(ends_at):
            simulation.wrong("early", f"the {action} {order[-8:]} lapsed at {lapsed} and was to end at {ends_at}")
    by_hand = _lifted_by_hand(simulation)
    for who, ledger in simulation.network.ledgers.items():
        for order in ledger.held:
            action, state = ended[order]
            gone = state in ("lapsed", "lifted", "withdrawn")
            if (who, order) in by_hand:
                continue
            if gone or (action == "freeze" and state not in ("refused", "rerouted")):
                simulation.wrong("endless", f"{who} still does the {action} {order[-8:]}, which is {state}")


def _lifted_by_hand(simulation: "Simulation") -> set[tuple[str, str]]:
    """Return who was suspended when which hold was to be lifted there: that is a task, of a person not played here."""
    query = (
        "SELECT t.participant_id, o.id FROM tasks t JOIN orders o ON o.participant_id = t.participant_id"
        " LEFT JOIN requests r ON r.id = t.request_id"
        " WHERE t.kind = 'unreachable_participant' AND t.resolved_at IS NULL"
        " AND (t.order_id = o.id OR t.order_id IS NULL AND r.action = 'lift' AND r.original_id = o.request_id)"
    )
    return {(who, str(UUID(order))) for who, order in simulation.store.rows(query)}


async def _audit(simulation: "Simulation") -> None:
    assert ACTING.get() is None
    database = Process.bases[simulation.template.kind, CHECKER]
    async with database.read(db.HUB) as conn:
        verdict = await audit.verify(conn)
    await database.close()
    for finding in verdict.findings:
        simulation.wrong("audit", f"{finding.chain[-8:]} {finding.sequence}: {finding.kind}")
    entries = {
        (row[0], row[1]): row[2] for row in simulation.store.rows("SELECT chain, sequence, hash FROM audit_entries")
    }
    for chain, sequence, digest in simulation.heads:
        if sequence and entries.get((chain, sequence)) != digest:
            simulation.wrong("audit", f"{chain[-8:]} {sequence} is not what it was")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
