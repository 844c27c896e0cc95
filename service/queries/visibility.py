"""Who may see what, in one place: every read and every look-up of a door goes through one of these conditions."""

from typing import Any

import sqlalchemy as sa

from service.models import (
    ActionRequest,
    Appeal,
    AuditEntry,
    ConsolePasskey,
    ConsoleSession,
    Dispatch,
    Display,
    Escalation,
    Note,
    Order,
    Participant,
    Task,
    table_of,
)
from service.security.principals import Principal
from workflows.terms import Role, Sector

_REQUESTS = table_of(ActionRequest)
_APPEALS = table_of(Appeal)
_DISPATCHES = table_of(Dispatch)
_ENTRIES = table_of(AuditEntry)
_ORDERS = table_of(Order)
_ESCALATIONS = table_of(Escalation)
_PARTICIPANTS = table_of(Participant)
_NOTES = table_of(Note)
_SESSIONS = table_of(ConsoleSession)
_PASSKEYS = table_of(ConsolePasskey)
_DISPLAYS = table_of(Display)
_TASKS = table_of(Task)

Condition = sa.ColumnElement[bool]


def owns(principal: Principal, tenant: str) -> bool:
    """Tell whether something of ``tenant`` is the caller's own."""
    return principal.sector is Sector.AGENCY and principal.tenant == tenant


def sees_all(principal: Principal) -> bool:
    """Tell whether the caller watches over all tenants: coordinators and auditors of the hub's operator."""
    return principal.sector is Sector.HUB


def requests(principal: Principal) -> Condition:
    """An agency sees its own requests, the hub's coordinators and auditors see all, nobody else sees any."""
    if sees_all(principal):
        return sa.true()
    return _REQUESTS.c.tenant == principal.tenant if principal.sector is Sector.AGENCY else sa.false()


def disclosures(principal: Principal) -> Condition:
    """What was disclosed is for the agency that asked; who watches over the hub sees that it was, and never what."""
    if principal.sector is not Sector.AGENCY:
        return sa.false()
    return _REQUESTS.c.tenant == principal.tenant


def orders(principal: Principal) -> Condition:
    """A participant sees the orders addressed to it, an agency those of its requests."""
    if sees_all(principal):
        return sa.true()
    column = _ORDERS.c.tenant if principal.sector is Sector.AGENCY else _ORDERS.c.participant_id
    return column == principal.tenant


def answerable(principal: Principal) -> Condition:
    """The orders that the caller may answer are those addressed to it; nobody answers for another, not even the hub."""
    return _ORDERS.c.participant_id == principal.tenant


def inbox(principal: Principal) -> Condition:
    """The dispatches laid into the caller's own inbox."""
    return _DISPATCHES.c.participant_id == principal.tenant


def participants(principal: Principal) -> Condition:
    """The hub's roles see all members, a supervisor itself and those it watches, anybody else itself alone."""
    if sees_all(principal):
        return sa.true()
    own = _PARTICIPANTS.c.id == principal.tenant
    if principal.sector is Sector.SUPERVISOR:
        return sa.or_(own, _PARTICIPANTS.c.supervisor_id == principal.tenant)
    return own


def whole_participants(principal: Principal) -> Condition:
    """Systems, officers and duty rosters are for the hub's roles and the member itself; nobody's supervisor."""
    return sa.true() if sees_all(principal) else _PARTICIPANTS.c.id == principal.tenant


def escalations(principal: Principal, supervised: sa.Select[Any]) -> Condition:
    """A participant sees those about its own silence, a supervisor those of whom it supervises."""
    if sees_all(principal):
        return sa.true()
    if principal.sector is Sector.AGENCY:
        return _ESCALATIONS.c.tenant == principal.tenant
    if principal.sector is Sector.SUPERVISOR:
        return _ESCALATIONS.c.participant_id.in_(supervised)
    return _ESCALATIONS.c.participant_id == principal.tenant


def tasks(principal: Principal) -> Condition:
    """Tasks are the coordinators'."""
    return sa.true() if sees_all(principal) else sa.false()


def notes(principal: Principal) -> Condition:
    """A note is for the house whose people wrote it: the desk's is not the agency's, nor the other way round."""
    return _NOTES.c.tenant == principal.tenant


def sessions(principal: Principal) -> Condition:
    """Where somebody is signed in is for that person alone, whatever the role."""
    return sa.and_(_SESSIONS.c.tenant == principal.tenant, _SESSIONS.c.person == principal.client_id)


def passkeys(principal: Principal) -> Condition:
    """By which passkeys somebody signs in is for that person alone."""
    return sa.and_(_PASSKEYS.c.tenant == principal.tenant, _PASSKEYS.c.person == principal.client_id)


def displays(principal: Principal) -> Condition:
    """The screens on the walls are the coordinators'."""
    return _DISPLAYS.c.tenant == principal.tenant if sees_all(principal) else sa.false()


def facts(principal: Principal) -> Condition:
    """Who reads the audit sees the facts of the own house; at the hub those of all."""
    return sa.true() if sees_all(principal) else _ENTRIES.c.tenant == principal.tenant


def appeals(principal: Principal) -> Condition:
    """An agency sees the appeals against its requests, a participant those that it filed itself."""
    if sees_all(principal):
        return sa.true()
    column = _APPEALS.c.tenant if principal.sector is Sector.AGENCY else _APPEALS.c.participant_id
    return column == principal.tenant


def opens_appeal(principal: Principal, tenant: str, participant_id: str | None) -> bool:
    """Tell whether what is sealed in a visible appeal is opened for the caller.

    The agency reads what it must answer, the participant what it filed, the duty desk what it filed for a person;
    nobody else at the hub does.
    """
    if sees_all(principal):
        return participant_id is None and Role.COORDINATOR in principal.roles
    return principal.tenant in {tenant, participant_id}
