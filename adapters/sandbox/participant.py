"""One sandbox participant: takes signed orders over HTTPS or fetches them, books them, and answers the hub."""

import asyncio
import itertools
from collections.abc import Collection, Mapping
from typing import Any

from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.sandbox import tricks
from adapters.sandbox.behaviour import LIES, Behaviour, Flapping, Hostile, Mistake, Trick, mistakes_of
from adapters.sandbox.business import Business
from adapters.sandbox.clerk import Clerk, OnEvent
from adapters.sandbox.events import Events
from adapters.sandbox.hi1 import Hi1
from adapters.sandbox.hub import Hub
from adapters.sandbox.inbox import LARGEST_PAGE, PAGE_WITHIN, Inbox
from adapters.sandbox.ledger import Ledger
from adapters.sandbox.server import EmbeddedServer
from adapters.sandbox.signatures import HubKeys
from adapters.sandbox.speech import NotTaken, Speech
from adapters.sandbox.tls import SandboxTls
from adapters.transport import HubClient
from workflows.terms import Channel, Sector

LARGEST_BODY = 64 * 1024


class Sandbox:
    """A participant with one behaviour and one form; ``ledger`` is what it holds. Of its events see ``Clerk``."""

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
        unknown: Collection[str] = (),
        speaks: Channel = Channel.WEBHOOK,
        batches: bool = False,
        streams: bool = False,
    ) -> None:
        """Take port 0 for any free one; ``issuer`` is the hub's issuer string where it is not ``hub_url``.

        ``signing_key`` signs its answers, as a JWK; what only listens has none. ``webhook_secret`` is an ETSI
        endpoint's too; a bank of ISO 20022 and an inbox have none. ``unknown`` are targets that it does not find.
        ``batches`` is for a webhook that declares them, ``streams`` for an inbox that is read as a stream.
        """
        self.name, self.sector, self.behaviour = name, sector, behaviour
        # Whoever reads an inbox waits for what is not there yet.
        is_reading = speaks is Channel.PULL
        limits: dict[str, Any] = {"timeout": PAGE_WITHIN, "largest": LARGEST_PAGE} if is_reading else {}
        self._client = HubClient(hub_url, **limits)
        self._mistakes = mistakes = mistakes_of(behaviour)
        self._secret, keys = webhook_secret, HubKeys(self._client, once=Mistake.KEEPS_KEYS in mistakes)

        def way(key: Mapping[str, Any] | None) -> Hub:
            return Hub(self._client, client_id, private_key_jwk, issuer or hub_url, signing_key=key)

        def speech(hub: Hub, key: Mapping[str, Any] | None) -> Speech:
            match speaks:
                case Channel.ISO20022:
                    assert key is not None, "a business message is always signed"
                    return Business(hub, keys, name, issuer or hub_url, key, mistakes)
                case Channel.ETSI:
                    return Hi1(hub, keys, name, issuer or hub_url, webhook_secret, mistakes)
            return Events(hub, keys, webhook_secret, mistakes, batches=batches)

        hub, nobody = way(signing_key), ECKey.generate_key("P-256").as_dict(private=True)
        forged, ledger = speech(way(nobody), nobody), Ledger(balances=dict(balances or {}), unknown=frozenset(unknown))
        self._clerk = Clerk(name, behaviour, speech(hub, signing_key), forged, on_event, ledger)
        self.ledger = self._clerk.ledger
        self._calls = itertools.count()
        app = Starlette(routes=[Route("/hook", self._receive, methods=["POST"])])
        self._server = None if is_reading else EmbeddedServer(app, port, tls.files)
        events = Events(hub, keys, "", mistakes)
        self._inbox = Inbox(self._client, hub, events, self._clerk, self._trick, mistakes, streams=streams)
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it receives; with port 0 only known once it has started, of an inbox nowhere."""
        return "" if self._server is None else f"https://localhost:{self._server.port}/hook"

    async def start(self) -> None:
        """Return when it accepts orders, or has begun to fetch them; raises ``OSError`` where the port is taken."""
        if self._server is None:
            self._reading = asyncio.create_task(self._inbox.read())
        else:
            await self._server.start()

    async def stop(self) -> None:
        """Close; what it still wanted to answer is dropped, as when a participant's system goes down."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._server is not None:
            await self._server.stop()
        await self._clerk.stop()
        await self._client.aclose()

    async def top_up(self, account: str, amount: int) -> None:
        """Let ``amount`` ₫ come in on an account, and report each hold that grew."""
        await self._clerk.top_up(account, amount)

    async def _receive(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                return Response(status_code=413)
        is_taken, trick = self._trick()
        if not is_taken:
            return Response(status_code=503)
        if trick is not None and (answer := tricks.answer(trick)) is not None:
            self._clerk.tell("lied", trick=trick)
            return answer
        try:
            heard = await self._clerk.speech.hear(request.headers, bytes(body))
        except NotTaken as refused:
            if refused.kind:
                self._clerk.tell(refused.kind, refused.order, reason=refused.reason)
            return Response(refused.reply or None, status_code=refused.status, media_type="application/json")
        if len(heard) > 1:
            self._clerk.tell("batch", messages=len(heard))
        is_new = [self._clerk.take(each, trick) for each in heard]
        if not any(is_new) and Mistake.REFUSES_REPEATED in self._mistakes:
            return Response(status_code=409)
        if heard[0].reply:
            return Response(heard[0].reply, status_code=200, media_type="application/json")
        return Response(status_code=202 if any(is_new) else 200)

    def _trick(self) -> tuple[bool, Trick | None]:
        """Return whether the next call is taken at all, and which trick is played with it."""
        number = next(self._calls)
        match self.behaviour:
            case Flapping():
                return number % 2 == 1, None
            case Hostile(played):
                if self._server is None:
                    played = tuple(trick for trick in played if trick in LIES) or LIES
                return True, played[number % len(played)]
        return True, None
