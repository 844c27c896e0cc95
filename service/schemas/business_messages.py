"""What the hub answers to an ISO 20022 message."""

from uuid import UUID

from pydantic import Field

from service.schemas.common import Answer
from workflows.terms import OrderState


class BusinessMessageAccepted(Answer):
    """What the hub made of a message."""

    message_id: str = Field(description="its `BizMsgIdr`")
    order_id: UUID
    state: OrderState
    repeated: bool = Field(description="the same message was taken before; nothing changed")
    contradicts: bool = Field(description="it contradicts a final answer: nothing changed, a coordinator has a task")
