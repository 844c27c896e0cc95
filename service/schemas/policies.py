"""The shapes of what an operator sets for all: policies, time limits, calendar days; and links to sign in."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Day, Instant, Shape, Slug
from workflows.terms import Action, LegalBasis, Role, Stage, TargetKind

LONGEST_LIMIT = 366 * 86_400


class NewPolicy(Shape):
    """A policy as TOML text; its ``version`` must be newer than the one in force."""

    text: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=48_000)]


class PolicyAnswer(Answer):
    """The newest version of a policy; requests keep the one that was in force when they came."""

    name: str
    version: int
    text: str
    created_by: str | None = Field(description="none for a policy as it was shipped")
    created_at: Instant | None


class NewTimeLimit(Shape):
    """An operator's own limit for a stage; what is not named fits everything."""

    stage: Stage
    within_seconds: Annotated[int, Field(strict=True, ge=1, le=LONGEST_LIMIT)]
    action: Action | None = None
    target_kind: TargetKind | None = None
    participant_id: Slug | None = None
    legal_basis: LegalBasis | None = None


class TimeLimitAnswer(Answer):
    """An operator's own limit for a stage."""

    id: UUID
    stage: Stage
    within_seconds: int
    action: Action | None
    target_kind: TargetKind | None
    participant_id: str | None
    legal_basis: LegalBasis | None
    created_by: str
    created_at: Instant


class TimeLimitList(Answer):
    """All limits that an operator set; the shipped ones are in the policy and the handbook."""

    items: list[TimeLimitAnswer]


class DayKind(StrEnum):
    """What a day is: closed offices, a make-up working day, or as its day of the week says."""

    HOLIDAY = "holiday"
    WORKDAY = "workday"
    ORDINARY = "ordinary"


class NewCalendarDay(Shape):
    """What a day is from now on; terms that were computed before keep their instants."""

    kind: DayKind


class CalendarDayAnswer(Answer):
    """What a day is."""

    day: Day
    kind: DayKind


class NewSignInLink(Shape):
    """Who may sign in to the console, once, and as what."""

    participant_id: Slug
    person: Slug
    role: Role


class SignInLinkMade(Answer):
    """The path of a single-use link, shown this once."""

    path: str
    expires_at: Instant
