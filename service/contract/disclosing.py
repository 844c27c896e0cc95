"""What is told of reading what participants answered about people and about money."""

from collections.abc import Mapping

from service.contract.told import Told
from service.security.scopes import Scope

DISCLOSING: Mapping[str, Told] = {
    "listDisclosures": Told(
        scopes=(Scope.DISCLOSURES_READ,),
        advice=(
            "For the agency that asked, of a disclosure alone: for everybody else, coordinators and auditors too, it is"
            " unknown. Each call is on record (`listReads`). Data are nowhere else: not in facts, statuses or orders."
        ),
    ),
    "listMovements": Told(
        scopes=(Scope.DISCLOSURES_READ,),
        advice=(
            "For the agency that asked, of a trace alone: for everybody else, coordinators and auditors too, it is"
            " unknown. Each call is on record (`listReads`). Movements are nowhere else: not in facts, statuses or"
            " orders."
        ),
    ),
}
