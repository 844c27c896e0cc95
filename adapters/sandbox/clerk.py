"""What a sandbox participant does with an order in whichever form it came: it books it, and it answers."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from adapters.base import DeliveryFailed
from adapters.sandbox import statement
from adapters.sandbox.behaviour import (
    Behaviour,
    Half,
    Late,
    Mistake,
    Partial,
    Ported,
    Refusing,
    Silent,
    Slow,
    Trick,
    mistakes_of,
)
from adapters.sandbox.ledger import Hold, Ledger, Order
from adapters.sandbox.speech import Heard, Speech
from workflows.terms import Action, Datum, DocumentKind, HolderState, Outcome, RefusalCode

OnEvent = Callable[[str, dict[str, Any]], None]
# Whom every target of a sandbox belongs to: nobody. It knows no mailbox, so that something is always not held.
MADE_UP: Mapping[str, Any] = {
    Datum.HOLDER_NAME: "NGUYEN VAN MAU",
    Datum.HOLDER_DOCUMENT: {"kind": DocumentKind.NATIONAL_ID, "number": "000000000000"},
    Datum.HOLDER_BIRTH_DATE: "1990-01-01",
    Datum.CONTACT_PHONE: "+84980000001",
    Datum.OPENED_ON: "2024-05-06",
    Datum.STATE: HolderState.OPEN,
}


class Clerk:
    """Takes each message once and treats its order by the behaviour; ``ledger`` is what it holds.

    ``on_event`` is told what happens: ``received``, ``duplicate``, ``notice``, ``batch``, ``signature_refused``,
    ``malformed``, ``executed``, ``grown``, ``asked``, ``silence_ended``, ``refused``, ``not_mine``, ``lifted``,
    ``out_of_order``, ``lied``, ``answered``, ``answer_failed``; with the participant's name, and where it is about an
    order its id, reference, action and target.
    """

    def __init__(
        self, name: str, behaviour: Behaviour, speech: Speech, forged: Speech, on_event: OnEvent, ledger: Ledger
    ) -> None:
        """Take how it answers; ``forged`` signs with a key that nobody enrolled."""
        self.name, self.behaviour, self.ledger = name, behaviour, ledger
        if isinstance(behaviour, Partial):
            self.ledger.default_balance = behaviour.first
        self.speech, self._forged, self._on_event = speech, forged, on_event
        self._mistakes = mistakes_of(behaviour)
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # Answers about one order leave in the order in which they came about.
        self._answering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def take(self, heard: Heard, trick: Trick | None = None) -> bool:
        """Take a message, and tell whether it is new; its order is treated while the caller goes on.

        With ``trick`` it is answered by that lie and by nothing else.
        """
        if heard.message_id in self._seen and Mistake.FORGETS_IDS not in self._mistakes:
            self.tell("duplicate", heard.order, message_id=heard.message_id)
            return False
        self._seen.add(heard.message_id)
        if heard.order is None:
            self.tell("notice", type=heard.type)
            return True
        self.tell("received", heard.order)
        if trick is not None:
            self._later(self._lie(heard.order, trick))
        elif not isinstance(self.behaviour, Silent):
            self._later(self._handle(heard.order))
        return True

    async def stop(self) -> None:
        """Drop what it still wanted to answer, as when a participant's system goes down."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def top_up(self, account: str, amount: int) -> None:
        """Let ``amount`` ₫ come in on an account, and report each hold that grew."""
        for hold in self.ledger.top_up(account, amount):
            self.tell("grown", hold.order, amount_held=hold.held)
            await self._answer(hold.order, _executed(hold))

    def tell(self, kind: str, order: Order | None = None, **data: Any) -> None:
        """Report what happened."""
        about = {} if order is None else {"order_id": order.id, "reference": order.reference}
        if order is not None:
            about |= {"action": order.action, "target": order.target}
            about |= {"drill": "true"} if order.drill else {}
        self._on_event(kind, {"participant": self.name, **about, **data})

    async def _handle(self, order: Order) -> None:
        match self.behaviour:
            case _ if order.ends_silence:
                # Nobody awaits an answer.
                self.tell("silence_ended", order)
                return
            case _ if order.asks:
                await self._say_what_is_held(order)
                return
            case _ if order.action is Action.LIFT:
                await self._lift(order)
                return
            case _ if self._is_ignored(order):
                return
            case _ if order.target in self.ledger.unknown and Mistake.FINDS_ANYTHING not in self._mistakes:
                await self._refuse(order, RefusalCode.TARGET_NOT_FOUND)
                return
            case _ if order.action is Action.TRACE and Mistake.REFUSES_TRACES in self._mistakes:
                await self._refuse(order, RefusalCode.NOT_FEASIBLE)
                return
            case Refusing(code, only) if only is None or order.target in only:
                await self._refuse(order, code)
                return
            case Ported(to, only) if only is None or order.target in only:
                self.tell("not_mine", order, ported_to=to)
                await self._answer(order, {"outcome": Outcome.NOT_MINE, "ported_to": to})
                return
            case Slow(seconds):
                await self._answer(order, {"outcome": Outcome.RECEIVED})
                await asyncio.sleep(seconds)
            case Late(seconds):
                await self._answer(order, {"outcome": Outcome.RECEIVED})
                await asyncio.sleep(_left(order) + seconds)
        await self._execute(order)

    async def _lie(self, order: Order, trick: Trick) -> None:
        said = {"outcome": Outcome.REFUSED, "refusal_code": RefusalCode.OTHER}
        stranger = str(uuid.uuid4())
        about = order
        if trick is Trick.STRANGER:
            about = replace(order, id=stranger, answer_url=order.answer_url.replace(order.id, stranger))
        self.tell("lied", order, trick=trick)
        await self._answer(about, said, self._forged if trick is Trick.FORGED else self.speech)

    async def _execute(self, order: Order) -> None:
        share = 2 if isinstance(self.behaviour, Half) else 1
        if self.ledger.is_lifted(order.id):
            # The lift's own answer has said that nothing is held.
            self.tell("out_of_order", order)
        elif order.action is Action.FREEZE:
            is_new = order.id not in self.ledger.holds
            hold = self.ledger.claim(order) if self._claims_all else self.ledger.freeze(order, share)
            if hold is None:
                await self._refuse(order, RefusalCode.NO_BALANCE)
                return
            self.tell("executed", order, amount_held=hold.held)
            await self._answer(order, _executed(hold))
            if is_new:
                await self._hold_more(order)
        elif order.action is Action.RECALL:
            back = self.ledger.recall(order, share)
            if not back:
                await self._refuse(order, RefusalCode.ALREADY_PAID_OUT)
                return
            await self._send_back(order, back)
            if await self._rest_comes() and (more := self.ledger.recall_rest(order)) > back:
                await self._send_back(order, more)
        elif order.action is Action.DISCLOSE:
            # Of a person the event tells nothing: only how much was given.
            disclosed = {name: MADE_UP[name] for name in order.asked if name in MADE_UP}
            given = dict(list(disclosed.items())[: -(-len(disclosed) // share)])
            await self._disclose(order, given)
            if len(given) < len(disclosed) and await self._rest_comes():
                await self._disclose(order, disclosed)
        elif order.action is Action.TRACE:
            assert order.window is not None  # else it had not been read as an order
            movements = statement.moved(*order.window)
            first = -(-len(movements) // share)
            await self._trace(order, movements[:first], has_more=first < len(movements))
            if first < len(movements) and await self._rest_comes():
                await self._trace(order, movements)
        elif order.action is Action.EXTEND and not self.ledger.extend(order):
            await self._refuse(order, RefusalCode.TARGET_NOT_FOUND)
        else:
            if order.action is not Action.EXTEND:
                self.ledger.block(order)
            self.tell("executed", order)
            await self._answer(order, {"outcome": Outcome.EXECUTED})

    @property
    def _claims_all(self) -> bool:
        return Mistake.CLAIMS_ALL in self._mistakes

    def _is_ignored(self, order: Order) -> bool:
        return Mistake.IGNORES_LATE in self._mistakes and order.execute_by is not None and not _left(order)

    async def _hold_more(self, order: Order) -> None:
        match self.behaviour:
            case Partial(_, more, float(after)):
                await asyncio.sleep(after)
                await self.top_up(order.target, more)
            case Half():
                await self._rest_comes()
                await self.top_up(order.target, 0)

    async def _rest_comes(self) -> bool:
        """Wait for the other half, and tell whether one comes at all."""
        if isinstance(self.behaviour, Half):
            await asyncio.sleep(self.behaviour.after)
            return True
        return False

    async def _send_back(self, order: Order, amount: int) -> None:
        self.tell("executed", order, amount_returned=amount)
        await self._answer(order, {"outcome": Outcome.EXECUTED, "amount_returned": _vnd(amount)})

    async def _disclose(self, order: Order, data: Mapping[str, Any]) -> None:
        self.tell("executed", order, data_given=len(data))
        await self._answer(order, {"outcome": Outcome.EXECUTED, "disclosed": data})

    async def _trace(self, order: Order, movements: Sequence[Mapping[str, Any]], *, has_more: bool = False) -> None:
        # Where the money went the event tells nobody: only how many movements there were.
        self.tell("executed", order, movements_given=len(movements))
        traced = {"movements": movements, "has_more": has_more}
        await self._answer(order, {"outcome": Outcome.EXECUTED, "traced": traced})

    async def _lift(self, order: Order) -> None:
        if Mistake.IGNORES_LIFTS in self._mistakes:
            return
        self.ledger.lift(order)
        if Mistake.FORGETS_LIFTS in self._mistakes:
            self.ledger.forget_lift(order)
        self.tell("lifted", order)
        # A lift with a request of its own is an order that gets executed; without one it ends the order it names.
        outcome = Outcome.LIFTED if order.lifts == order.id else Outcome.EXECUTED
        await self._answer(order, {"outcome": outcome})

    async def _say_what_is_held(self, order: Order) -> None:
        hold = self.ledger.holds.get(order.id)
        self.tell("asked", order, amount_held=0 if hold is None else hold.held)
        await self._answer(order, {"outcome": Outcome.LIFTED} if hold is None else _executed(hold))

    async def _refuse(self, order: Order, code: RefusalCode) -> None:
        self.tell("refused", order, refusal_code=code)
        await self._answer(order, {"outcome": Outcome.REFUSED, "refusal_code": code})

    async def _answer(self, order: Order, acknowledgement: Mapping[str, Any], speech: Speech | None = None) -> None:
        outcome = acknowledgement["outcome"]
        async with self._answering[order.id]:
            try:
                answer = await (speech or self.speech).answer(order, acknowledgement)
            except DeliveryFailed as failed:
                self.tell("answer_failed", order, outcome=outcome, code=failed.code)
                return
        kind = "answered" if answer.status < 300 else "answer_failed"
        self.tell(kind, order, outcome=outcome, code=f"http.{answer.status}")

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _left(order: Order) -> float:
    """Return the seconds until its execute clock ends; none where it has no such clock."""
    if order.execute_by is None:
        return 0.0
    return max(0.0, datetime.fromisoformat(order.execute_by).timestamp() - time.time())


def _executed(hold: Hold) -> dict[str, Any]:
    return {"outcome": Outcome.EXECUTED, "amount_held": _vnd(hold.held)}


def _vnd(amount: int) -> dict[str, str]:
    return {"value": str(amount), "currency": "VND"}
