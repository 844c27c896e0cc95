"""The vocabulary of endpoints: what one is for, and what became of a proposal for one."""

from enum import StrEnum


class ProposalState(StrEnum):
    """What became of a proposal; a new one for the same endpoint supersedes the one that is still open."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    SUPERSEDED = "superseded"


class Purpose(StrEnum):
    """What an endpoint receives."""

    ORDERS = "orders"
    STATUS = "status"
    NOTICES = "notices"


class PassedOver(StrEnum):
    """Why an order goes to a participant's next endpoint: the one before does not work, or did not take it in time.

    Or the participant said itself that it does not serve it now.
    """

    UNREACHABLE = "unreachable"
    MAINTENANCE = "maintenance"
    NOT_RECEIVED = "not_received"
