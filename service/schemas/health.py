"""The shape of the health answers."""

from pydantic import Field

from service.schemas.common import Answer


class Health(Answer):
    """``ok`` or ``not_ready``, with the codes of what is wrong."""

    status: str
    faults: list[str]
    drill: bool = Field(description="whether this is a drill's hub: nothing that it sends or shows is real")
