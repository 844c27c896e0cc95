"""Bodies for the tests of the registry; every name, key and address is made up."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.actions import changes
from service.schemas.endpoints import ContactMailbox, NewContact, NewWebhook
from service.schemas.registry import NewClient, NewOfficer, PublicJwk, SuspendedKind, Suspension
from service.security.keyring import SigningKey
from service.security.principals import Principal, of_person
from workflows.authority import Power, Rank
from workflows.terms import Channel, Purpose, Role, Sector

ADMIN = changes.local_administrator("root")
SOMEDAY = datetime(2026, 1, 1, tzinfo=UTC)


def jwk() -> PublicJwk:
    """Return a fresh public key."""
    key = SigningKey.generate(not_before=SOMEDAY, not_after=SOMEDAY + timedelta(days=1))
    return PublicJwk(**key.public_jwk())


def client(client_id: str = "client-a", *, role: Role = Role.PARTICIPANT_OPERATOR, **values: Any) -> NewClient:
    """Return a client's enrolment."""
    return NewClient(**{"id": client_id, "roles": [role], "key": jwk(), **values})


def officer(officer_id: str = "officer-n", number: str = "SH-1") -> NewOfficer:
    """Return an officer's enrolment."""
    return NewOfficer(id=officer_id, name="Nguyễn Văn Thử", rank=Rank.DAI_UY, number=number, powers=[Power.ORDER])


def webhook(**values: Any) -> NewWebhook:
    """Return a webhook's registration."""
    good = {
        "channel": Channel.WEBHOOK,
        "purpose": Purpose.ORDERS,
        "url": "https://orders.bank.example/hoatoc",
        "network": "203.0.113.0/24",
    }
    return NewWebhook(**{**good, **values})


def contact(address: str = "truc.ban@bank.example") -> NewContact:
    """Return a line of a duty roster."""
    return NewContact(name="Trần Thị Thử", reached_by=ContactMailbox(channel=Channel.EMAIL, address=address))


def stop(kind: SuspendedKind, subject: object) -> Suspension:
    """Return what to suspend or to resume."""
    return Suspension(kind=kind, id=str(subject))


def agency_admin(agency: str) -> Principal:
    """Return an agency's own administrator."""
    return of_person("quan-tri", tenant=agency, sector=Sector.AGENCY, roles=[Role.AGENCY_ADMIN])


def private_pem() -> str:
    """Return a private key as PEM text, which no certificate file may hold."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
