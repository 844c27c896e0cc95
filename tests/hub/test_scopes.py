"""Roles, scopes and principals: the table is whole, and nobody may do more than it says."""

from datetime import timedelta

import pytest
from token_forge import CLIENT, JKT, NOW

from service.security import principals, scopes
from service.security.principals import Principal, ScopeMissing
from service.security.scopes import RoleNotAllowed, Scope
from service.security.tokens import AccessClaims
from workflows.terms import Actor, ActorKind, Role, Sector

TENANT = "vn-agency-c06"
TABLE = {
    Role.MAKER: "appeals:read disclosures:read escalations:read holds:ask requests:read requests:write",
    Role.APPROVER: "appeals:read disclosures:read escalations:read requests:approve requests:read",
    Role.READER: "appeals:read disclosures:read escalations:read requests:read",
    Role.AGENCY_ADMIN: "agency:admin registry:read",
    Role.PARTICIPANT_OPERATOR: "appeals:file appeals:read escalations:read orders:answer orders:read",
    Role.SUPERVISOR: "escalations:read registry:read",
    Role.COORDINATOR: (
        "appeals:file appeals:read escalations:read holds:ask orders:read policies:read registry:read requests:read"
        " tasks:read tasks:resolve"
    ),
    Role.AUDITOR: "appeals:read audit:read policies:read registry:read requests:read",
    Role.HUB_ADMIN: "policies:read policies:write registry:read registry:write",
}
MEMBERS = {Sector.BANK, Sector.WALLET, Sector.TELECOM, Sector.ISP, Sector.PLATFORM, Sector.REGISTRAR}
HOLDERS = {
    Role.MAKER: {Sector.AGENCY},
    Role.APPROVER: {Sector.AGENCY},
    Role.READER: {Sector.AGENCY},
    Role.AGENCY_ADMIN: {Sector.AGENCY},
    Role.PARTICIPANT_OPERATOR: MEMBERS,
    Role.SUPERVISOR: {Sector.SUPERVISOR},
    Role.COORDINATOR: {Sector.HUB},
    Role.AUDITOR: {Sector.AGENCY, Sector.SUPERVISOR, Sector.HUB},
    Role.HUB_ADMIN: {Sector.HUB},
}


def claims(*granted: Scope) -> AccessClaims:
    expires_at = NOW + timedelta(seconds=300)
    return AccessClaims(CLIENT, CLIENT, frozenset(granted), JKT, "kid", "jti", NOW, expires_at)


def maker(*granted: Scope) -> Principal:
    return principals.of_client(claims(*granted), tenant=TENANT, sector=Sector.AGENCY, roles=[Role.MAKER])


@pytest.mark.parametrize("role", Role)
def test_each_role_has_exactly_the_scopes_of_the_written_table(role: Role) -> None:
    assert " ".join(sorted(scopes.SCOPES[role])) == TABLE[role]


@pytest.mark.parametrize("sector", Sector)
@pytest.mark.parametrize("role", Role)
def test_each_role_is_held_only_by_the_sectors_of_the_written_table(role: Role, sector: Sector) -> None:
    if sector in HOLDERS[role]:
        assert scopes.scopes_of([role], sector) == scopes.SCOPES[role]
    else:
        with pytest.raises(RoleNotAllowed) as refusal:
            scopes.scopes_of([role], sector)
        assert (refusal.value.role, refusal.value.sector) == (role, sector)


def test_each_scope_belongs_to_a_role_and_each_sector_has_one() -> None:
    assert frozenset().union(*scopes.SCOPES.values()) == set(Scope)
    assert frozenset().union(*scopes.SECTORS.values()) == set(Sector)


def test_the_tables_cannot_be_edited_while_the_hub_runs() -> None:
    for table in (scopes.SCOPES, scopes.SECTORS):
        with pytest.raises(TypeError):
            table[Role.READER] = frozenset()  # type: ignore[index]


def test_who_writes_the_registry_reads_no_request_and_who_reads_the_audit_writes_nothing() -> None:
    for granted in scopes.SCOPES.values():
        assert not {Scope.REGISTRY_WRITE, Scope.REQUESTS_READ} <= granted
        if Scope.AUDIT_READ in granted:
            assert all(scope.endswith(":read") for scope in granted)


def test_roles_add_up_and_no_role_is_nothing() -> None:
    both = scopes.scopes_of([Role.MAKER, Role.APPROVER], Sector.AGENCY)
    assert both == scopes.SCOPES[Role.MAKER] | scopes.SCOPES[Role.APPROVER]
    assert scopes.scopes_of([], Sector.AGENCY) == frozenset()


def test_one_wrong_role_among_good_ones_is_refused() -> None:
    with pytest.raises(RoleNotAllowed):
        scopes.scopes_of([Role.MAKER, Role.HUB_ADMIN], Sector.AGENCY)


def test_a_client_may_do_what_both_its_token_and_its_roles_say() -> None:
    principal = maker(Scope.REQUESTS_READ, Scope.REQUESTS_APPROVE)
    principal.require(Scope.REQUESTS_READ)
    for missing in (Scope.REQUESTS_APPROVE, Scope.REQUESTS_WRITE):
        with pytest.raises(ScopeMissing) as refusal:
            principal.require(missing)
        assert refusal.value.scope is missing


def test_a_client_whose_roles_were_withdrawn_may_do_nothing() -> None:
    principal = principals.of_client(claims(*Scope), tenant=TENANT, sector=Sector.AGENCY, roles=[])
    assert principal.scopes == frozenset()


def test_a_client_acts_as_a_system_of_its_tenant_and_keeps_its_key() -> None:
    principal = maker(Scope.REQUESTS_READ)
    assert principal.actor() == Actor(ActorKind.CLIENT, CLIENT, TENANT)
    assert (principal.jkt, principal.roles, principal.sector) == (JKT, frozenset({Role.MAKER}), Sector.AGENCY)


def test_a_person_acts_under_their_own_name_with_all_that_the_roles_give() -> None:
    person = principals.of_person("p-7", tenant="hub", sector=Sector.HUB, roles=[Role.COORDINATOR])
    assert person.actor() == Actor(ActorKind.PERSON, "p-7", "hub")
    assert person.scopes == scopes.SCOPES[Role.COORDINATOR]
    assert person.jkt is None


def test_a_principal_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        maker().scopes = frozenset(Scope)  # type: ignore[misc]
