"""The inbox of a participant under examination: it is filled by hand, and who may read it is the hub's to say."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.routing import APIRoute

from adapters.base import Message
from service import clock, errors
from service.actions import receive_inbox
from service.engine.hub import Hub
from service.queries import inbox
from service.schemas.orders import InboxItem, InboxPage
from service.security import principals
from service.security.principals import Principal
from service.security.scopes import Scope
from service.web.doors import Caller, PageSize
from workflows.terms import DispatchKind, Role, Sector

_PATH = "/v1/orders"


@dataclass
class _Shelf:
    items: list[InboxItem] = field(default_factory=list)
    # Up to where its reader has come back with the cursor.
    confirmed: int = 0


class Shelves:
    """One shelf a participant. A reader sees what was put there, and confirms it by asking for what comes behind it."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._owners: dict[str, Principal] = {}
        self._news = asyncio.Condition()
        self._is_closed = False

    async def close(self) -> None:
        """Let nobody wait any longer."""
        async with self._news:
            self._is_closed = True
            self._news.notify_all()

    def open(self, participant: str, sector: Sector) -> None:
        """Begin a shelf for whoever pulls."""
        self._shelves[participant] = _Shelf()
        roles = [Role.PARTICIPANT_OPERATOR]
        self._owners[participant] = principals.of_person(participant, tenant=participant, sector=sector, roles=roles)

    async def take(self, hub: Hub, participant: str) -> list[Message]:
        """Return what the hub has laid into a participant's own inbox, and confirm it; nothing where it has none."""
        owner = self._owners.get(participant)
        if owner is None:
            return []
        async with hub.database.read(owner.reach) as conn:
            page = await inbox.page(conn, hub.vault, owner, after=0, limit=200)
        if page.items:
            await receive_inbox.receive(hub, owner, page.next)
        return [_message(item) for item in page.items]

    async def put(self, participant: str, message: Message) -> int:
        """Put a message on a shelf, as it is, and return its position there."""
        shelf = self._shelves[participant]
        async with self._news:
            position = len(shelf.items) + 1
            item = {
                "position": position,
                "id": message.id,
                "type": message.type,
                "subject": message.subject,
                "occurred_at": message.occurred_at,
                "sequence": message.sequence,
                "body": dict(message.body),
                "signature": message.signature,
            }
            shelf.items.append(InboxItem.model_validate(item))
            self._news.notify_all()
        return position

    async def read(self, participant: str, position: int, within: float) -> bool:
        """Wait until the reader confirms a position; return whether that was within so many seconds."""
        shelf = self._shelves[participant]

        def is_read() -> bool:
            return shelf.confirmed >= position

        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(is_read)
        except TimeoutError:
            return False
        return True

    def mount(self, app: FastAPI) -> None:
        """Stand in front of the hub's own door for inboxes, behind the same check of who calls."""
        route = APIRoute(_PATH, self._page, methods=["GET"], response_model=InboxPage)
        app.router.routes.insert(0, route)

    async def _page(
        self,
        caller: Caller,
        after: Annotated[int, Query(ge=0)] = 0,
        wait: Annotated[int, Query(ge=0, le=25)] = 0,
        limit: PageSize = 50,
    ) -> InboxPage:
        caller.require(Scope.ORDERS_READ)
        shelf = self._shelves.setdefault(caller.tenant, _Shelf())

        def found() -> list[InboxItem]:
            return shelf.items[after : after + limit]

        until = clock.monotonic() + wait
        if after > len(shelf.items):
            raise errors.InvalidInput.of("after", "cursor.invalid")
        async with self._news:
            shelf.confirmed = max(shelf.confirmed, after)
            self._news.notify_all()
            while not (found() or self._is_closed) and (left := until - clock.monotonic()) > 0:
                try:
                    await asyncio.wait_for(self._news.wait(), left)
                except TimeoutError:
                    break
            items = found()
        return InboxPage(items=items, next=items[-1].position if items else after)


def _message(item: InboxItem) -> Message:
    body: Mapping[str, Any] = item.body
    return Message(
        id=item.id,
        type=item.type,
        kind=DispatchKind.ORDER,
        subject=item.subject,
        occurred_at=item.occurred_at,
        sequence=item.sequence,
        body=body,
        signature=item.signature,
    )
