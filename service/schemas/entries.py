"""The shapes of who may come in to the console, and how: links to the identity provider's people, and their ends."""

from typing import Annotated

from pydantic import StringConstraints

from service.schemas.common import Answer, Shape, Slug
from workflows.terms import Role


class NewProviderLink(Shape):
    """Whom the identity provider calls ``name`` (by the claim of the settings), and who that is here."""

    participant_id: Slug
    person: Slug
    role: Role
    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255)]


class ProviderLinkMade(Answer):
    """Who that is here; by what name the provider knows him is not repeated, and not kept as a text."""

    participant_id: str
    person: str
    role: Role


class LinkTaken(Answer):
    """How many links to the provider a person had, which are gone."""

    participant_id: str
    person: str
    links: int


class SentHome(Answer):
    """How many sessions were ended, and how many passkeys and links to the provider were taken away."""

    participant_id: str
    person: str
    sessions: int
    ways: int
