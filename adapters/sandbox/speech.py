"""What every form that a sandbox participant speaks has in common: it hears a call of the hub's, and it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.sandbox.ledger import Order
from adapters.transport import HubAnswer


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of the hub's, proved: ``order`` is ``None`` for one that orders nothing.

    ``reply`` is what the form says back at once, as JSON; most say nothing.
    """

    message_id: str
    type: str
    order: Order | None
    reply: bytes = b""


class NotTaken(Exception):
    """A call that the participant does not take: the status that it answers, and what it reports (``kind``, data).

    ``reply`` is what a form says back about it, as JSON; most say nothing.
    """

    def __init__(
        self, status: int, kind: str = "", reason: str = "", order: Order | None = None, reply: bytes = b""
    ) -> None:
        super().__init__(f"{status} {kind} {reason}")
        self.status, self.kind, self.reason, self.order, self.reply = status, kind, reason, order, reply


class Speech(Protocol):
    """One form: signed events, ISO 20022, or ETSI TS 103 120."""

    async def hear(self, headers: Mapping[str, str], content: bytes) -> Sequence[Heard]:
        """Return what a call says, all of it, once the hub's hand under it is proved; raises ``NotTaken``."""
        ...

    async def answer(self, order: Order, acknowledgement: Mapping[str, Any]) -> HubAnswer:
        """Say in this form what an acknowledgement says, signed; return the hub's answer or raise ``DeliveryFailed``.

        ``acknowledgement`` has the members of ``POST /v1/orders/{id}/acknowledgements``.
        """
        ...
