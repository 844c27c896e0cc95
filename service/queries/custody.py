"""The custody of a request's documents, told from facts: who put it in, passed it on, read, printed, exported it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.models import ActionRequest, AuditEntry, Order, table_of
from service.queries import visibility
from service.security.principals import Principal
from workflows.terms import DispatchKind, Fact, View

_REQUESTS = table_of(ActionRequest)
_ENTRIES = table_of(AuditEntry)
_ORDERS = table_of(Order)

# Of more hands than these the latest are shown: a system that polls a request reads it each time.
MOST = 500


class Handling(StrEnum):
    """What somebody did with a document."""

    PUT_IN = "put_in"
    APPROVED = "approved"
    SENT = "sent"
    TAKEN = "taken"
    READ = "read"
    PRINTED = "printed"
    EXPORTED = "exported"


class Kind(StrEnum):
    """What a document is: the legal paper behind the request, an order as a letter, or a file of evidence."""

    PAPER = "paper"
    LETTER = "letter"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Hand:
    """One handling, as a fact has it: who, when, over which channel or door, to whom, and its number in its chain."""

    handling: Handling
    at: datetime
    actor: Mapping[str, str]
    by: str | None
    participant_id: str | None
    is_reading: bool
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the request with all hands that it went through, the first one first.

    ``sha256`` is that of its bytes; a letter is made anew each time it is opened, and has none of its own.
    """

    kind: Kind
    sha256: str | None
    number: str | None
    dated: date | None
    participant_id: str | None
    hands: tuple[Hand, ...]


@dataclass(frozen=True, slots=True)
class Custody:
    """The documents of one request; ``is_cut`` tells that there are earlier readings than are shown."""

    reference: str
    documents: tuple[Document, ...]
    is_cut: bool


async def of_request(conn: AsyncConnection, principal: Principal, request_id: UUID) -> Custody | None:
    """Return the custody of a request's documents, or None when it does not exist or is not for the caller."""
    columns = ("reference", "document_number", "document_date", "document_sha256")
    query = sa.select(*(_REQUESTS.c[name] for name in columns)).where(
        _REQUESTS.c.id == request_id, visibility.requests(principal)
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    facts = await _facts(conn, audit.request_chain(request_id), _ENTRIES.c.code.in_(_OF_THE_PAPER), limit=None)
    readings = await _facts(conn, audit.reads_chain(request_id), sa.true(), limit=MOST + 1)
    placed = sa.select(_ORDERS.c.id, _ORDERS.c.participant_id).where(_ORDERS.c.request_id == request_id)
    orders = {str(order.id): order.participant_id for order in (await conn.execute(placed)).all()}
    shown = readings[-MOST:]
    paper = [hand for fact, data in facts if (hand := _of_paper(fact, data)) is not None]
    paper += [_hand(fact, data, Handling.READ) for fact, data in shown if data.get("view") in _SHOWS_THE_PAPER]
    documents = [
        Document(
            Kind.PAPER,
            row.document_sha256,
            row.document_number,
            row.document_date,
            None,
            tuple(sorted(paper, key=lambda hand: hand.at)),
        )
    ]
    for order_id, participant_id in orders.items():
        printed = [
            _hand(fact, data, Handling.PRINTED)
            for fact, data in shown
            if data.get("view") == View.LETTER and data.get("order_id") == order_id
        ]
        if printed:
            documents.append(Document(Kind.LETTER, None, None, None, participant_id, tuple(printed)))
    documents += [
        Document(Kind.EVIDENCE, data.get("sha256"), None, None, None, (_hand(fact, data, Handling.EXPORTED),))
        for fact, data in facts
        if fact.code == Fact.EVIDENCE_EXPORTED
    ]
    return Custody(row.reference, tuple(documents), len(readings) > MOST)


# What an answer, a note, an appeal or a roster shows has nothing of the paper in it.
_SHOWS_THE_PAPER = frozenset({View.REQUEST, View.BODY, View.PAGE, View.PAPER, View.ORDER})
_OF_THE_PAPER: Mapping[Fact, Handling] = {
    Fact.REQUEST_SUBMITTED: Handling.PUT_IN,
    Fact.REQUEST_APPROVED: Handling.APPROVED,
    Fact.REQUEST_REVIEWED: Handling.APPROVED,
    Fact.ORDER_DELIVERED: Handling.SENT,
    Fact.DISPATCH_PULLED: Handling.TAKEN,
    Fact.EVIDENCE_EXPORTED: Handling.EXPORTED,
}


def _of_paper(fact: sa.Row[Any], data: Mapping[str, Any]) -> Hand | None:
    """Return what a fact says of the paper: its number and digest stand in each order, and in a file of evidence."""
    if fact.code == Fact.ORDER_DELIVERED and data.get("kind") != DispatchKind.ORDER:
        return None
    return _hand(fact, data, _OF_THE_PAPER[Fact(fact.code)])


async def _facts(
    conn: AsyncConnection, chain: str, condition: sa.ColumnElement[bool], *, limit: int | None
) -> Sequence[tuple[sa.Row[Any], Mapping[str, Any]]]:
    """Return the latest facts of a chain with what they say, the earliest of them first."""
    query = sa.select(_ENTRIES).where(_ENTRIES.c.chain == chain, condition)
    rows = (await conn.execute(query.order_by(_ENTRIES.c.sequence.desc()).limit(limit))).all()
    read: Callable[[str], Mapping[str, Any]] = json.loads
    return [(row, read(row.data)) for row in reversed(rows)]


def _hand(fact: sa.Row[Any], data: Mapping[str, Any], handling: Handling) -> Hand:
    by = data.get("channel") or data.get("door")
    return Hand(
        handling=handling,
        at=fact.at,
        actor={"kind": fact.actor_kind, "id": fact.actor_id, "tenant": fact.actor_tenant},
        by=None if by is None else str(by),
        participant_id=data.get("participant_id"),
        is_reading=fact.chain.startswith("reads:"),
        number=fact.sequence,
        hash=fact.hash.hex(),
    )
