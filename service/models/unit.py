"""An administrative unit of the two-tier map: a province or a ward."""

from sqlmodel import Field, SQLModel


class Unit(SQLModel, table=True):
    """An administrative unit of the two-tier map: a province or a ward."""

    __tablename__ = "units"

    code: str = Field(primary_key=True, max_length=8)
    kind: str = Field(max_length=16)
    province_code: str | None = Field(default=None, max_length=8, index=True)
    name_vi: str = Field(max_length=120)
    name_en: str = Field(max_length=120)
