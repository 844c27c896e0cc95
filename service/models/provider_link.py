"""Which person of the console somebody is whom the identity provider vouches for; an administrator said so."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Role


class ProviderLink(SQLModel, table=True):
    """Which person of the console somebody is whom the identity provider vouches for; an administrator said so."""

    __tablename__ = "provider_links"

    # SHA-256 over the provider and what it calls the person: the name itself is nobody's business here.
    digest: bytes = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    person: str = Field(max_length=64)
    role: Role = columns.code(Role)
    created_by: str = Field(max_length=80)
    created_at: datetime
