"""A bank that speaks ISO 20022, for tests: the sandbox's, under one name and at one instant."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import iso_orders

from adapters.answers import Traced
from adapters.iso20022.envelope import Party
from adapters.iso20022.xml import Element
from adapters.sandbox import iso_bank

Change = Callable[[Element], None]
ME = Party("vietcombank", bin="970436")


@dataclass
class Bank(iso_bank.Bank):
    """Signs with its key, under ids that rise; ``hub`` is the address that its messages are for."""

    hub: str = iso_orders.HUB
    at: datetime = iso_orders.AT + timedelta(minutes=1)
    me: Party = ME
    name: str = "BANK"

    def disclosed(
        self, order_id: str, missing: str | None = None, *, account_number: str = "9990000012345", **said: str
    ) -> bytes:
        """auth.002 about a disclosure."""
        return super().disclosed(order_id, missing, account_number=account_number, **said)

    def traced(
        self,
        order_id: str,
        answered: Traced,
        *,
        account_number: str = "9990000012345",
        status: str | None = None,
    ) -> bytes:
        """auth.002 about a trace."""
        return super().traced(order_id, answered, account_number=account_number, status=status)


def fresh(bank: Bank, at: datetime | None = None) -> Bank:
    """Return the same bank at another instant (now)."""
    bank.at = at or datetime.now(UTC)
    return bank
