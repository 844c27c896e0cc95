"""The places of the console, in the order of its navigation: a person sees those that the role opens, and no other."""

from dataclasses import dataclass

from service.queries.sessions import Seat
from service.security.scopes import SCOPES, Scope
from workflows.terms import Role


@dataclass(frozen=True, slots=True)
class Place:
    """A page that the navigation leads to; ``scopes`` has one that opens it, none opens it to everybody."""

    path: str
    title: str
    icon: str
    scopes: frozenset[Scope] = frozenset()


START = "/"
_PLACES = (
    Place("/board", "board.title", "board", frozenset({Scope.REQUESTS_READ})),
    Place("/mine", "mine.title", "flag", frozenset({Scope.REQUESTS_WRITE, Scope.REQUESTS_APPROVE})),
    Place(START, "home.title", "file", frozenset({Scope.REQUESTS_READ})),
    Place("/requests/new", "filing.title", "pen", frozenset({Scope.REQUESTS_WRITE})),
    Place("/tasks", "tasks.title", "task", frozenset({Scope.TASKS_READ})),
    Place("/handover", "handover.title", "fork", frozenset({Scope.TASKS_READ})),
    Place("/escalations", "escalations.title", "ladder", frozenset({Scope.ESCALATIONS_READ})),
    Place("/delivery", "delivery.title", "send", frozenset({Scope.TASKS_READ})),
    Place("/participants", "participants.title", "plug", frozenset({Scope.REGISTRY_READ})),
    Place("/audit", "audit.title", "seal", frozenset({Scope.AUDIT_READ})),
    Place("/officer/key", "officer_key.title", "seal", frozenset({Scope.REQUESTS_WRITE, Scope.REQUESTS_APPROVE})),
    Place("/docs", "docs.title", "book"),
)


def landing(role: Role) -> str:
    """Return where a person of this role comes in: at what is about to be missed, the requests, or what it may open."""
    held = SCOPES[role]
    if role is Role.COORDINATOR:
        return "/board"
    if Scope.REQUESTS_READ in held:
        return START
    return next(place.path for place in _PLACES if not place.scopes or not held.isdisjoint(place.scopes))


def start(seat: Seat | None) -> str:
    """Return where the page's brand and a refusal lead whoever sits here; a stranger is told there how to sign in."""
    return landing(seat.role) if seat else START


def of(seat: Seat | None) -> tuple[Place, ...]:
    """Return the places of whoever sits here; a stranger's are those that need no sign-in."""
    held = seat.principal.scopes if seat else frozenset[Scope]()
    return tuple(place for place in _PLACES if not place.scopes or not held.isdisjoint(place.scopes))
