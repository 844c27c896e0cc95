"""Officers who file, approve, lift, prolong, take back and forget; participants who answer late, twice or wrongly."""

import asyncio
import contextvars
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import steps
import world as worlds
from sim_network import Ledger, hold_of
from sim_nodes import Process, was_meant
from world import World

from adapters.base import Message
from service import errors
from service.actions import acknowledge_order, approve_request, submit_request, withdraw_request
from service.engine.hub import Hub
from service.schemas.orders import AcknowledgementBody
from service.security.signatures import Kind
from workflows.terms import Sector

if TYPE_CHECKING:
    from sim_world import Simulation

BANKS = {"vietcombank": "970436", "techcombank": "970407", "bidv": "970418"}
# Made-up numbers of the two operators' prefixes.
PHONES = {"viettel": "+84986000", "mobifone": "+84903000"}
SECTORS = {"viettel": Sector.TELECOM, "mobifone": Sector.TELECOM, "fpt-isp": Sector.ISP}
Act = Callable[[Hub], Coroutine[Any, Any, Any]]


class GaveUp(Exception):
    """A client that tried for a long time and never heard an answer."""


@dataclass
class Filing:
    """One request as its officer knows it: ``id`` is None until the hub has said that it has it."""

    key: str
    raw: bytes
    body: dict[str, Any]
    id: UUID | None = None
    ends_at: datetime | None = None
    tried: int = 0
    ids: set[UUID] = field(default_factory=set)


class People:
    """Everybody outside of the hub; each acts in virtual time and calls whichever node answers."""

    def __init__(self, simulation: "Simulation", world: World) -> None:
        self.simulation = simulation
        self.world = world
        self.filings: list[Filing] = []
        self.approved: set[UUID] = set()
        self.refused: dict[str, int] = {}
        # What somebody still means to do.
        self.expected = 0
        # The share of calls whose question or answer gets lost.
        self.loss = 0.0
        # The share of orders that a participant never says anything to.
        self.silence = 0.12

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Let somebody do something so many seconds from now; nobody waits for it."""
        self.expected += 1
        outside = contextvars.Context()
        self.simulation.loop.call_later(max(0.0, seconds), lambda: self._begin(work), context=outside)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.simulation.outside(self._done(work))

    async def _done(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            await work()
        except errors.HubError as refused:
            self._note(refused)
        except GaveUp as gave_up:
            self.simulation.wrong("unanswered", str(gave_up))
        finally:
            self.expected -= 1

    def _note(self, refused: errors.HubError) -> None:
        code = refused.fields[0].code if refused.fields else refused.code
        self.refused[code] = self.refused.get(code, 0) + 1
        self.simulation.tell("refused", code=code)

    async def call(self, what: str, ready: Callable[[], Act]) -> Any:
        """Call the hub until it answers, at another node each time; ``ready`` makes the call anew, freshly signed.

        Raises what the hub refuses it with.
        """
        chance = self.simulation.chance
        for _ in range(400):
            process = chance.choice(self.simulation.processes)
            await asyncio.sleep(chance.uniform(0.001, 0.3))
            if not process.is_well or process.is_leaving or chance.random() < self.loss:
                await asyncio.sleep(chance.uniform(0.2, 5))
                continue
            answered, answer = await self._asked(what, process, ready())
            if answered and chance.random() >= self.loss:
                if isinstance(answer, errors.HubError):
                    raise answer
                return answer
            self.simulation.tell("unanswered", what=what, node=process.name)
            await asyncio.sleep(chance.uniform(0.1, 5))
        raise GaveUp(what)

    async def _asked(self, what: str, process: Process, act: Act) -> tuple[bool, Any]:
        task = process.spawn(act(process.hub))
        await asyncio.wait({task}, timeout=25)
        if not task.done() or task.cancelled():
            return False, None
        error = task.exception()
        if error is None:
            return True, task.result()
        if isinstance(error, errors.HubError):
            return True, error
        if not was_meant(error):
            self.simulation.wrong("broke", f"{what}: {error!r}")
        return False, None

    # What officers do.

    async def file(self, body: dict[str, Any]) -> Filing:
        """File a request; at times the same call goes to two nodes at once."""
        body = {**body, "document": {**body["document"], "date": self._today()}}
        filing = Filing(self.simulation.clocks.new_id().hex, json.dumps(body).encode(), body)
        self.filings.append(filing)
        shape = worlds.SUBMIT.validate_python(body)

        def ready() -> Act:
            signature = self.world.sign(Kind.REQUEST, filing.raw, body["officer_id"])
            filing.tried += 1
            return lambda hub: submit_request.submit(hub, self.world.police, filing.key, shape, filing.raw, signature)

        async def once() -> Any:
            return (await self.call(f"file {body['action']}", ready)).answer

        copies = 2 if self.simulation.chance.random() < 0.15 else 1
        told = await asyncio.gather(*(once() for _ in range(copies)), return_exceptions=True)
        refusals = [each for each in told if isinstance(each, BaseException)]
        answers: list[Any] = [each for each in told if not isinstance(each, BaseException)]
        if not answers:
            raise refusals[0]
        # One node may refuse it, as signed in the future, and the other take it once its clock has been set right.
        for each in refusals:
            if not isinstance(each, errors.HubError):
                raise each
            self._note(each)
        filing.ids = {answer.id for answer in answers}
        filing.id, filing.ends_at = answers[0].id, answers[0].ends_at
        self.simulation.tell("filed", request=str(filing.id)[-8:], action=body["action"])
        return filing

    async def approve(self, filing: Filing) -> None:
        """Approve it as the second officer."""
        request_id = filing.id
        assert request_id is not None

        def ready() -> Act:
            signature = self.world.sign(Kind.APPROVAL, filing.raw, "approver", request_id)
            return lambda hub: approve_request.approve(hub, self.world.police, request_id, "approver", signature)

        await self.call("approve", ready)
        self.approved.add(request_id)
        self.simulation.tell("approved", request=str(request_id)[-8:])

    async def review(self, filing: Filing) -> None:
        """Review an emergency hold."""
        request_id = filing.id
        assert request_id is not None

        def ready() -> Act:
            signature = self.world.sign(Kind.REVIEW, filing.raw, "approver", request_id)
            return lambda hub: approve_request.review(hub, self.world.police, request_id, "approver", signature)

        await self.call("review", ready)

    async def withdraw(self, filing: Filing) -> None:
        """Take back what nobody has approved yet."""
        request_id = filing.id
        assert request_id is not None
        raw = json.dumps({"officer_id": "maker"}).encode()

        def ready() -> Act:
            signature = self.world.sign(Kind.WITHDRAWAL, raw, "maker", request_id)
            return lambda hub: withdraw_request.withdraw(hub, self.world.police, request_id, "maker", raw, signature)

        await self.call("withdraw", ready)
        self.simulation.tell("withdrawn", request=str(request_id)[-8:])

    async def matter(self) -> None:
        """One matter from its filing to whatever the officers do about it later."""
        chance, now = self.simulation.chance, self.simulation.clocks.true()
        body, is_hold = self._demand(now)
        filing = await self.file(body)
        if body["legal_basis"] == "emergency":
            if chance.random() < 0.5:
                self.later(chance.uniform(5, 6000), lambda: self.review(filing))
        elif chance.random() < 0.08:
            self.later(chance.uniform(1, 4000), lambda: self.withdraw(filing))
            self.later(chance.uniform(1, 4000), lambda: self.approve(filing))
            return
        elif chance.random() < 0.1:
            return  # nobody ever looks at it again
        else:
            await asyncio.sleep(chance.choice((0.5, 20, 400, 3000)) * chance.random())
            await self.approve(filing)
        drawn = chance.random()
        if is_hold and drawn < 0.35:
            self.later(_spread(chance, 1, 9000), lambda: self.lift(filing))
        elif is_hold and drawn < 0.55 and body["action"] == "freeze" and filing.ends_at is not None:
            left = (filing.ends_at - now).total_seconds()
            self.later(left - chance.uniform(-5, 4000), lambda: self.extend(filing))

    async def lift(self, filing: Filing) -> None:
        """Lift what a request holds."""
        assert filing.id is not None
        await self.file(worlds.lift(filing.id))

    async def extend(self, filing: Filing) -> None:
        """Ask for more time just before, or just after, the end."""
        chance = self.simulation.chance
        assert filing.id is not None and filing.ends_at is not None
        order = {"ends_at": filing.ends_at, "request_id": filing.id}
        extension = await self.file(steps.extend(order, days=chance.choice((1, 3))))
        if chance.random() < 0.8:
            self.later(chance.choice((1, 60, 4000)) * chance.random(), lambda: self.approve(extension))

    def _demand(self, now: datetime) -> tuple[dict[str, Any], bool]:
        chance = self.simulation.chance
        case = f"{chance.randrange(4) + 1:02}/2026/CA"
        drawn = chance.random()
        if drawn < 0.65:
            bank = chance.choice(sorted(BANKS))
            # Few accounts: holds meet.
            value = f"99900{chance.randrange(3)}1112223"
            target = {**worlds.freeze()["target"], "institution": BANKS[bank], "value": value}
            body = worlds.freeze(target=target, case_number=case)
            if drawn < 0.12:
                return body | {"legal_basis": "emergency"}, True
            ends_at = now + timedelta(hours=chance.choice((1, 2, 6, 24, 72)), minutes=chance.randrange(60))
            return body | {"ends_at": ends_at.isoformat()}, True
        if drawn < 0.85:
            targets = [
                {"kind": "phone", "value": f"{PHONES[each]}{chance.randrange(100, 102)}"}
                for each in chance.sample(sorted(PHONES), chance.choice((1, 2)))
            ]
            return worlds.takedown(*targets, case_number=case), True
        if drawn < 0.93:
            return steps.recall(case_number=case), False
        return steps.preserve(worlds.freeze()["target"], case_number=case), False

    def _today(self) -> str:
        return (self.simulation.clocks.true() - timedelta(days=1)).date().isoformat()

    # What participants do.

    def ordered(self, who: str, message: Message, ledger: Ledger, is_new: bool) -> None:
        """A participant has got an order or a lift."""
        chance = self.simulation.chance
        if not is_new:
            if chance.random() < 0.2 and message.type.endswith(".lift"):
                self._say(who, message, chance.uniform(1, 60), outcome="lifted")
            return
        delay = _spread(chance, 0.5, 1500)
        if message.type.endswith(".lift"):
            if chance.random() >= self.silence:
                self._say(who, message, delay, outcome="lifted")
            return
        if chance.random() < self.silence:
            # It does what it is told and says nothing.
            self.later(delay, lambda: self._execute(message, ledger))
            return
        if chance.random() < 0.25:
            self._say(who, message, delay * chance.random(), outcome="received")
        drawn = chance.random()
        if drawn < 0.1:
            self._say(who, message, delay, outcome="refused", refusal_code="target_closed")
        elif drawn < 0.2 and who in PHONES:
            other = next(name for name in PHONES if name != who)
            self._say(who, message, delay, outcome="not_mine", ported_to=other)
        else:
            self.later(delay, lambda: self._execute(message, ledger))
            self._executed(who, message, delay + _spread(chance, 0.01, 300))

    async def _execute(self, message: Message, ledger: Ledger) -> None:
        if message.body["action"] in ("freeze", "takedown"):
            ledger.execute(hold_of(message))

    def _executed(self, who: str, message: Message, delay: float) -> None:
        chance, action = self.simulation.chance, message.body["action"]
        if action == "freeze":
            asked = int(message.body["amount"]["value"])
            first = chance.choice((asked, asked // 3))
            self._say(who, message, delay, outcome="executed", amount_held=steps.vnd(first))
            if first < asked and chance.random() < 0.5:
                more = delay + chance.uniform(1, 4000)
                self._say(who, message, more, outcome="executed", amount_held=steps.vnd(asked))
        elif action == "recall":
            returned = steps.vnd(int(message.body["amount"]["value"]) // 2)
            self._say(who, message, delay, outcome="executed", amount_returned=returned)
        else:
            self._say(who, message, delay, outcome="executed")
        if chance.random() < 0.05:
            contrary = delay + chance.uniform(-2, 600)
            self._say(who, message, contrary, outcome="refused", refusal_code="target_not_found")

    def _say(self, who: str, message: Message, delay: float, **said: Any) -> None:
        chance = self.simulation.chance
        self.later(delay, lambda: self._answer(who, message, said))
        if chance.random() < 0.15:
            # The very same answer, at once at another node or much later.
            self.later(delay + chance.choice((0, 0.01, 5, 2000)), lambda: self._answer(who, message, said))

    async def _answer(self, who: str, message: Message, said: dict[str, Any]) -> None:
        order_id = UUID(message.body["order_id"])
        raw = json.dumps(said).encode()
        shape = AcknowledgementBody.model_validate(said)
        principal = self.world.participant(who, SECTORS.get(who, Sector.BANK))

        def ready() -> Act:
            signature = self.world.sign(Kind.ANSWER, raw, who, order_id)
            return lambda hub: acknowledge_order.acknowledge(hub, principal, order_id, shape, raw, signature)

        await self.call(f"answer {said['outcome']}", ready)
        self.simulation.tell("answered", order=str(order_id)[-8:], outcome=said["outcome"])


def _spread(chance: Any, low: float, high: float) -> float:
    """Draw seconds between ``low`` and ``high``, as many below a tenth of ``high`` as above it."""
    return float(low * (high / low) ** chance.random())
