"""The hub that certifies: a real one in a folder of its own, whose messages go where the examination wants them."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from pydantic import TypeAdapter

from adapters.base import Adapter, Endpoint, Message, Receipt, Transport
from adapters.transport import Transport as Wire
from service import clock, db
from service.actions import approve_request, submit_request
from service.certification.calls import Calls
from service.certification.shelves import Shelves
from service.engine import order_keys
from service.engine.hub import Hub
from service.models import Acknowledgement, Order, table_of
from service.schemas.demands import SubmitRequest
from service.security import keyring, principals, signatures
from service.security.keyring import SigningKey
from service.security.principals import Principal
from service.security.signatures import Kind
from workflows.terms import Channel, Role, Sector

AGENCY, _SYSTEM = "pc02-79", "pc02-79-certify"
MAKER, APPROVER, SECOND = "certify-maker", "certify-approver", "certify-second"
_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_ORDERS = table_of(Order)
_SUBMIT: TypeAdapter[Any] = TypeAdapter(SubmitRequest)
# The hub places an order in a moment; a machine that is busy with something else may need longer.
_WITHIN = 60.0
_POLL = 0.1


class NotPlaced(Exception):
    """The certifying hub itself placed no message for what was filed."""


class Caught:
    """The hub's messages as it would have sent them, by the participant that they are for.

    It is a channel's adapter towards the hub, which so believes that each message has arrived: when, whether and how
    it really goes out is the examination's.
    """

    def __init__(self) -> None:
        self._messages: dict[str, list[Message]] = {}
        self._news = asyncio.Condition()

    def of(self, channel: Channel) -> Adapter:
        """Speak on every channel."""
        return self

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """Keep a message."""
        await self.keep(message)
        return Receipt(202, 0.0, b"", "")

    async def keep(self, message: Message) -> None:
        """Keep a message, whichever way it was got."""
        async with self._news:
            self._messages.setdefault(str(message.body.get("participant_id")), []).append(message)
            self._news.notify_all()

    async def wait(self, requests: Collection[UUID], participant: str, action: str) -> Message:
        """Return the first message about one of these requests with this action. Raises ``NotPlaced``."""
        about, wanted = {str(each) for each in requests}, f"vn.hoatoc.order.{action}"
        try:
            async with asyncio.timeout(_WITHIN), self._news:
                while True:
                    for message in self._messages.get(participant, ()):
                        if message.type == wanted and message.body["request_id"] in about:
                            return message
                    await self._news.wait()
        except TimeoutError:
            raise NotPlaced(f"{action} for {participant}") from None


@dataclass
class Bench:
    """A running hub with two officers and a second administrator of its own, and their keys.

    ``calls`` are what came to its doors.
    """

    hub: Hub
    wire: Wire
    caught: Caught
    calls: Calls
    shelves: Shelves
    keys: Mapping[str, SigningKey]
    _police: Principal = field(init=False)

    def __post_init__(self) -> None:
        roles = [Role.MAKER, Role.APPROVER]
        self._police = principals.of_person(_SYSTEM, tenant=AGENCY, sector=Sector.AGENCY, roles=roles)

    @property
    def key(self) -> SigningKey:
        """What signs the orders of this hub now."""
        return keyring.in_force(self.hub.order_keys, clock.utc_now())

    async def place(self, participant: str, demand: Mapping[str, Any]) -> Message:
        """File a demand as one officer, approve it as the other one where that is needed, and return its message."""
        raw = json.dumps(demand).encode()
        body, signature = _SUBMIT.validate_json(raw), self._signed(MAKER, Kind.REQUEST, raw)
        filed = (await submit_request.submit(self.hub, self._police, str(uuid4()), body, raw, signature)).answer
        if filed.approvals_needed > 1:
            approval = self._signed(APPROVER, Kind.APPROVAL, raw, str(filed.id))
            await approve_request.approve(self.hub, self._police, filed.id, APPROVER, approval)
        await self.fetch(participant)
        # A lift of what was not executed yet is told under the order that it ends.
        about = filed.id if demand["action"] != "lift" else UUID(str(demand["original_request_id"]))
        message = await self.caught.wait({filed.id, about}, participant, str(demand["action"]))
        await self._delivered(message)
        return message

    async def _delivered(self, message: Message) -> None:
        """Wait until the hub knows that a message arrived: what is not delivered yet is withdrawn without a lift."""
        query = sa.select(_ORDERS.c.delivered_at).where(_ORDERS.c.id == UUID(message.subject))
        try:
            async with asyncio.timeout(_WITHIN):
                while True:
                    async with self.hub.database.read(db.HUB) as conn:
                        if (await conn.execute(query)).scalar_one_or_none() is not None:
                            return
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise NotPlaced(f"{message.type} is not settled") from None

    async def fetch(self, participant: str) -> None:
        """Take what the hub has laid into a participant's inbox, as its client would, and confirm it."""
        for message in await self.shelves.take(self.hub, participant):
            await self.caught.keep(message)

    async def answers(self, order_id: str) -> list[Mapping[str, Any]]:
        """Return the answers to an order that the hub took, in their order."""
        query = sa.select(_ACKNOWLEDGEMENTS).where(_ACKNOWLEDGEMENTS.c.order_id == UUID(order_id))
        async with self.hub.database.read(db.HUB) as conn:
            rows = await conn.execute(query.order_by(_ACKNOWLEDGEMENTS.c.received_at, _ACKNOWLEDGEMENTS.c.id))
            return [dict(row._mapping) for row in rows]

    async def publish(self, key: SigningKey) -> None:
        """Let everybody read a key as one that signs this hub's orders."""
        shown = replace(self.hub, order_keys=(key,))
        await self.hub.writer.run(lambda conn: order_keys.register(conn, shown), reach=db.HUB)

    def _signed(self, officer: str, kind: Kind, raw: bytes, about: str | None = None) -> str:
        key, payload, audience = self.keys[officer], signatures.canonical(raw), self.hub.settings.address
        return signatures.sign(key.private, key.kid, kind, payload, at=clock.utc_now(), about=about, audience=audience)
