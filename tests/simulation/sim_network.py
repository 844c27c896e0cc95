"""The network and those at its other end: banks, telecoms, duty desks and the agency, each with its own bad habits."""

import asyncio
import contextvars
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from builders import SECRET
from sim_time import ACTING

from adapters import signing, webhook
from adapters.base import DeliveryFailed, Endpoint, Message, Receipt

if TYPE_CHECKING:
    from sim_world import Simulation


class Habit(StrEnum):
    """How an endpoint behaves for a while."""

    PROMPT = "prompt"
    SLOW = "slow"  # answers after seconds, sometimes after the hub has hung up
    LOSSY = "lossy"  # a part of what is sent never arrives, or its answer does not
    BROKEN = "broken"  # 500
    BUSY = "busy"  # 429 with a wish to be left in peace
    DOWN = "down"  # nobody takes the call
    HANGING = "hanging"  # takes it and never answers
    LYING = "lying"  # has it, and says that it has not
    TWICE = "twice"  # what arrives arrives once more, later


# The hub's own limit of a whole call (PROMISES 8.4).
_CALL_WITHIN = 10.0


@dataclass
class Arrival:
    """One message as an endpoint got it, at an instant of the loop."""

    at: float
    endpoint: str
    message: Message
    digest: str


@dataclass
class Send:
    """One call of a node: ``ended`` is None while it is under way; ``answered`` tells that a 2xx came back."""

    began: float
    node: str
    life: int
    boot: str
    endpoint: str
    message_id: str
    ended: float | None = None
    answered: bool = False
    # Its node was disturbed shortly before it began, or later: the others may have sent it again.
    process: Any = None

    @property
    def disturbed(self) -> bool:
        """Tell whether its node may have been taken for dead since."""
        return bool(self.process.disturbed_at > self.began - 6.0)


@dataclass
class Ledger:
    """What a participant does with its orders: once each, obeying the highest sequence, whatever the network does."""

    last: dict[str, int] = field(default_factory=dict)
    lifted: set[str] = field(default_factory=set)
    # Orders whose hold or measure stands here, in the order in which it was done.
    held: dict[str, None] = field(default_factory=dict)

    def take(self, message: Message) -> bool:
        """Note an order or a lift; return False for what is old, or was here before."""
        about = hold_of(message)
        if message.sequence <= self.last.get(about, 0):
            return False
        self.last[about] = message.sequence
        if message.type.endswith(".lift"):
            self.lifted.add(about)
            self.held.pop(about, None)
        return True

    def execute(self, order_id: str) -> bool:
        """Do what an order asks, unless its lift was here first."""
        if order_id in self.lifted:
            return False
        self.held[order_id] = None
        return True


def hold_of(message: Message) -> str:
    """Return the order whose hold a message is about."""
    body = message.body
    return str(body.get("lifts_order_id") or body.get("extends_order_id") or body["order_id"])


class Network:
    """Carries calls of nodes to endpoints; it is the transport that the hub's webhook adapter posts through."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.habits: dict[str, Habit] = {}
        self.sends: list[Send] = []
        self.arrivals: list[Arrival] = []
        self.ledgers: dict[str, Ledger] = {}

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Carry one call, or lose it on the way, as the endpoint's habit and chance will have it."""
        sender, loop, chance = ACTING.get(), self.simulation.loop, self.simulation.chance
        await sender.awake()
        began = loop.time()
        send = Send(began, sender.name, sender.lives, str(sender.node.boot), endpoint.id, headers["webhook-id"])
        send.process = sender
        self.sends.append(send)
        try:
            async with asyncio.timeout(min(_CALL_WITHIN, endpoint.timeout)):
                await self._carried(content, headers, endpoint)
        except TimeoutError:
            await sender.awake()
            send.ended = loop.time()
            raise DeliveryFailed("answer.timeout") from None
        except DeliveryFailed:
            send.ended = loop.time()
            raise
        await sender.awake()
        send.ended, send.answered = loop.time(), True
        if chance.random() < 0.01:
            await asyncio.sleep(chance.uniform(0, 8))
        return Receipt(202, loop.time() - began, b"ok", "203.0.113.5:443")

    async def _carried(self, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> None:
        chance = self.simulation.chance
        habit = self.habits.get(endpoint.id, Habit.PROMPT)
        await asyncio.sleep(chance.uniform(0.001, 0.2))
        match habit:
            case Habit.DOWN:
                raise DeliveryFailed("connect.failed")
            case Habit.BROKEN:
                raise DeliveryFailed("http.500", status=500)
            case Habit.BUSY:
                raise DeliveryFailed("http.429", status=429, retry_after=chance.uniform(1, 200))
            case Habit.HANGING:
                if chance.random() < 0.5:
                    self._arrive(content, headers, endpoint, chance.uniform(0, 30))
                await asyncio.sleep(3600)
            case Habit.SLOW:
                delay = chance.uniform(0.5, 14)
                self._arrive(content, headers, endpoint, delay)
                await asyncio.sleep(delay + 0.01)
                return
            case Habit.LOSSY:
                if chance.random() < 0.4:
                    await asyncio.sleep(3600)
                self._arrive(content, headers, endpoint, 0)
                if chance.random() < 0.4:
                    raise DeliveryFailed("connection.broken")
                return
            case Habit.LYING:
                self._arrive(content, headers, endpoint, 0)
                raise DeliveryFailed("http.503", status=503)
            case Habit.TWICE:
                self._arrive(content, headers, endpoint, chance.uniform(0, 300))
        self._arrive(content, headers, endpoint, 0)

    def _arrive(self, content: bytes, headers: Mapping[str, str], endpoint: Endpoint, delay: float) -> None:
        """Let it arrive, now or later: what is on the wire does not end with who sent it."""
        outside = contextvars.Context()
        arrived = outside.run(lambda: self._arrived)
        if delay <= 0:
            outside.run(arrived, content, dict(headers), endpoint.id)
        else:
            self.simulation.loop.call_later(delay, arrived, content, dict(headers), endpoint.id, context=outside)

    def _arrived(self, content: bytes, headers: dict[str, str], endpoint: str) -> None:
        simulation = self.simulation
        try:
            signing.verify((SECRET,), headers, content, now=float(headers["webhook-timestamp"]))
        except Exception as error:
            simulation.wrong("forged", f"{headers.get('webhook-id')} is not signed by the hub: {error!r}")
            return
        message = webhook.parse(content)
        arrival = Arrival(simulation.loop.time(), endpoint, message, hashlib.sha256(content).hexdigest())
        self.arrivals.append(arrival)
        simulation.tell("arrived", id=message.id[-8:], type=message.type[11:], subject=message.subject[-8:])
        if message.type.startswith("vn.hoatoc.order."):
            who = message.body["participant_id"]
            ledger = self.ledgers.setdefault(who, Ledger())
            is_new = ledger.take(message)
            simulation.people.ordered(who, message, ledger, is_new)

    def misbehave(self, endpoint: str, habit: Habit, seconds: float) -> None:
        """Let an endpoint have a habit for so long."""
        name = str(UUID(endpoint))
        self.habits[name] = habit
        self.simulation.loop.call_later(seconds, self.habits.pop, name, None)

    def heal(self) -> None:
        """Let everybody behave."""
        self.habits.clear()


def lasting(simulation: "Simulation") -> timedelta:
    """Draw how long a habit lasts: mostly minutes, sometimes longer than a ladder."""
    chance = simulation.chance
    return timedelta(minutes=chance.choice((chance.uniform(0.2, 3), chance.uniform(3, 30), chance.uniform(30, 180))))
