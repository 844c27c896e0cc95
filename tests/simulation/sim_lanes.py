"""What went over the wire, held against the queue: in turn within a lane, once at a time, and true."""

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import UUID

from sim_network import Send

from service.engine.store.rows import LIFT

if TYPE_CHECKING:
    from sim_world import Simulation

# A node that has not been seen for so long is taken for dead (ENGINE.md 7), and a beat earlier is the last one sure.
_TTL = 6.0


def check(simulation: "Simulation") -> None:
    """Check all lanes, sends and arrivals."""
    _in_turn(simulation)
    _lifts_wait(simulation)
    _one_at_a_time(simulation)
    _true(simulation)


def _in_turn(simulation: "Simulation") -> None:
    """Nobody takes a message on while an earlier one of its lane is not settled."""
    # A message that a person has sent once more stands in its lane again, at its end.
    lanes: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    settled: dict[str, list[int]] = defaultdict(list)
    claims: dict[str, list[int]] = defaultdict(list)
    for number, what, subject, was, now in simulation.store.rows(
        "SELECT id, what, subject, was, now FROM sim_moves WHERE what IN ('lane', 'claim', 'dispatch') ORDER BY id"
    ):
        if what == "lane" and now is not None:
            lanes[was, now].append((number, subject))
        elif what == "claim":
            claims[subject].append(number)
        elif what == "dispatch" and now != "pending":
            settled[subject].append(number)
    for lane in lanes.values():
        until = 0
        for entered, subject in lane:
            claimed = min((number for number in claims[subject] if number > entered), default=None)
            if claimed is not None and claimed < until:
                simulation.wrong("lanes", f"dispatch {subject[-8:]} overtook an earlier one of its lane")
            until = max(until, min((number for number in settled[subject] if number > entered), default=until))
    _in_turn_on_the_wire(simulation, lanes)


def _in_turn_on_the_wire(simulation: "Simulation", lanes: dict[tuple[str, str], list[tuple[int, str]]]) -> None:
    """No call begins while one of an earlier message of its lane is under way, though that was cancelled meanwhile."""
    calls: dict[tuple[str, str], list[Send]] = defaultdict(list)
    for send in simulation.network.sends:
        calls[send.endpoint, send.message_id].append(send)
    for (endpoint, _), lane in lanes.items():
        earlier: list[Send] = []
        for subject in dict.fromkeys(subject for _, subject in lane):
            own = calls[str(UUID(endpoint)), f"msg_{UUID(subject).hex}"]
            for send, other in itertools.product(own, earlier):
                if _is_under_way(other, send) and not other.disturbed:
                    simulation.wrong(
                        "lanes", f"{send.message_id[-8:]} went while {other.message_id[-8:]} was under way"
                    )
            earlier += own


def _lifts_wait(simulation: "Simulation") -> None:
    """No lift goes to one endpoint while a call about what it lifts is under way at another one."""
    calls: dict[str, list[Send]] = defaultdict(list)
    for send in simulation.network.sends:
        calls[send.message_id].append(send)
    lifts: dict[str, set[str]] = defaultdict(set)
    others: dict[str, set[str]] = defaultdict(set)
    query = """
        SELECT coalesce(d.first_id, d.id), d.message_type, coalesce(o.original_id, o.id)
          FROM dispatches d JOIN orders o ON o.id = d.order_id WHERE d.kind = 'order'"""
    for message, kind, root in simulation.store.rows(query):
        (lifts if kind == LIFT else others)[str(root)].add(f"msg_{UUID(str(message)).hex}")
    for root, messages in lifts.items():
        before = [other for message in others[root] for other in calls[message]]
        for send, other in itertools.product((send for message in messages for send in calls[message]), before):
            if send.endpoint != other.endpoint and _is_under_way(other, send) and not other.disturbed:
                simulation.wrong("lanes", f"the lift {send.message_id[-8:]} overtook {other.message_id[-8:]}")


def _is_under_way(other: Send, send: Send) -> bool:
    """Tell whether a call was under way when another one began."""
    return other.began <= send.began and (other.ended is None or other.ended > send.began)


def _one_at_a_time(simulation: "Simulation") -> None:
    """A message goes out twice at once only where its first node may have been taken for dead."""
    under_way: dict[tuple[str, str], list[Send]] = defaultdict(list)
    for send in simulation.network.sends:
        same = under_way[send.endpoint, send.message_id]
        for other in same:
            overlaps = other.ended is None or other.ended > send.began
            if overlaps and not other.disturbed and send.began - other.began < _TTL * 10:
                simulation.wrong("doubled", f"{send.message_id[-8:]} was under way at {other.node} and {send.node}")
        same.append(send)


def _true(simulation: "Simulation") -> None:
    """What is called delivered has arrived and was answered; what arrives again is the same to the byte."""
    texts: dict[str, str] = {}
    arrived: set[tuple[str, str]] = set()
    for arrival in simulation.network.arrivals:
        arrived.add((arrival.endpoint, arrival.message.id))
        if texts.setdefault(arrival.message.id, arrival.digest) != arrival.digest:
            simulation.wrong("doubled", f"{arrival.message.id[-8:]} says something else the second time")
    answered = {(send.endpoint, send.message_id) for send in simulation.network.sends if send.answered}
    anywhere = {message for _, message in arrived}
    query = """
        SELECT d.id, d.first_id, d.endpoint_id, d.kind = 'order' AND EXISTS (
                   SELECT 1 FROM acknowledgements a WHERE a.order_id = d.order_id) AS is_answered
          FROM dispatches d WHERE d.state = 'delivered' AND d.channel <> 'pull'"""
    for dispatch, first, endpoint, is_answered in simulation.store.rows(query):
        key = str(UUID(endpoint)), f"msg_{first or dispatch}"
        # Whoever answers an order has it, whichever endpoint brought it, and whatever became of that call.
        if not (key in arrived and key in answered) and not (is_answered and key[1] in anywhere):
            simulation.wrong("false", f"{dispatch[-8:]} is called delivered and is not")
