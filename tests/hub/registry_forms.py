"""Bodies for the tests of the registry; every name, key and address is made up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service import db
from service.actions import changes
from service.engine.hub import OPERATOR, Hub
from service.models import Client, Participant, PublicKey, table_of
from service.schemas.endpoints import ContactMailbox, NewContact, NewDefinition, NewStandardDoor, NewWebhook
from service.schemas.registry import NewClient, NewOfficer, PublicJwk, SuspendedKind, Suspension
from service.security import scopes
from service.security.keyring import SigningKey
from service.security.principals import Principal, of_person
from workflows.authority import Power, Rank
from workflows.terms import Channel, Purpose, Role, Sector

ADMIN = changes.local_administrator("root")
SOMEDAY = datetime(2026, 1, 1, tzinfo=UTC)
FAR = SOMEDAY.replace(year=2099)


def certificate(
    key: ec.EllipticCurvePrivateKey | None = None,
    name: str = "authority",
    since: datetime = SOMEDAY,
    until: datetime = FAR,
) -> str:
    """Return a certificate that is signed with its own key, as PEM text."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(subject, subject, key.public_key(), 1, since, until)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def certified(request: str) -> str:
    """Return the certificate that an authority issues for a request."""
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a bank's authority")])
    asked = x509.load_pem_x509_csr(request.encode())
    assert asked.is_signature_valid
    made = x509.CertificateBuilder(
        authority, asked.subject, asked.public_key(), 2, SOMEDAY, SOMEDAY.replace(year=2099)
    ).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


CA_PEM = certificate()


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


def administrator(name: str, key: str | None = None) -> Principal:
    """Return an administrator who calls with a system of his own, whose key has this thumbprint."""
    roles = frozenset({Role.HUB_ADMIN})
    granted = scopes.scopes_of(roles, Sector.HUB)
    return Principal(name, OPERATOR, Sector.HUB, roles, granted, key or f"key-of-{name}")


async def enrolled(hub: Hub, who: Principal) -> Principal:
    """Write an administrator's system, with a key of just this thumbprint, so that his calls find it in force."""
    client, key, at = table_of(Client), table_of(PublicKey), SOMEDAY

    async def unit(conn: Any) -> None:
        known = sa.select(table_of(Participant).c.id).where(table_of(Participant).c.id == OPERATOR)
        if (await conn.execute(known)).first() is None:
            names = {"name_vi": "Trung tâm", "name_en": "Hub", "short_name": "hub"}
            hub_row = {"id": OPERATOR, "sector": Sector.HUB, **names, "status": "active", "to_be_confirmed": False}
            await db.insert_rows(conn, table_of(Participant), [{**hub_row, "created_at": at}])
        roles = sorted(str(role) for role in who.roles)
        row = {"id": who.client_id, "tenant": OPERATOR, "roles": roles, "active": True, "created_at": at}
        await db.insert_rows(conn, client, [row])
        owner = {"tenant": OPERATOR, "owner_kind": "client", "owner_id": who.client_id, "purpose": "assertion"}
        validity = {"not_before": at, "not_after": at.replace(year=2099)}
        await db.insert_rows(conn, key, [{"kid": who.jkt, **owner, "jwk": {}, **validity}])

    await hub.writer.run(unit)
    return who


def webhook(**values: Any) -> NewWebhook:
    """Return a webhook's registration."""
    good = {
        "channel": Channel.WEBHOOK,
        "purpose": Purpose.ORDERS,
        "url": "https://orders.bank.example/hoatoc",
        "network": "203.0.113.0/24",
        "ca_pem": CA_PEM,
    }
    return NewWebhook(**{**good, **values})


def standard_door(channel: Channel) -> NewStandardDoor:
    """Return the registration of an address that takes orders in the form of a standard."""
    return NewStandardDoor(**{**webhook().model_dump(), "channel": channel})


def definition(**values: Any) -> NewDefinition:
    """Return what a webhook shall be from now on."""
    return NewDefinition(**webhook(**values).model_dump(exclude={"purpose"}))


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
