"""What two persons let pass of an endpoint, as one digest: whatever is sent is sent to exactly that."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from service.models import Endpoint, Participant, table_of
from workflows.terms import CALLED, Channel

_ENDPOINTS = table_of(Endpoint)
_MEMBERS = table_of(Participant).alias("member")
# What a proposal may change; the rest of what is digested says whose endpoint it is, and for what.
CHANGEABLE = (
    "url",
    "network",
    "port",
    "ca_pem",
    "client_certificate",
    "max_in_flight",
    "max_per_second",
    "timeout_seconds",
    "position",
    "batch",
)
# What came later is digested only where it is said: what was approved before stays approved.
_LATER = frozenset({"batch", "max_per_second"})


def digest(row: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of an endpoint's whole definition.

    It is taken over compact JSON with sorted names and no escapes, so that an administrator can take it himself.
    ``batch`` is among them where it is true, ``max_per_second`` where there is one.
    """
    definition = {name: row[name] for name in CHANGEABLE if name not in _LATER or row[name]} | {
        "endpoint_id": str(row["id"]),
        "participant_id": row["tenant"],
        "channel": str(row["channel"]),
        "purpose": str(row["purpose"]),
    }
    text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_in_force(row: Mapping[str, Any]) -> bool:
    """Tell whether the hub may send to an endpoint: one that it calls only as two persons approved it.

    Nothing is sent to an inbox, and mail goes to the operator's own relay: neither leads the hub anywhere.
    """
    return row["channel"] not in CALLED or row["approved_sha256"] == digest(row)


def is_used(channel: Channel, approved_sha256: str | None, active: bool) -> bool:
    """Tell of one endpoint of a participant that is not suspended what ``may_be_used`` asks of many."""
    return active and (channel not in CALLED or approved_sha256 is not None)


def is_switched_on() -> sa.ColumnElement[bool]:
    """Return the condition that neither an endpoint nor its whole participant is suspended."""
    left = sa.exists().where(_MEMBERS.c.id == _ENDPOINTS.c.tenant, _MEMBERS.c.status == "suspended")
    return sa.and_(_ENDPOINTS.c.active, ~left.correlate(_ENDPOINTS))


def may_be_used() -> sa.ColumnElement[bool]:
    """Return the condition by which statements leave out endpoints that are suspended, or not approved."""
    approved = sa.or_(_ENDPOINTS.c.channel.not_in(CALLED), _ENDPOINTS.c.approved_sha256.is_not(None))
    return sa.and_(is_switched_on(), approved)
