"""The shape of the health answers."""

from service.schemas.common import Answer


class Health(Answer):
    """``ok`` or ``not_ready``, with the codes of what is wrong."""

    status: str
    faults: list[str]
