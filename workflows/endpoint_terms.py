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
