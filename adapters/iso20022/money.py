"""Amounts: integers of minor units inside, decimal texts on the wire, by the digits that ISO 4217 gives a currency."""

import re
from decimal import Decimal

from adapters.iso20022.xml import MessageRefused

# ISO 4217, List One: what is not named here has two digits. VND has none: 150000000 is 150.000.000 ₫.
_DIGITS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
    **dict.fromkeys(["XCD", "XCG"], 2),
}
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,5})?", re.ASCII)
# ActiveCurrencyAndAmount and ImpliedCurrencyAndAmount: 18 digits altogether.
_MOST = 10**18


def digits(currency: str) -> int:
    """Return how many minor digits a currency has. Raises ValueError for what is no currency (XAU, XTS …)."""
    if not _CURRENCY.fullmatch(currency) or (currency.startswith("X") and currency not in _DIGITS):
        raise ValueError("not a currency")
    return _DIGITS.get(currency, 2)


def written(minor_units: int, currency: str) -> str:
    """Return ``12345`` USD as ``123.45`` and ``150000000`` VND as ``150000000``. Raises ValueError."""
    if not 0 <= minor_units < _MOST:
        raise ValueError("an amount has at most 18 digits")
    places = digits(currency)
    whole, fraction = divmod(minor_units, 10**places)
    return f"{whole}.{fraction:0{places}}" if places else str(whole)


def read(text: str, currency: str, place: str) -> tuple[int, str]:
    """Return an amount as minor units and currency. Raises MessageRefused ``xml.value`` for a part of a minor unit."""
    try:
        places = digits(currency)
    except ValueError:
        raise MessageRefused("xml.value", f"{place}/@Ccy") from None
    if not _AMOUNT.fullmatch(text):
        raise MessageRefused("xml.value", place)
    minor = Decimal(text).scaleb(places)
    if minor != minor.to_integral_value():
        raise MessageRefused("xml.value", place)
    return int(minor), currency
