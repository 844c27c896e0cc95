"""What several shapes share: the strict base, money as a string of digits, text without control characters."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

# What stands where something was erased: no account, number, name or address has brackets.
ERASED = "[erased]"

MAX_AMOUNT = 10**15  # a quadrillion ₫: more than any account holds, and below 2^53


class Shape(BaseModel):
    """A body that the hub reads: an unknown member is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class Answer(BaseModel):
    """A body that the hub writes: members may be added in a later version, so clients ignore what they do not know."""

    model_config = ConfigDict(frozen=True)


# Pydantic would read numbers, and digits in a text, as seconds since 1970.
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Sums of instants and lengths stay within what a datetime can hold, in every time zone.
_YEARS = range(1900, 3000)


def _instant(value: Any) -> Any:
    if not isinstance(value, datetime) and not (isinstance(value, str) and _INSTANT.fullmatch(value)):
        raise PydanticCustomError("field.instant", "an RFC 3339 instant with an offset")
    return value


def _utc(value: datetime) -> datetime:
    # The offset may carry the year out of the range; a year at the end of what a datetime holds has no other zone.
    if value.year not in _YEARS or (instant := value.astimezone(UTC)).year not in _YEARS:
        raise PydanticCustomError("field.instant", "an instant of this age")
    return instant


def _day(value: Any) -> Any:
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise PydanticCustomError("field.date", "a date, YYYY-MM-DD")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_utc)]
Day = Annotated[date, BeforeValidator(_day)]
ShortText = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Sha256 = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
Slug = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=120, pattern=r"^\S(.*\S)?$")]


class Money(Shape):
    """An amount in minor units, as a string of digits (VND has no minor unit: "150000000" is 150.000.000 ₫)."""

    value: Annotated[str, StringConstraints(strict=True, pattern=r"^[1-9][0-9]{0,14}$")] = Field(
        description="integer of minor units as a string, so that no reader turns it into a float"
    )
    currency: Literal["VND"] = "VND"

    @property
    def minor_units(self) -> int:
        """The amount as an integer."""
        return int(self.value)


class HeldMoney(Shape):
    """An amount that may be nothing at all."""

    value: Annotated[str, StringConstraints(strict=True, pattern=r"^(0|[1-9][0-9]{0,14})$")]
    currency: Literal["VND"] = "VND"

    @property
    def minor_units(self) -> int:
        """The amount as an integer."""
        return int(self.value)


def money(amount: int | None) -> HeldMoney | None:
    """Render an amount for an answer, or None where there is none."""
    return None if amount is None else HeldMoney(value=str(amount))
