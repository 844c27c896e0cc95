"""A member of the network: agency, bank, wallet, telecom, ISP, platform, registrar, supervisor or the hub itself."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Sector


class Participant(SQLModel, table=True):
    """A member of the network, or one that is known from public data and has not joined yet."""

    __tablename__ = "participants"

    id: str = Field(primary_key=True, max_length=64)
    sector: Sector = columns.code(Sector, index=True)
    name_vi: str = Field(max_length=200)
    name_en: str = Field(max_length=200)
    short_name: str = Field(max_length=80)
    # listed: known from public data, has not joined; active: joined; suspended: may neither file nor be sent to.
    status: str = Field(max_length=16, index=True)
    supervisor_id: str | None = Field(default=None, foreign_key="participants.id")
    level: str | None = Field(default=None, max_length=16)
    province_code: str | None = Field(default=None, max_length=8)
    parent_id: str | None = Field(default=None, foreign_key="participants.id")
    to_be_confirmed: bool = False
    # The number at which the hub's duty desk calls back, learnt out of band: never one that a request names.
    duty_phone: str | None = Field(default=None, max_length=16)
    created_at: datetime
