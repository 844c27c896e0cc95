"""The scenarios that a drill may play: whom the sandbox plays and how, and what is filed; all numbers are made up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from adapters.sandbox.behaviour import Behaviour, Partial, Prompt, Silent, Slow
from service import clock
from service.drill import cast

_CASE = "DT-{day}"
AMOUNT = 150_000_000


@dataclass(frozen=True, slots=True)
class Role:
    """A participant of the scenario: its sector, and how the sandbox plays it."""

    sector: str
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played: the roles by participant, and the targets of the freezes that are filed in one case."""

    roles: Mapping[str, Role]
    targets: Sequence[Mapping[str, str]]

    def demands(self) -> list[dict[str, Any]]:
        """Return the bodies to file, as of now."""
        now = clock.utc_now()
        return [_freeze(target, f"{now:%Y-%m-%d}") for target in self.targets]


def _freeze(target: Mapping[str, str], day: str) -> dict[str, Any]:
    return {
        "case_number": _CASE.format(day=day),
        "action": "freeze",
        "urgency": "hoa_toc",
        "legal_basis": "decree_52_11",
        "officer_id": cast.MAKER,
        "document": {"number": "DT-01/DIENTAP", "date": day, "sha256": "d1" * 32},
        "contact": {"name": "Ban tổ chức diễn tập", "phone": "+84900000000"},
        "target": {**target, "holder_name": "NGUYEN VAN MAU"},
        "amount": {"value": str(AMOUNT), "currency": "VND"},
    }


# Accounts lie in ranges that nobody is known to have.
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        # The money went on to four: one holds all, one a part, one takes its time, one is silent and is escalated.
        "four-banks": Scenario(
            {
                "vietcombank": Role("bank", Prompt()),
                "techcombank": Role("bank", Partial(first=60_000_000)),
                "momo": Role("wallet", Slow(2.0)),
                "bidv": Role("bank", Silent()),
            },
            (
                {"kind": "account", "value": "9990000012345", "institution": "970436"},
                {"kind": "account", "value": "9990000067890", "institution": "Techcombank"},
                {"kind": "wallet", "value": "+84900000003", "institution": "momo"},
                {"kind": "account", "value": "9990000024680", "institution": "BIDVVNVX"},
            ),
        ),
        # The smallest there is: one bank, so that a new desk sees one order through.
        "one-bank": Scenario(
            {"vietcombank": Role("bank", Prompt())},
            ({"kind": "account", "value": "9990000012345", "institution": "970436"},),
        ),
    }
)
