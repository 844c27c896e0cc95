"""A participant that opens no port: it asks the hub for its orders again and again, and keeps its place."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapters.base import DeliveryFailed, Message
from adapters.sandbox.behaviour import Mistake, Trick
from adapters.sandbox.clerk import Clerk
from adapters.sandbox.events import Events, Mistakes
from adapters.sandbox.hub import Hub
from adapters.sandbox.speech import Heard, NotTaken
from adapters.transport import HubClient
from workflows.terms import DispatchKind

# The hub lets a call wait this long for something new; a page of long orders is read whole.
_WAIT = 25
PAGE_WITHIN = 40.0
LARGEST_PAGE = 4 * 1024 * 1024
_STREAM = "/v1/orders/stream"
_ORDERS = "vn.hoatoc.order."
# Before the next call to a hub that did not answer this one.
_PAUSE = 0.5


class Inbox:
    """Long-polls ``GET /v1/orders`` with its cursor, or reads the stream; coming back with the cursor is the receipt.

    ``next_call`` says whether what comes is taken, and with which trick it is answered.
    """

    def __init__(
        self,
        client: HubClient,
        hub: Hub,
        events: Events,
        clerk: Clerk,
        next_call: Callable[[], tuple[bool, Trick | None]],
        mistakes: Mistakes = frozenset(),
        *,
        streams: bool = False,
    ) -> None:
        self._mistakes = mistakes
        self._client, self._hub, self._events, self._clerk, self._next_call = client, hub, events, clerk, next_call
        self._look = self._follow if streams else self._poll
        self._after = 0
        # Read, and not yet confirmed: whoever has acted on it could not tell when he got it.
        self._read: list[tuple[Heard, Trick | None]] = []

    async def read(self) -> None:
        """Read for as long as it is let."""
        while True:
            try:
                await self._look()
            except (DeliveryFailed, NotTaken):
                # The hub is away, or its keys are: what was not confirmed comes again.
                await asyncio.sleep(_PAUSE)

    async def _poll(self) -> None:
        page = await self._page(0 if self._read else _WAIT)
        self._act()
        await self._hear(page)
        if self._forgets:
            # Where nothing is confirmed, nothing has to be waited for.
            await asyncio.sleep(_PAUSE)

    async def _follow(self) -> None:
        """Read one stream to its end. It confirms nothing: each order is, by its position, before it is acted on."""
        await self._confirm()
        try:
            async for data in self._client.events(_STREAM, headers=await self._hub.headers("GET", _STREAM)):
                item = json.loads(data)
                await self._hear({"items": [item], "next": item["position"]})
                if self._after < item["position"]:
                    return  # left lying: it comes again on the next stream
                await self._confirm()
        except DeliveryFailed as failed:
            if failed.status == 401:
                self._hub.forget_token()
            raise
        # It ends with the token, and whenever the hub stops.
        await asyncio.sleep(_PAUSE)

    async def _confirm(self) -> None:
        if self._read:
            await self._page(0)
            self._act()

    def _act(self) -> None:
        for heard, trick in self._read:
            self._clerk.take(heard, trick)
        self._read = []

    @property
    def _forgets(self) -> bool:
        return Mistake.FORGETS_CURSOR in self._mistakes

    async def _page(self, wait: int) -> Mapping[str, Any]:
        path = f"/v1/orders?after={0 if self._forgets else self._after}&wait={wait}"
        answer = await self._client.get(path, headers=await self._hub.headers("GET", path))
        if answer.status == 401:
            self._hub.forget_token()
        if answer.status != 200:
            raise DeliveryFailed(f"http.{answer.status}", status=answer.status)
        page: Mapping[str, Any] = json.loads(answer.body)
        return page

    async def _hear(self, page: Mapping[str, Any]) -> None:
        if not page["items"]:
            return
        is_taken, trick = self._next_call()
        if not is_taken:
            return
        read = []
        for item in page["items"]:
            message = _message(item)
            try:
                read.append((await self._events.heard(message, item["signature"]), trick))
            except NotTaken as refused:
                if not refused.kind or self._stops_at(message):
                    raise
                # What the hub did not sign is passed over: it would stand in the way of all that comes after it.
                self._clerk.tell(refused.kind, refused.order, reason=refused.reason)
        self._read, self._after = read, int(page["next"])

    def _stops_at(self, message: Message) -> bool:
        """Tell whether a message stands in its way for good: who cannot pass over it never reads what comes after."""
        return message.kind is not DispatchKind.ORDER and Mistake.REFUSES_TYPES in self._mistakes


def _message(item: Mapping[str, Any]) -> Message:
    is_order = item["type"].startswith(_ORDERS)
    return Message(
        id=item["id"],
        type=item["type"],
        kind=DispatchKind.ORDER if is_order else DispatchKind.NOTICE,
        subject=item["subject"],
        occurred_at=datetime.fromisoformat(item["occurred_at"]),
        sequence=item["sequence"],
        body=item["body"],
    )
