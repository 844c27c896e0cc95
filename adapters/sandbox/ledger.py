"""What a sandbox participant holds: each hold by its order, within the balance, and never again once lifted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.base import Message
from adapters.webhook import EventInvalid
from workflows.terms import Action, Stage

# ₫ on an account that nobody gave a balance.
DEFAULT_BALANCE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """The parts of an order's message that a participant acts on; ``amount`` is ₫, ``None`` the whole account.

    ``execute_by`` is when its execute clock ends, as RFC 3339 text, where it has one. ``asks`` is true of a message
    that demands nothing: it asks what is held of the freeze that it names. ``ends_silence`` is true of one that says
    that what it names need not be kept secret any more, ``drill`` of an exercise. ``window`` is what a trace looks back
    on, two RFC 3339 texts.
    """

    id: str
    reference: str
    action: Action
    target: str
    amount: int | None
    ends_at: str | None
    lifts: str
    extends: str
    sequence: int
    answer_url: str
    asked: tuple[str, ...] = ()
    window: tuple[str, str] | None = None
    execute_by: str | None = None
    asks: bool = False
    ends_silence: bool = False
    drill: bool = False


# Messages that demand nothing, and the orders that they are about.
_FOLLOWING: Mapping[str, Action] = {"read_back": Action.FREEZE, "silence_ended": Action.DISCLOSE}


def demanded(action: str) -> dict[str, Any]:
    """Return what a message is about, and whether it only asks or ends a silence, as ``Order`` has them.

    Raises ``ValueError``.
    """
    about = _FOLLOWING.get(action) or Action(action)
    return {"action": about, "asks": action == "read_back", "ends_silence": action == "silence_ended"}


def read_order(message: Message) -> Order:
    """Return the order that a message carries; raises ``EventInvalid`` where a part is missing or malformed."""
    body = message.body
    try:
        amount = body.get("amount")
        answer_url = body["answer_url"]
        if not answer_url.startswith("/v1/"):
            raise ValueError("an answer goes to the hub and nowhere else")
        return Order(
            id=str(body["order_id"]),
            reference=str(body["reference"]),
            **demanded(body["action"]),
            target=str(body["target"]["value"]),
            amount=None if amount is None or body.get("whole_account") else int(amount["value"]),
            ends_at=body.get("ends_at"),
            # A lift without a request of its own is about the order that it names itself.
            lifts=str(body.get("lifts_order_id") or body["order_id"]),
            extends=str(body.get("extends_order_id") or body["order_id"]),
            sequence=message.sequence,
            answer_url=answer_url,
            asked=tuple(map(str, body.get("asked") or ())),
            window=_window(body["window"]) if body["action"] == Action.TRACE else None,
            execute_by=next(
                (each["due_at"] for each in body.get("deadlines") or () if each["stage"] == Stage.EXECUTE), None
            ),
            drill=body.get("drill") is True,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise EventInvalid("the order's body is malformed") from None


def _window(said: Mapping[str, Any]) -> tuple[str, str]:
    return str(said["since"]), str(said["until"])


@dataclass(frozen=True, slots=True)
class Hold:
    """Money held for one order; ``asked`` and ``held`` are ₫, ``asked`` is ``None`` for the whole account."""

    order: Order
    asked: int | None
    held: int
    ends_at: str | None
    sequence: int


@dataclass(slots=True)
class Ledger:
    """The books. ``balances`` are ₫ by account; ``blocked`` is what was taken down or preserved, by order.

    ``returned`` is how much of a recall was sent back, by order. ``unknown`` are targets that it does not find.
    """

    default_balance: int = DEFAULT_BALANCE
    unknown: frozenset[str] = frozenset()
    balances: dict[str, int] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    returned: dict[str, int] = field(default_factory=dict)
    _lifted: set[str] = field(default_factory=set)

    def held(self, account: str) -> int:
        """Return how much is held on an account, over all its holds."""
        return sum(hold.held for hold in self.holds.values() if hold.order.target == account)

    def is_lifted(self, order_id: str) -> bool:
        """Tell whether a lift of this order has come, be it before the order itself."""
        return order_id in self._lifted

    def freeze(self, order: Order, share: int = 1) -> Hold | None:
        """Book a hold as far as the balance goes; the same order twice is one hold, nothing available is ``None``.

        ``share`` 2 holds a half of that at first; a ``top_up`` of nothing holds the rest.
        """
        known = self.holds.get(order.id)
        if known is not None:
            return known
        balance = self.balances.setdefault(order.target, self.default_balance)
        free = balance - self.held(order.target)
        held = (free if order.amount is None else min(order.amount, free)) // share
        if held <= 0:
            return None
        return self.holds.setdefault(order.id, Hold(order, order.amount, held, order.ends_at, order.sequence))

    def recall(self, order: Order, share: int = 1) -> int:
        """Send back what is free of the amount asked, and return how much that is; the same order twice is once.

        ``share`` 2 sends a half of that at first; ``recall_rest`` sends the rest.
        """
        if order.id not in self.returned:
            self._send_back(order, share)
        return self.returned[order.id]

    def recall_rest(self, order: Order) -> int:
        """Send back what is free of what is still missing, and return how much went back in all."""
        self._send_back(order)
        return self.returned[order.id]

    def _send_back(self, order: Order, share: int = 1) -> None:
        balance, sent = self.balances.setdefault(order.target, self.default_balance), self.returned.get(order.id, 0)
        back = max(0, min((order.amount or 0) - sent, balance - self.held(order.target))) // share
        self.balances[order.target] = balance - back
        self.returned[order.id] = sent + back

    def extend(self, order: Order) -> bool:
        """Move the end of a hold, unless a later order has already done so; false if there is no such hold."""
        hold = self.holds.get(order.extends)
        if hold is not None and order.sequence > hold.sequence:
            self.holds[order.extends] = replace(hold, ends_at=order.ends_at, sequence=order.sequence)
        return hold is not None

    def block(self, order: Order) -> None:
        """Take a target down, or preserve it."""
        self.blocked[order.id] = order.target

    def lift(self, order: Order) -> None:
        """End what the lifted order brought about, for good: an order that arrives after its lift has no effect."""
        self._lifted.add(order.lifts)
        self.holds.pop(order.lifts, None)
        self.blocked.pop(order.lifts, None)

    def forget_lift(self, order: Order) -> None:
        """Forget that an order was lifted, as no books should."""
        self._lifted.discard(order.lifts)

    def claim(self, order: Order) -> Hold:
        """Book a hold of all that is asked, whatever there is, as no books should."""
        return self.holds.setdefault(
            order.id, Hold(order, order.amount, order.amount or 0, order.ends_at, order.sequence)
        )

    def top_up(self, account: str, amount: int) -> list[Hold]:
        """Book money that came in, fill the holds in the order they were made, and return those that grew."""
        self.balances[account] = self.balances.get(account, self.default_balance) + amount
        free = self.balances[account] - self.held(account)
        grown = []
        for order_id, hold in self.holds.items():
            missing = free if hold.asked is None else hold.asked - hold.held
            if hold.order.target == account and (more := min(missing, free)) > 0:
                self.holds[order_id] = replace(hold, held=hold.held + more)
                grown.append(self.holds[order_id])
                free -= more
        return grown
