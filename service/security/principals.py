"""Who is calling: a client system by its token, or a person by the console's session, as one frozen value."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.db import HUB, Reach
from service.security import scopes
from service.security.scopes import Scope
from service.security.tokens import AccessClaims
from workflows.terms import Actor, ActorKind, Role, Sector


class ScopeMissing(Exception):
    """The principal may not do this; the doors answer 403 and name the ``scope``."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.value)
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling.

    ``client_id`` is the client system's or the person's id, ``tenant`` the id of the participant for whom they act,
    ``jkt`` the thumbprint of the key that the token is bound to: None for a person at the console, who has none.
    """

    client_id: str
    tenant: str
    sector: Sector
    roles: frozenset[Role]
    scopes: frozenset[Scope]
    jkt: str | None
    kind: ActorKind = ActorKind.CLIENT

    def actor(self) -> Actor:
        """Return the value under which facts name this principal."""
        return Actor(self.kind, self.client_id, self.tenant)

    @property
    def reach(self) -> Reach:
        """Whose rows a transaction for this caller reaches: the hub's own people's all, anybody else's its own."""
        return HUB if self.sector is Sector.HUB else Reach.of(self.tenant)

    def require(self, scope: Scope) -> None:
        """Let the caller pass, or raise ScopeMissing."""
        if scope not in self.scopes:
            raise ScopeMissing(scope)


def of_client(claims: AccessClaims, *, tenant: str, sector: Sector, roles: Iterable[Role]) -> Principal:
    """Make the principal of a verified access token; tenant, sector and roles come from the hub's own tables.

    The scopes are those in the token that the roles still give: a role withdrawn counts at once, and a token never
    says more than the tables. Raises RoleNotAllowed.
    """
    held = frozenset(roles)
    granted = claims.scopes & scopes.scopes_of(held, sector)
    return Principal(claims.client_id, tenant, sector, held, granted, claims.jkt)


def of_person(person_id: str, *, tenant: str, sector: Sector, roles: Iterable[Role]) -> Principal:
    """Make the principal of a person whose console session was found alive. Raises RoleNotAllowed."""
    held = frozenset(roles)
    granted = scopes.scopes_of(held, sector)
    return Principal(person_id, tenant, sector, held, granted, None, ActorKind.PERSON)
