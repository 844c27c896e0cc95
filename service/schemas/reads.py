"""Shapes of the list of who read what a request says of persons."""

from pydantic import Field

from service.schemas.common import Answer, Instant
from workflows.terms import Door, View


class ReadAnswer(Answer):
    """One opening: who was shown what, when and through which door, with a sentence in each language."""

    sequence: int
    at: Instant
    actor: dict[str, str] = Field(description="`kind`, `id` and `tenant`, as on the timeline")
    view: View
    door: Door
    data: dict[str, str] = Field(description="what exactly, by its id: `order_id`, `appeal_id`, `task_id`")
    text: dict[str, str]


class ReadPage(Answer):
    """A page of openings, newest first; ``next`` goes into ``after``."""

    items: list[ReadAnswer]
    next: str | None
