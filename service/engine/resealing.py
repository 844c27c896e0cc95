"""What an earlier build sealed under one key per tenant is sealed anew under its subject's, in batches."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine.hub import Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    Appeal,
    Attempt,
    Callback,
    Contact,
    Dispatch,
    Endpoint,
    Officer,
    Order,
    Target,
    Task,
    table_of,
)
from service.models.subject_key import KeyOwner
from service.vault import KeyRow, subjects
from service.vault.sealing import DERIVED

_ORDERS = table_of(Order)
_DISPATCHES = table_of(Dispatch)
_CONTACTS = table_of(Contact)
_ATTEMPTS = table_of(Attempt)
BATCH = 100


@dataclass(frozen=True, slots=True)
class Sealed:
    """A table with sealed columns, and where its subject is found: a request, a contact or an officer, or the house."""

    table: sa.Table
    kind: KeyOwner
    subject: sa.ColumnElement[Any]
    # What the values are bound to; an attempt's to its dispatch.
    row: str = "id"

    @property
    def columns(self) -> list[sa.Column[Any]]:
        """The sealed columns."""
        return [column for column in self.table.c if column.name.endswith("_sealed")]


def _request_of(table: sa.Table) -> Sealed:
    return Sealed(table, KeyOwner.REQUEST, table.c.request_id)


def _tables() -> list[Sealed]:
    answers, endpoints, officers = table_of(Acknowledgement), table_of(Endpoint), table_of(Officer)
    of_order = sa.select(_ORDERS.c.request_id).where(_ORDERS.c.id == answers.c.order_id)
    of_dispatch = sa.select(_DISPATCHES.c.request_id).where(_DISPATCHES.c.id == _ATTEMPTS.c.dispatch_id)
    # The address of a person's endpoint goes with the person.
    of_endpoint = sa.select(_CONTACTS.c.id).where(_CONTACTS.c.endpoint_id == endpoints.c.id, endpoints.c.url == "")
    return [
        Sealed(table_of(ActionRequest), KeyOwner.REQUEST, table_of(ActionRequest).c.id),
        *(_request_of(table_of(model)) for model in (Target, Dispatch, Appeal, Callback, Task)),
        Sealed(answers, KeyOwner.REQUEST, of_order.scalar_subquery()),
        Sealed(_ATTEMPTS, KeyOwner.REQUEST, of_dispatch.scalar_subquery(), "dispatch_id"),
        Sealed(officers, KeyOwner.OFFICER, officers.c.id),
        Sealed(_CONTACTS, KeyOwner.CONTACT, _CONTACTS.c.id),
        Sealed(endpoints, KeyOwner.CONTACT, of_endpoint.limit(1).scalar_subquery()),
    ]


TABLES = tuple(_tables())


async def count(conn: AsyncConnection) -> int:
    """Return how many rows still hold a value of the earlier form."""
    total = 0
    for sealed in TABLES:
        query = sa.select(sa.func.count()).select_from(sealed.table).where(_is_earlier(sealed))
        total += (await conn.execute(query)).scalar_one()
    return total


async def reseal(hub: Hub) -> int:
    """Seal anew whatever has the earlier form; return how many rows that were. A run that broke off goes on."""
    return sum([await _reseal(hub, sealed) for sealed in TABLES])


async def _reseal(hub: Hub, sealed: Sealed) -> int:
    total = 0
    while done := await hub.writer.run(lambda conn: _batch(conn, hub, sealed), reach=db.HUB):
        total += done
    return total


def _is_earlier(sealed: Sealed) -> sa.ColumnElement[bool]:
    # The first byte of a value is its form; both databases count bytes from one.
    first = sa.literal(bytes([DERIVED]), sa.LargeBinary())
    return sa.or_(*(sa.func.substr(column, 1, 1, type_=sa.LargeBinary()) == first for column in sealed.columns))


async def _batch(conn: AsyncConnection, hub: Hub, sealed: Sealed) -> int:
    table = sealed.table
    query = sa.select(table, sealed.subject.label("subject_of")).where(_is_earlier(sealed)).limit(BATCH)
    rows = (await conn.execute(query.with_for_update(of=table))).all()
    for row in rows:
        key = await _key(conn, hub, sealed, row)
        values = {}
        for column in sealed.columns:
            value = row._mapping[column.name]
            if value and value[0] == DERIVED:
                bound = row._mapping[sealed.row]
                text = hub.vault.unseal({}, table.name, bound, row.tenant, value)
                values[column.name] = hub.vault.seal(key, table.name, bound, text)
        await conn.execute(sa.update(table).where(table.c.id == row.id).values(values))
    return len(rows)


async def _key(conn: AsyncConnection, hub: Hub, sealed: Sealed, row: sa.Row[Any]) -> KeyRow:
    subject, vault = row.subject_of, hub.vault
    if subject is None:
        return await subjects.of_house(conn, vault, row.tenant)
    key_id = subject if isinstance(subject, UUID) else None
    return await subjects.of_subject(conn, vault, row.tenant, sealed.kind, str(subject), key_id)
