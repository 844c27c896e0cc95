"""The audit: facts appended to hash chains, one chain a request (others per tenant), and the walk that verifies them.

A chain's head row is locked before anything of its request changes, so it is also the request's lock: two
transactions that both move a request wait for each other here, in the sorted order of their chains.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import canonical_json, chain_heads, clock, db, outages
from service.chain_heads import GENESIS
from service.inserting import Rows
from service.models import AuditEntry, AuditHead, FactArchive, FactRun, table_of
from workflows.terms import Actor, Fact

_ENTRIES = table_of(AuditEntry)
_HEADS = table_of(AuditHead)
# Two first facts of one chain at once: the loser breaks on the guard of the head, if not before.
_MOVES = "ON CONFLICT (chain) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash"
_ARCHIVES = table_of(FactArchive)
_RUNS = table_of(FactRun)
_RUN = {"chain": _RUNS.c.chain, "tenant": _RUNS.c.tenant, "sequence": _RUNS.c.first.label("sequence")}
_RUN |= {"previous": _RUNS.c.previous, "hash": _RUNS.c.hash}


def request_chain(request_id: UUID) -> str:
    """Name the chain of one request."""
    return f"request:{request_id}"


def tenant_chain(tenant: str) -> str:
    """Name the chain of a tenant's facts that belong to no request."""
    return f"tenant:{tenant}"


def reads_chain(request_id: UUID) -> str:
    """Name the chain of who read what a request says of a person: its readers never wait for its own facts."""
    return f"reads:{request_id}"


def node_chain(node: str) -> str:
    """Name the chain of what one node refused (tokens), so that a flood of refusals locks nobody else."""
    return f"node:{node}"


def entry_hash(previous: bytes, record: Mapping[str, Any]) -> bytes:
    """Return SHA-256(0x00 ‖ RFC 8785 form of the record and the hash before it); 0x00 marks a leaf (RFC 9162)."""
    return hashlib.sha256(b"\x00" + canonical_json.dumps({**record, "previous": previous.hex()})).digest()


def hashed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a fact that its hash is over."""
    return {
        "chain": row["chain"],
        "sequence": row["sequence"],
        "tenant": row["tenant"],
        "request_id": str(row["request_id"]) if row["request_id"] else None,
        "code": str(row["code"]),
        "actor": {"kind": row["actor_kind"], "id": row["actor_id"], "tenant": row["actor_tenant"]},
        "at": row["at"].isoformat(timespec="microseconds"),
        "data": row["data"],
    }


def run_line(run: Any) -> bytes:
    """Return what the digest of an archive's runs is over, run by run: where each lies, and the hashes at its ends."""
    ends = f"{run.previous.hex()} {run.hash.hex()}"
    return f"{run.chain} {run.first} {run.last} {run.tenant} {ends}\n".encode()


class Log:
    """The facts of one transaction: chains are locked on entry, facts are buffered and written by ``flush``."""

    def __init__(self, conn: AsyncConnection, at: datetime, heads: dict[str, tuple[int, bytes]]) -> None:
        self._conn = conn
        self._heads = heads
        self._tenants: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self.at = at

    @classmethod
    async def open(
        cls,
        conn: AsyncConnection,
        at: datetime | None,
        chains: Iterable[str],
        *,
        wait: bool = True,
        tenants: Mapping[str, str] | None = None,
    ) -> "Log":
        """Lock the heads of ``chains`` that exist, in sorted order; with ``wait=False`` skip those that are locked.

        ``holds()`` tells which chains this transaction has; a chain that has no head yet is simply new. ``tenants``
        says whose a chain is that does not say it in its name. Without ``at`` the instant is that after the wait.
        """
        names = sorted(set(chains))
        owners = {name: name.partition(":")[2] for name in names if not name.startswith("request:")}
        owners |= tenants or {}
        is_last = list(owners) == names[-1:]  # as a filing's is: that one may wait until it is known to be missing
        heads, held_at = await chain_heads.lock(conn, names, wait=wait) if is_last or not owners else ({}, None)
        if not owners.keys() <= heads.keys():
            await chain_heads.begin(conn, owners)
            heads, held_at = await chain_heads.lock(conn, names, wait=wait)
        return cls(conn, at or held_at or await db.now(conn), heads)

    def holds(self, chain: str) -> bool:
        """Tell whether this transaction has the lock of an existing chain."""
        return chain in self._heads

    async def also(self, chains: Iterable[str]) -> None:
        """Lock further chains, which became concerned while the first were waited for; the instant moves on.

        Out of the sorted order two may wait for each other here: the database undoes one, and its unit runs again.
        """
        more = set(chains) - set(self._heads)
        if more:
            self._heads |= (await Log.open(self._conn, self.at, more))._heads
            self.at = await db.now(self._conn)

    def record(
        self,
        chain: str,
        code: Fact,
        actor: Actor,
        tenant: str,
        *,
        request_id: UUID | None = None,
        deadline_id: int | None = None,
        **data: Any,
    ) -> None:
        """Buffer one fact; ``data`` holds codes, ids, instants and numbers (as strings above 2^53).

        It never holds personal data. Members that are None are left out.
        """
        sequence, previous = self._heads.get(chain, (0, GENESIS))
        plain = {name: clock.written(each) if isinstance(each, datetime) else each for name, each in data.items()}
        text = canonical_json.dumps({name: each for name, each in plain.items() if each is not None}).decode()
        row = {
            "tenant": tenant,
            "chain": chain,
            "sequence": sequence + 1,
            "request_id": request_id,
            "code": str(code),
            "actor_kind": str(actor.kind),
            "actor_id": actor.id,
            "actor_tenant": actor.tenant,
            "at": self.at,
            "data": text,
            "deadline_id": deadline_id,
            "previous": previous,
        }
        digest = entry_hash(previous, hashed(row))
        self._rows.append({**row, "hash": digest})
        self._heads[chain] = (sequence + 1, digest)
        self._tenants[chain] = tenant

    async def flush(self, *beside: Rows) -> None:
        """Write the buffered facts and the heads they moved, and rows of other tables ``beside`` them."""
        if not self._rows and not beside:
            return
        heads = [
            {"chain": chain, "tenant": tenant, "sequence": self._heads[chain][0], "hash": self._heads[chain][1]}
            for chain, tenant in sorted(self._tenants.items())
        ]
        await db.insert_all(self._conn, Rows(_ENTRIES, self._rows), Rows(_HEADS, heads, _MOVES), *beside)
        self._rows.clear()
        self._tenants.clear()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a chain: ``kind`` is edited, deleted, inserted, swapped or head."""

    chain: str
    sequence: int
    kind: str


@dataclass(frozen=True, slots=True)
class Away:
    """A month whose facts are in an archive alone: their ends were compared here, they themselves were not."""

    month: str
    entries: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``verify`` saw: how many facts in how many chains, each thing that is wrong, and which months are away."""

    entries: int
    chains: int
    findings: tuple[Finding, ...]
    away: tuple[Away, ...] = ()


async def verify(conn: AsyncConnection) -> Verdict:
    """Recompute every chain from its rows and hold it against its head; read-only, in one snapshot.

    Facts that are in an archive alone are bridged by its runs, which must be those that its manifest names.
    """
    await outages.take_time(conn)
    heads = {row.chain: row for row in (await conn.execute(sa.select(_HEADS))).all()}
    findings: list[Finding] = []
    entries = chains = 0
    async for chain, rows in _chains(conn):
        chains += 1
        entries += sum(row.last is None for row in rows)
        findings += walk(chain, rows, heads.pop(chain, None))
    # A head whose chain is gone altogether.
    findings += [Finding(chain, head.sequence, "deleted") for chain, head in heads.items() if head.sequence]
    away = await _away(conn, findings)
    return Verdict(entries, chains, tuple(findings), away)


async def _away(conn: AsyncConnection, findings: list[Finding]) -> tuple[Away, ...]:
    dropped = sa.select(_ARCHIVES).where(_ARCHIVES.c.dropped_at.is_not(None)).order_by(_ARCHIVES.c.month)
    away = []
    for row in (await conn.execute(dropped)).all():
        digest, entries = hashlib.sha256(), 0
        # In an order that no locale changes: rows leave PostgreSQL alone, which knows it by this name.
        runs = sa.select(_RUNS).where(_RUNS.c.month == row.month)
        async for run in await conn.stream(runs.order_by(sa.collate(_RUNS.c.chain, "C"), _RUNS.c.first)):
            digest.update(run_line(run))
            entries += run.last - run.first + 1
        if (digest.hexdigest(), entries) != (json.loads(row.manifest)["runs_sha256"], row.entries):
            findings.append(Finding(f"archive:{row.month}", entries, "edited"))
        away.append(Away(row.month, row.entries))
    return tuple(away)


async def _chains(conn: AsyncConnection) -> AsyncIterator[tuple[str, list[Any]]]:
    current: str | None = None
    rows: list[Any] = []
    facts = sa.select(*_ENTRIES.c, sa.null().cast(sa.Integer).label("last"))
    others = [_RUN.get(column.name, sa.null().cast(column.type).label(column.name)) for column in _ENTRIES.c]
    both = sa.union_all(facts, sa.select(*others, _RUNS.c.last)).order_by("chain", "sequence", "id")
    async for row in await conn.stream(both):
        if row.chain != current and rows:
            yield str(current), rows
            rows = []
        current = row.chain
        rows.append(row)
    if rows:
        yield str(current), rows


def walk(chain: str, rows: list[Any], head: Any) -> list[Finding]:
    """Return what is wrong with a chain by its rows (a run has a ``last``, a fact has None there) and its head."""
    findings: list[Finding] = []
    stored = {row.hash: row.sequence for row in rows}
    expected, previous = 1, GENESIS
    for row in rows:
        if row.sequence > expected:
            findings += [Finding(chain, missing, "deleted") for missing in range(expected, row.sequence)]
            expected, previous = row.sequence, row.previous
        honest = row.last is not None or entry_hash(row.previous, hashed(row._mapping)) == row.hash
        if not honest:
            # Whole rows that changed places keep their hashes of the old place; an edit leaves the links alone.
            swapped = row.previous != previous and row.previous in {*stored, GENESIS}
            findings.append(Finding(chain, row.sequence, "swapped" if swapped else "edited"))
        elif row.previous != previous:
            findings.append(Finding(chain, row.sequence, "inserted"))
        expected, previous = (row.last or row.sequence) + 1, row.hash
    if head is None:
        findings.append(Finding(chain, expected - 1, "head"))
    elif head.sequence >= expected:
        findings += [Finding(chain, missing, "deleted") for missing in range(expected, head.sequence + 1)]
    elif head.sequence < expected - 1:
        findings += [Finding(chain, extra, "inserted") for extra in range(head.sequence + 1, expected)]
    elif head.hash != previous and not findings:
        findings.append(Finding(chain, head.sequence, "head"))
    return findings
