"""A day on which offices are closed, or a make-up working day; the operator may override the shipped ones."""

from datetime import date

from sqlmodel import Field, SQLModel


class CalendarDay(SQLModel, table=True):
    """A day on which offices are closed, or a make-up working day; the operator may override the shipped ones."""

    __tablename__ = "calendar_days"

    day: date = Field(primary_key=True)
    # holiday or workday
    kind: str = Field(max_length=16)
