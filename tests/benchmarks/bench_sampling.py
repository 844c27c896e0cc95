"""Rows of one accepted request as a pattern: the same rows again in one statement, once for pgbench or a million times.

The pattern is read from the database itself, so it has each table, column and index that accepting a request touches,
whatever the hub writes by then. Identifiers that came into being with the request are made anew for each copy, in the
order of time, as the hub's own are; everything else stays as it was.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import asyncpg

# "request:<uuid>" and the like.
_NAMED = re.compile(r"([a-z]*:?)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type,
       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS is_numbered,
       CASE WHEN a.atttypmod > 4 AND a.atttypid = 'varchar'::regtype THEN a.atttypmod - 4 END AS most
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_UNIQUE = """
SELECT i.indisprimary AS is_primary,
       array_agg(a.attname ORDER BY array_position(i.indkey::int[], a.attnum::int)) AS names
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
 WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indpred IS NULL GROUP BY i.indexrelid, i.indisprimary
"""
# A month of facts is a part of the table that is written to.
_TABLES = (
    "SELECT relname AS tablename FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
    " AND relnamespace = 'public'::regnamespace ORDER BY relname"
)
# The transaction that wrote a row, as a number: a throw-away server never comes near the end of its 32 bits.
SEEN = "xmin::text::bigint"
# A UUID of version 7's form: the milliseconds of the statement, then what makes this copy's row the same everywhere.
_ID = "(ms || substr(md5({value}::text || salt), 13))::uuid"


@dataclass(frozen=True, slots=True)
class Table:
    """One table's part of the pattern: how many rows, their columns, and the expressions that make a copy of them."""

    name: str
    rows: int
    columns: tuple[str, ...]
    expressions: tuple[str, ...]
    arrays: tuple[str, ...]

    def insert(self, source: str = "") -> str:
        """Return the statement that writes a copy; ``source`` gives ``ms`` and ``salt`` where they are no variables."""
        aliases = ", ".join(f"c{at}" for at in range(len(self.columns)))
        names = ", ".join(f'"{name}"' for name in self.columns)
        return (
            f'INSERT INTO "{self.name}" ({names}) SELECT {", ".join(self.expressions)}'
            f" FROM {source}unnest({', '.join(self.arrays)}) AS v({aliases})"
        )


@dataclass(frozen=True, slots=True)
class Pattern:
    """The rows of one request, table by table."""

    tables: tuple[Table, ...]

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows of each table."""
        return {table.name: table.rows for table in self.tables}

    def only(self, names: Collection[str]) -> "Pattern":
        """Return the part of it that lies in these tables."""
        return Pattern(tuple(table for table in self.tables if table.name in names))

    def function(self, name: str) -> str:
        """Return the definition of a function of a salt, whose one statement writes all rows of one more copy."""
        parts = [f"i{at} AS ({table.insert()})" for at, table in enumerate(self.tables[:-1])]
        whole = f"WITH {', '.join(parts)} {self.tables[-1].insert()}" if parts else self.tables[-1].insert()
        return (
            f"CREATE OR REPLACE FUNCTION {name}(salt bigint) RETURNS void LANGUAGE plpgsql AS $copy$ DECLARE ms text :="
            " lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0');"
            f" BEGIN {whole}; END $copy$"
        )

    def copies(self, first: int, last: int) -> list[str]:
        """Return a statement a table that writes the copies from ``first`` to ``last``; references are not checked."""
        source = (
            "(SELECT g AS salt, lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - g), 12, '0') AS ms"
            f" FROM generate_series({first}, {last}) g) AS s, "
        )
        return [table.insert(source) for table in self.tables]


async def mark(conn: asyncpg.Connection) -> int:
    """Return the point from which ``since`` sees rows as new."""
    found: int = await conn.fetchval("SELECT pg_current_xact_id()::text::bigint")
    return found


async def since(conn: asyncpg.Connection, point: int) -> Pattern:
    """Return what was written since then: by one request, if nothing else was going on."""
    seen = f"{SEEN} >= {point}"
    names = [row["tablename"] for row in await conn.fetch(_TABLES)]
    touched = [name for name in names if await conn.fetchval(f'SELECT count(*) FROM "{name}" WHERE {seen}')]
    uniques = {name: await conn.fetch(_UNIQUE, name) for name in touched}
    columns = {name: await conn.fetch(_COLUMNS, name) for name in touched}
    born = set()
    for name in touched:
        keys = {key for index in uniques[name] if index["is_primary"] for key in index["names"]}
        for column in columns[name]:
            if column["name"] in keys and column["type"] == "uuid":
                rows = await conn.fetch(f'SELECT "{column["name"]}" AS id FROM "{name}" WHERE {seen}')
                born |= {str(row["id"]) for row in rows}
    return Pattern(tuple([await _table(conn, name, columns[name], uniques[name], seen, born) for name in touched]))


async def _table(
    conn: asyncpg.Connection,
    name: str,
    columns: list[asyncpg.Record],
    uniques: list[asyncpg.Record],
    seen: str,
    born: Collection[str],
) -> Table:
    rows = await conn.fetchval(f'SELECT count(*) FROM "{name}" WHERE {seen}')
    written = [column for column in columns if not column["is_numbered"]]
    expressions, arrays = [], []
    new: set[str] = {column["name"] for column in columns if column["is_numbered"]}
    for at, column in enumerate(written):
        quoted = f'"{column["name"]}"'
        values = [
            row["v"] for row in await conn.fetch(f'SELECT {quoted}::text AS v FROM "{name}" WHERE {seen} ORDER BY ctid')
        ]
        literal = await conn.fetchval(
            f'SELECT quote_literal(array_agg({quoted} ORDER BY ctid)::text) FROM "{name}" WHERE {seen}'
        )
        arrays.append(f"{literal}::{column['type']}[]")
        expression, is_new = _expression(f"v.c{at}", column, values, born)
        expressions.append(expression)
        new |= {column["name"]} if is_new else set()
    places = {column["name"]: at for at, column in enumerate(written)}
    kinds = {column["name"]: column for column in written}
    for index in uniques:
        if not new & set(index["names"]):
            # A unique number that nothing gives out is null here: only what fires has one.
            for last in [each for each in index["names"] if _is_word(kinds[each])][-1:]:
                expressions[places[last]] = _another(f"v.c{places[last]}", kinds[last])
                new.add(last)
    return Table(name, rows, tuple(column["name"] for column in written), tuple(expressions), tuple(arrays))


def _expression(
    value: str, column: asyncpg.Record, values: list[str | None], born: Collection[str]
) -> tuple[str, bool]:
    """Return how a copy's value is made of the pattern's, and whether it is another one in each copy."""
    kept = [each for each in values if each is not None]
    if column["type"] == "uuid" and kept and set(kept) <= set(born):
        if len(kept) == len(values):
            return _ID.format(value=value), True
        return f"CASE WHEN {value} IS NOT NULL THEN {_ID.format(value=value)} END", False
    named = [_NAMED.fullmatch(each) for each in kept]
    if kept and column["type"] == "character varying" and all(each and each[2] in born for each in named):
        length = len(named[0][1]) if named[0] else 0
        fresh = _ID.format(value=f"right({value}, 36)")
        return f"left({value}, {length}) || {fresh}::text", len(kept) == len(values)
    return value, False


def _is_word(column: asyncpg.Record) -> bool:
    return column["type"] in ("character varying", "text", "bytea")


def _another(value: str, column: asyncpg.Record) -> str:
    if column["type"] == "bytea":
        return f"decode(md5({value}::text || salt) || md5(salt || {value}::text), 'hex')"
    return f"left({value}, {(column['most'] or 64) - 16}) || substr(md5({value} || salt), 1, 16)"
