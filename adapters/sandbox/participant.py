"""One sandbox participant: takes signed orders over HTTPS, books them, and answers the hub."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters import signing, webhook
from adapters.base import DeliveryFailed
from adapters.sandbox.behaviour import Behaviour, Partial, Ported, Refusing, Silent, Slow
from adapters.sandbox.hub import Hub
from adapters.sandbox.ledger import Hold, Ledger, Order, read_order
from adapters.sandbox.server import EmbeddedServer
from adapters.sandbox.signatures import HEADER, HubKeys, SignatureRefused
from adapters.sandbox.tls import SandboxTls
from adapters.transport import HubClient
from workflows.terms import Action, Datum, DispatchKind, DocumentKind, HolderState, Outcome, RefusalCode, Sector

OnEvent = Callable[[str, dict[str, Any]], None]
LARGEST_BODY = 64 * 1024
# Whom every target of a sandbox belongs to: nobody. It knows no mailbox, so that something is always not held.
MADE_UP: Mapping[str, Any] = {
    Datum.HOLDER_NAME: "NGUYEN VAN MAU",
    Datum.HOLDER_DOCUMENT: {"kind": DocumentKind.NATIONAL_ID, "number": "000000000000"},
    Datum.HOLDER_BIRTH_DATE: "1990-01-01",
    Datum.CONTACT_PHONE: "+84980000001",
    Datum.OPENED_ON: "2024-05-06",
    Datum.STATE: HolderState.OPEN,
}


class Sandbox:
    """A participant with one behaviour; ``ledger`` is what it holds.

    ``on_event`` is told what happens: ``received``, ``duplicate``, ``notice``, ``signature_refused``, ``malformed``,
    ``executed``, ``grown``, ``refused``, ``not_mine``, ``lifted``, ``out_of_order``, ``answered``, ``answer_failed``;
    with the participant's name, and where it is about an order its id, reference, action and target.
    """

    def __init__(
        self,
        name: str,
        sector: Sector,
        behaviour: Behaviour,
        port: int,
        hub_url: str,
        client_id: str,
        private_key_jwk: Mapping[str, Any],
        webhook_secret: str,
        tls: SandboxTls,
        on_event: OnEvent,
        *,
        issuer: str | None = None,
        signing_key: Mapping[str, Any] | None = None,
        balances: Mapping[str, int] | None = None,
    ) -> None:
        """Take port 0 for any free one; ``issuer`` is the hub's issuer string where it is not ``hub_url``.

        ``signing_key`` signs its answers, as a JWK; what only listens has none.
        """
        self.name, self.sector, self.behaviour = name, sector, behaviour
        self.ledger = Ledger(balances=dict(balances or {}))
        if isinstance(behaviour, Partial):
            self.ledger.default_balance = behaviour.first
        self._secret, self._on_event = webhook_secret, on_event
        self._client = HubClient(hub_url)
        self._hub = Hub(self._client, client_id, private_key_jwk, issuer or hub_url, signing_key=signing_key)
        self._hub_keys = HubKeys(self._client)
        app = Starlette(routes=[Route("/hook", self._receive, methods=["POST"])])
        self._server = EmbeddedServer(app, port, tls.files)
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # Answers about one order leave in the order in which they came about.
        self._answering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def url(self) -> str:
        """Where it receives; with port 0 only known once it has started."""
        return f"https://localhost:{self._server.port}/hook"

    async def start(self) -> None:
        """Return when it accepts orders; raises ``OSError`` where the port is taken."""
        await self._server.start()

    async def stop(self) -> None:
        """Close; what it still wanted to answer is dropped, as when a participant's system goes down."""
        await self._server.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def top_up(self, account: str, amount: int) -> None:
        """Let ``amount`` ₫ come in on an account, and report each hold that grew."""
        for hold in self.ledger.top_up(account, amount):
            self._tell("grown", hold.order, amount_held=hold.held)
            await self._answer(hold.order, _executed(hold))

    async def _receive(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                return Response(status_code=413)
        try:
            signing.verify([self._secret], request.headers, bytes(body), time.time())
        except signing.SignatureInvalid as invalid:
            self._tell("signature_refused", reason=invalid.reason)
            return Response(status_code=401)
        try:
            message = webhook.parse(bytes(body))
            order = read_order(message) if message.kind is DispatchKind.ORDER else None
        except webhook.EventInvalid as invalid:
            self._tell("malformed", reason=str(invalid))
            return Response(status_code=400)
        if order is not None:
            try:
                await self._hub_keys.verify(request.headers.get(HEADER), order.id, message.body)
            except SignatureRefused as refused:
                self._tell("signature_refused", order, reason=f"order.{refused.reason}")
                return Response(status_code=401)
            except DeliveryFailed:
                # Nobody can tell yet whether it is the hub's order: it comes again.
                return Response(status_code=503)
        if message.id in self._seen:
            self._tell("duplicate", order, message_id=message.id)
            return Response(status_code=200)
        self._seen.add(message.id)
        if order is None:
            self._tell("notice", type=message.type)
        else:
            self._tell("received", order)
            if not isinstance(self.behaviour, Silent):
                self._later(self._handle(order))
        return Response(status_code=202)

    async def _handle(self, order: Order) -> None:
        match self.behaviour:
            case _ if order.action is Action.LIFT:
                await self._lift(order)
                return
            case Refusing(code, only) if only is None or order.target in only:
                await self._refuse(order, code)
                return
            case Ported(to, only) if only is None or order.target in only:
                self._tell("not_mine", order, ported_to=to)
                await self._answer(order, {"outcome": Outcome.NOT_MINE, "ported_to": to})
                return
            case Slow(seconds):
                await self._answer(order, {"outcome": Outcome.RECEIVED})
                await asyncio.sleep(seconds)
        await self._execute(order)

    async def _execute(self, order: Order) -> None:
        if self.ledger.is_lifted(order.id):
            # The lift's own answer has said that nothing is held.
            self._tell("out_of_order", order)
        elif order.action is Action.FREEZE:
            is_new = order.id not in self.ledger.holds
            hold = self.ledger.freeze(order)
            if hold is None:
                await self._refuse(order, RefusalCode.NO_BALANCE)
                return
            self._tell("executed", order, amount_held=hold.held)
            await self._answer(order, _executed(hold))
            if is_new and isinstance(self.behaviour, Partial) and self.behaviour.after is not None:
                await asyncio.sleep(self.behaviour.after)
                await self.top_up(order.target, self.behaviour.more)
        elif order.action is Action.RECALL:
            back = self.ledger.recall(order)
            if not back:
                await self._refuse(order, RefusalCode.ALREADY_PAID_OUT)
                return
            self._tell("executed", order, amount_returned=back)
            await self._answer(order, {"outcome": Outcome.EXECUTED, "amount_returned": _vnd(back)})
        elif order.action is Action.DISCLOSE:
            # Of a person the event tells nothing: only how much was given.
            disclosed = {name: MADE_UP[name] for name in order.asked if name in MADE_UP}
            self._tell("executed", order, data_given=len(disclosed))
            await self._answer(order, {"outcome": Outcome.EXECUTED, "disclosed": disclosed})
        elif order.action is Action.EXTEND and not self.ledger.extend(order):
            await self._refuse(order, RefusalCode.TARGET_NOT_FOUND)
        else:
            if order.action is not Action.EXTEND:
                self.ledger.block(order)
            self._tell("executed", order)
            await self._answer(order, {"outcome": Outcome.EXECUTED})

    async def _lift(self, order: Order) -> None:
        self.ledger.lift(order)
        self._tell("lifted", order)
        # A lift with a request of its own is an order that gets executed; without one it ends the order it names.
        outcome = Outcome.LIFTED if order.lifts == order.id else Outcome.EXECUTED
        await self._answer(order, {"outcome": outcome})

    async def _refuse(self, order: Order, code: RefusalCode) -> None:
        self._tell("refused", order, refusal_code=code)
        await self._answer(order, {"outcome": Outcome.REFUSED, "refusal_code": code})

    async def _answer(self, order: Order, acknowledgement: Mapping[str, Any]) -> None:
        outcome = acknowledgement["outcome"]
        async with self._answering[order.id]:
            try:
                answer = await self._hub.answer(order.id, order.answer_url, acknowledgement)
            except DeliveryFailed as failed:
                self._tell("answer_failed", order, outcome=outcome, code=failed.code)
                return
        kind = "answered" if answer.status < 300 else "answer_failed"
        self._tell(kind, order, outcome=outcome, code=f"http.{answer.status}")

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, kind: str, order: Order | None = None, **data: Any) -> None:
        about = {} if order is None else {"order_id": order.id, "reference": order.reference}
        if order is not None:
            about |= {"action": order.action, "target": order.target}
        self._on_event(kind, {"participant": self.name, **about, **data})


def _executed(hold: Hold) -> dict[str, Any]:
    return {"outcome": Outcome.EXECUTED, "amount_held": _vnd(hold.held)}


def _vnd(amount: int) -> dict[str, str]:
    return {"value": str(amount), "currency": "VND"}
