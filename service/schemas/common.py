"""What several shapes share: the strict base, money as a string of digits, text without control characters."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

MAX_AMOUNT = 10**15  # a quadrillion ₫: more than any account holds, and below 2^53


class Shape(BaseModel):
    """A body that the hub reads: an unknown member is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class Answer(BaseModel):
    """A body that the hub writes: members may be added in a later version, so clients ignore what they do not know."""

    model_config = ConfigDict(frozen=True)


def _instant(value: Any) -> Any:
    # Pydantic would read a bare number as seconds since 1970; an instant is RFC 3339 text and nothing else.
    if not isinstance(value, str | datetime):
        raise PydanticCustomError("field.instant", "an RFC 3339 instant with an offset")
    return value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_utc)]
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
