"""The identifiers of HI1 objects, derived from the order's own: the same at each attempt, and back again."""

from uuid import UUID

# Of an order's objects the task has the order's id itself. The others are that id, a UUID of version 7, with the
# version 8 ("custom", RFC 9562, 5.8) and a mark in the last byte: nothing has to be kept to find the order again.
_VERSION = 0xF << 76
_SEVEN, _EIGHT = 0x7 << 76, 0x8 << 76
AUTHORISATION, WARRANT, ORDER, REFINEMENT = 0xA1, 0xD1, 0xD2, 0xD3
_MARKS = (AUTHORISATION, WARRANT, ORDER, REFINEMENT)


def derived(order_id: str, mark: int) -> str:
    """Return the identifier of one of an order's objects."""
    value = (UUID(order_id).int & ~_VERSION | _EIGHT) ^ mark
    return str(UUID(int=value))


def orders(identifier: UUID) -> tuple[UUID, ...]:
    """Return the orders that an object with this identifier can belong to: itself, or what it was derived from."""
    if identifier.version != 8:
        return (identifier,)
    plain = identifier.int & ~_VERSION | _SEVEN
    return (identifier, *(UUID(int=plain ^ mark) for mark in _MARKS))


def transaction(message_id: str) -> str:
    """Return the TransactionIdentifier of a message: its id as a UUID, so that a retry is the same transaction.

    Raises ``ValueError`` for an id that is none of the hub's.
    """
    return str(UUID(message_id.removeprefix("msg_")))


def disclosure(order_id: str) -> str:
    """Return the LDID of a disclosure (TS 103 280: country, authority, its own number)."""
    return f"VN-HOATOC-{order_id}"
