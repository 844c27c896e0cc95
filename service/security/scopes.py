"""The one table of what each role may do, and of which sectors may hold it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from workflows.terms import Role, Sector


class Scope(StrEnum):
    """One power at a door of the hub; which rows it reaches is decided in ``queries/visibility.py``."""

    REQUESTS_WRITE = "requests:write"
    REQUESTS_APPROVE = "requests:approve"
    REQUESTS_READ = "requests:read"
    DISCLOSURES_READ = "disclosures:read"
    ORDERS_READ = "orders:read"
    ORDERS_ANSWER = "orders:answer"
    HOLDS_ASK = "holds:ask"
    APPEALS_FILE = "appeals:file"
    APPEALS_READ = "appeals:read"
    ESCALATIONS_READ = "escalations:read"
    TASKS_READ = "tasks:read"
    TASKS_RESOLVE = "tasks:resolve"
    REGISTRY_READ = "registry:read"
    REGISTRY_WRITE = "registry:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    AGENCY_ADMIN = "agency:admin"
    AUDIT_READ = "audit:read"


_AGENCYS_READS = frozenset({Scope.REQUESTS_READ, Scope.DISCLOSURES_READ, Scope.APPEALS_READ, Scope.ESCALATIONS_READ})

# Least privilege: administrators see no cases, nobody who writes the registry reads a request, and a reader of the
# audit changes nothing. Roles add up; a system that makes and approves holds both.
SCOPES: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {
        Role.MAKER: _AGENCYS_READS | {Scope.REQUESTS_WRITE, Scope.HOLDS_ASK},
        Role.APPROVER: _AGENCYS_READS | {Scope.REQUESTS_APPROVE},
        Role.READER: _AGENCYS_READS,
        Role.AGENCY_ADMIN: frozenset({Scope.AGENCY_ADMIN, Scope.REGISTRY_READ}),
        Role.PARTICIPANT_OPERATOR: frozenset(
            {Scope.ORDERS_READ, Scope.ORDERS_ANSWER, Scope.APPEALS_FILE, Scope.APPEALS_READ, Scope.ESCALATIONS_READ}
        ),
        Role.SUPERVISOR: frozenset({Scope.ESCALATIONS_READ, Scope.REGISTRY_READ}),
        Role.COORDINATOR: frozenset(
            {
                Scope.REQUESTS_READ,
                Scope.ORDERS_READ,
                Scope.HOLDS_ASK,
                Scope.APPEALS_FILE,
                Scope.APPEALS_READ,
                Scope.ESCALATIONS_READ,
                Scope.TASKS_READ,
                Scope.TASKS_RESOLVE,
                Scope.REGISTRY_READ,
                Scope.POLICIES_READ,
            }
        ),
        Role.AUDITOR: frozenset(
            {Scope.AUDIT_READ, Scope.REQUESTS_READ, Scope.APPEALS_READ, Scope.REGISTRY_READ, Scope.POLICIES_READ}
        ),
        Role.HUB_ADMIN: frozenset(
            {Scope.REGISTRY_READ, Scope.REGISTRY_WRITE, Scope.POLICIES_READ, Scope.POLICIES_WRITE}
        ),
    }
)

_AGENCY = frozenset({Sector.AGENCY})
_HUB = frozenset({Sector.HUB})

SECTORS: Mapping[Role, frozenset[Sector]] = MappingProxyType(
    {
        Role.MAKER: _AGENCY,
        Role.APPROVER: _AGENCY,
        Role.READER: _AGENCY,
        Role.AGENCY_ADMIN: _AGENCY,
        Role.PARTICIPANT_OPERATOR: frozenset(
            {Sector.BANK, Sector.WALLET, Sector.TELECOM, Sector.ISP, Sector.PLATFORM, Sector.REGISTRAR}
        ),
        Role.SUPERVISOR: frozenset({Sector.SUPERVISOR}),
        Role.COORDINATOR: _HUB,
        Role.AUDITOR: frozenset({Sector.AGENCY, Sector.SUPERVISOR, Sector.HUB}),
        Role.HUB_ADMIN: _HUB,
    }
)


class RoleNotAllowed(ValueError):
    """A role was given to, or found with, a member of a sector that may not hold it."""

    def __init__(self, role: Role, sector: Sector) -> None:
        super().__init__(f"the role {role.value} is not for the sector {sector.value}")
        self.role = role
        self.sector = sector


def check(role: Role, sector: Sector) -> None:
    """Refuse a role that the sector may not hold. Raises RoleNotAllowed."""
    if sector not in SECTORS[role]:
        raise RoleNotAllowed(role, sector)


def scopes_of(roles: Iterable[Role], sector: Sector) -> frozenset[Scope]:
    """Return all that these roles together may do for a member of this sector. Raises RoleNotAllowed."""
    granted: frozenset[Scope] = frozenset()
    for role in roles:
        check(role, sector)
        granted |= SCOPES[role]
    return granted
