"""The hub's hand under its orders: the key that signs now, and the public halves in the registry for all to read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import canonical_json
from service.engine.hub import OPERATOR, Hub
from service.models import Participant, PublicKey, table_of
from service.security import keyring, signatures
from service.security.signatures import Kind

_KEYS = table_of(PublicKey)
_PARTICIPANTS = table_of(Participant)
_PUBLIC = ("kty", "crv", "x", "y")


def sign(hub: Hub, order_id: str, body: Mapping[str, Any], at: datetime) -> str:
    """Sign an order's body once, when it is placed: every attempt and every replay carries this very signature.

    Raises KeyUnfit where no key is valid at that instant: an order that nobody can hold against us is not placed.
    """
    key = keyring.in_force(hub.order_keys, at)
    return signatures.sign(key.private, key.kid, Kind.ORDER, canonical_json.dumps(dict(body)), at=at, about=order_id)


def key_at(hub: Hub, at: datetime) -> tuple[str, ec.EllipticCurvePrivateKey]:
    """Return the id of the key, and the key, that signs what was placed at that instant. Raises as ``sign``.

    By the instant and not by the clock, so that an attempt tomorrow has the bytes of the one today.
    """
    key = keyring.in_force(hub.order_keys, at)
    return key.kid, key.private


def seal(hub: Hub, request_id: str, content: Mapping[str, Any], at: datetime) -> str:
    """Sign the content of an evidence bundle: nobody changes it between here and the court. Raises as ``sign``."""
    key = keyring.in_force(hub.order_keys, at)
    payload = canonical_json.dumps(dict(content))
    return signatures.sign(key.private, key.kid, Kind.EVIDENCE, payload, at=at, about=request_id)


async def unregistered(conn: AsyncConnection, hub: Hub) -> bool:
    """Tell whether a key of this node is not in the registry yet although the operator, its owner, is."""
    known = sa.select(_KEYS.c.kid).where(_KEYS.c.kid.in_([key.kid for key in hub.order_keys]))
    found = set((await conn.execute(known)).scalars())
    return len(found) < len(hub.order_keys) and await _operator_is_known(conn)


async def register(conn: AsyncConnection, hub: Hub) -> None:
    """Write the public halves that the registry lacks; before the directory is loaded there is nobody to own them."""
    if not hub.order_keys or not await _operator_is_known(conn):
        return
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    rows = [
        {
            "kid": key.kid,
            "tenant": OPERATOR,
            "owner_kind": "hub",
            "owner_id": OPERATOR,
            "purpose": "signature",
            "jwk": {name: value for name, value in key.public_jwk().items() if name in _PUBLIC},
            "not_before": key.not_before,
            "not_after": key.not_after,
        }
        for key in hub.order_keys
    ]
    await conn.execute(insert(_KEYS).on_conflict_do_nothing(), rows)


async def _operator_is_known(conn: AsyncConnection) -> bool:
    query = sa.select(_PARTICIPANTS.c.id).where(_PARTICIPANTS.c.id == OPERATOR)
    return (await conn.execute(query)).first() is not None
