"""Money, instants and durations as people in Vietnam read them; money and instants are the same in both languages."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from babel import numbers

from workflows.working_hours import VIETNAM

_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def money(value: Any) -> str:
    """Return "150.000.000 ₫" for whole ₫ given as an int, a string of digits or ``{"value": …, "currency": "VND"}``."""
    amount = value["value"] if isinstance(value, Mapping) else value
    # The plain space is what people type when they search a page or a mail for the amount.
    return numbers.format_currency(int(amount), "VND", locale="vi").replace(_NO_BREAK_SPACE, " ")


def instant(value: datetime | str) -> str:
    """Return "HH:mm:ss dd/MM/yyyy" in Vietnam time for an aware instant, or for its RFC 3339 text.

    Raises ValueError for an instant without a time zone.
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise ValueError("an instant without a time zone cannot be shown")
    return moment.astimezone(VIETNAM).strftime("%H:%M:%S %d/%m/%Y")


def duration(milliseconds: float, lang: str) -> str:
    """Return "340 ms" below a second, "1,2 s" (vi) or "1.2 s" (en) above."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{numbers.format_decimal(Decimal(str(milliseconds)) / 1000, format='#,##0.0', locale=lang)} s"
