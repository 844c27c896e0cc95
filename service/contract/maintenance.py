"""What the routes of maintenance windows cannot say of themselves: who may, what may stand against it, advice."""

from collections.abc import Mapping

from service.contract.told import Told
from service.security.scopes import Scope

_ANY_OF = (Scope.ORDERS_ANSWER, Scope.TASKS_RESOLVE, Scope.REGISTRY_WRITE)

MAINTENANCE: Mapping[str, Told] = {
    "announceMaintenance": Told(
        scopes=_ANY_OF,
        conflicts=("maintenance.overlaps", "maintenance.too_many"),
        advice=(
            "For your own endpoints; the hub's coordinators and administrators may for anybody's. No deadline is moved:"
            " an order goes to your next endpoint first, is tried at this one too, and who is told of a missed deadline"
            " reads that you announced it. At most 12 hours long and 60 days ahead."
        ),
    ),
    "listMaintenance": Told(scopes=_ANY_OF, advice="Your own; coordinators see everybody's."),
    "endMaintenance": Told(scopes=_ANY_OF, conflicts=("maintenance.over",)),
}
