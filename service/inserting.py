"""Writes the statement that inserts rows, of one table or of several at once, without the ORM's unit of work."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

Bind = Callable[[Any], Any] | None
# A table, its ON CONFLICT clause, and its columns: each with whether its cell is one and the same in all rows.
Shape = tuple[sa.Table, str, tuple[tuple[str, bool], ...]]
# What executes it, and its parameters: for each row on SQLite, for all at once on PostgreSQL.
Statement = tuple[sa.TextClause, dict[str, Any] | list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, which all have the same keys; ``conflict`` is their ON CONFLICT clause, if there is one."""

    table: sa.Table
    rows: Sequence[Mapping[str, Any]]
    conflict: str = ""


def statements(parts: Sequence[Rows], dialect: sa.Dialect) -> Iterator[Statement]:
    """Give the statements that insert these rows in their order: all in one on PostgreSQL, else one a table."""
    filled = [part for part in parts if part.rows]
    if dialect.name != "postgresql":
        for part in filled:
            names = tuple(part.rows[0])
            text, binds = _one_by_one(part.table, names, part.conflict, dialect)
            yield text, [{name: _bound(bind, row[name]) for name, bind in binds} for row in part.rows]
    elif filled:
        cells = [{name: [row[name] for row in part.rows] for name in part.rows[0]} for part in filled]
        shapes = tuple(_shape(part, columns) for part, columns in zip(filled, cells, strict=True))
        text, places = _at_once(shapes, dialect)
        yield text, {mark: _said(bind, cells[part][name], is_one) for mark, part, name, is_one, bind in places}


def _shape(part: Rows, cells: Mapping[str, list[Any]]) -> Shape:
    shared = {name: column.count(column[0]) == len(column) for name, column in cells.items()}
    if len(part.rows) > 1 and all(shared.values()):
        # Rows that are wholly alike are as many as there are, all the same.
        shared[next(iter(shared))] = False
    return part.table, part.conflict, tuple(shared.items())


def _said(bind: Bind, column: list[Any], is_one: bool) -> Any:
    if is_one:
        return bind(column[0]) if bind else column[0]
    return [bind(cell) for cell in column] if bind else column


def _bound(bind: Bind, cell: Any) -> Any:
    return bind(cell) if bind else cell


def _bind(table: sa.Table, name: str, dialect: sa.Dialect) -> Bind:
    return table.c[name].type.dialect_impl(dialect).bind_processor(dialect)


# Rows are written by a few dozen places, each with few shapes: making the text anew would cost more than running it.
@functools.lru_cache(maxsize=512)
def _one_by_one(
    table: sa.Table, names: tuple[str, ...], conflict: str, dialect: sa.Dialect
) -> tuple[sa.TextClause, tuple[tuple[str, Bind], ...]]:
    marks = ", ".join(f":{name}" for name in names)
    text = f"INSERT INTO {_into(table, names)} VALUES ({marks}) {conflict}"  # noqa: S608 - names come from our own tables
    return _whole([text]), tuple((name, _bind(table, name, dialect)) for name in names)


@functools.lru_cache(maxsize=512)
def _at_once(
    shapes: tuple[Shape, ...], dialect: sa.Dialect
) -> tuple[sa.TextClause, tuple[tuple[str, int, str, bool, Bind], ...]]:
    """Return the statement, and for each mark in it the part, the column and how the cells become its parameter.

    What all rows share is said once: an array costs the driver a check of each of its elements.
    """
    parts, places = [], []
    for part, (table, conflict, columns) in enumerate(shapes):
        chosen, aliases, arrays = [], [], []
        for at, (name, is_one) in enumerate(columns):
            mark, kind = f"p{part}_{at}", table.c[name].type.compile(dialect)
            places.append((mark, part, name, is_one, _bind(table, name, dialect)))
            chosen.append(f"CAST(:{mark} AS {kind})" if is_one else f"c{at}")
            if not is_one:
                aliases.append(f"c{at}")
                arrays.append(f"CAST(:{mark} AS {kind}[])")
        source = f" FROM unnest({', '.join(arrays)}) AS each({', '.join(aliases)})" if arrays else ""
        into = _into(table, [name for name, _ in columns])
        parts.append(f"INSERT INTO {into} SELECT {', '.join(chosen)}{source} {conflict}")
    return _whole(parts), tuple(places)


def _whole(parts: Sequence[str]) -> sa.TextClause:
    *before, last = parts
    begun = ", ".join(f"part_{part} AS ({text})" for part, text in enumerate(before))
    return sa.text(f"{'WITH ' if begun else ''}{begun} {last}")


def _into(table: sa.Table, names: Sequence[str]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    return f'"{table.name}" ({columns})'
