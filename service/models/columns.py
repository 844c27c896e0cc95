"""The column kinds that models share: codes kept as text with a check, and identities that both databases count."""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field


def code(kind: type[StrEnum], *, nullable: bool = False, index: bool = False) -> Any:
    """Return a field that keeps a code as VARCHAR with a CHECK (a native enum hides new members from migrations)."""
    column = sa.Enum(
        kind,
        name=_snake(kind.__name__),
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )
    if nullable:
        return Field(default=None, sa_type=column, nullable=True, index=index)
    return Field(sa_type=column, nullable=False, index=index)


def partial_index(name: str, *names: str, where: str, unique: bool = False) -> sa.Index:
    """Return an index over the rows that satisfy ``where``, on both databases."""
    return sa.Index(name, *names, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def identity() -> Any:
    """Return a 64-bit primary key that the database counts up (SQLite counts only plain INTEGER keys)."""
    return Field(
        default=None,
        sa_type=sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        nullable=False,
    )


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
