"""A condition on many values, written so that a database reads its statement once however many they are."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection


def of(conn: AsyncConnection, column: sa.ColumnElement[Any], values: Iterable[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that a column has one of the values.

    On PostgreSQL they are one parameter: a list of parameters is another text for each length, to be parsed anew.
    """
    if conn.dialect.name != "postgresql":
        return column.in_(values)
    return column == sa.any_(sa.literal(list(values), ARRAY(column.type)))


def named(dialect: str, column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column has one of the values of a parameter, for a statement that is kept."""
    if dialect != "postgresql":
        return column.in_(sa.bindparam(name, expanding=True))
    return column == sa.any_(sa.bindparam(name, type_=ARRAY(column.type)))
