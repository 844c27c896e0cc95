"""A request as the engine needs it: its rows, its case, agency, signing officer and targets, read at once."""

import functools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, audit
from service.models import ActionRequest, Approval, Case, Officer, Order, Participant, Target, table_of
from service.vault import KeyRow, Keys, Vault, subjects
from workflows import deadlines, policy
from workflows.policy import Policy
from workflows.terms import Action, Stage

_REQUESTS = table_of(ActionRequest)
_CASES = table_of(Case)
_PARTICIPANTS = table_of(Participant)
_OFFICERS = table_of(Officer)
_APPROVALS = table_of(Approval)
_TARGETS = table_of(Target)
_ORDERS = table_of(Order)
# The policy as the text that it is kept as: taking it apart costs more than all the rest of the row.
_AS_TEXT = sa.cast(_REQUESTS.c.policy, sa.Text).label("policy")
# What lies side by side in one row: a request, the agency that filed it, and the officer who signed it.
_SIDES: tuple[Sequence[sa.ColumnElement[Any]], ...] = (
    (*(column for column in _REQUESTS.c if column.name != "policy"), _AS_TEXT),
    tuple(_PARTICIPANTS.c),
    tuple(_OFFICERS.c),
)
_DEMANDS = sa.select(_REQUESTS.c.id, _REQUESTS.c.measure, _REQUESTS.c.urgency, _REQUESTS.c.legal_basis, _AS_TEXT)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dossier:
    """The rows behind one request.

    ``policy`` is the ladder that was in force when the request came; later edits do not touch it. ``hold_case_id`` is
    the case of the hold that it is about: a lift filed under another case still follows what it lifts. ``hold_action``
    is what that hold demanded, the request's own action where it is about no other. ``keys`` open the request and its
    targets, which may be those of the request that it is about.
    """

    request: Row
    case_number: str
    agency: Row
    officer: Row
    targets: Mapping[UUID, Row]
    policy: Policy
    hold_case_id: UUID
    hold_action: Action
    keys: Keys
    # Rank and number of the officer who approved it; None where one officer's word was enough.
    second_officer: Row | None

    @property
    def id(self) -> UUID:
        """The request's id."""
        return self.request["id"]  # type: ignore[no-any-return]

    @property
    def tenant(self) -> str:
        """The filing agency."""
        return self.request["tenant"]  # type: ignore[no-any-return]

    @property
    def chain(self) -> str:
        """The request's audit chain."""
        return audit.request_chain(self.id)

    def within(self, stage: Stage, default: timedelta, participant_id: str | None = None) -> timedelta:
        """Return the time of one of the hub's own clocks: the policy's where it names one, else ``default``."""
        return deadlines.within(
            stage,
            default,
            action=self.request["action"],
            participant_id=participant_id,
            legal_basis=self.request["legal_basis"],
            overrides=self.policy.limit_overrides,
        )


def filed(
    request: Row, targets: Sequence[Row], *, case_number: str, agency: Row, officer: Row, rules: Policy, key: KeyRow
) -> Dossier:
    """Return the dossier of a request that this transaction files, about no other one, of the rows that it writes."""
    whole = {column.name: None for column in _REQUESTS.c} | dict(request)
    return Dossier(
        request=whole,
        case_number=case_number,
        agency=agency,
        officer=officer,
        targets={target["id"]: target for target in targets},
        policy=rules,
        hold_case_id=whole["case_id"],
        hold_action=whole["action"],
        keys={whole["id"]: key},
        second_officer=None,
    )


async def load(conn: AsyncConnection, request_ids: Collection[UUID]) -> dict[UUID, Dossier]:
    """Read the dossiers of the given requests; unknown ids are missing."""
    if not request_ids:
        return {}
    found = (await conn.execute(_files(conn.dialect.name), {"ids": [*request_ids]})).all()
    files = [_apart(row) for row in found]
    requests = [request for request, _, _ in files]
    # A lift or an extension has no targets of its own: it is about those of the original.
    owners = {row["original_id"] or row["id"] for row in requests}
    second = _OFFICERS.alias("second")
    held = (
        sa.select(
            _REQUESTS.c.id, _REQUESTS.c.case_id, _REQUESTS.c.action, second.c.rank, second.c.number, *subjects.COLUMNS
        )
        .select_from(_REQUESTS)
        .outerjoin(_APPROVALS, sa.and_(_APPROVALS.c.request_id == _REQUESTS.c.id, _APPROVALS.c.kind == "approval"))
        .outerjoin(second, second.c.id == _APPROVALS.c.officer_id)
        .outerjoin(subjects.SUBJECTS, subjects.SUBJECTS.c.id == _REQUESTS.c.id)
        .outerjoin(subjects.TENANTS, subjects.TENANTS.c.id == subjects.SUBJECTS.c.tenant_key_id)
        .where(among.of(conn, _REQUESTS.c.id, owners | {row["id"] for row in requests}))
    )
    holds: dict[UUID, tuple[UUID, Action]] = {}
    keys: dict[UUID, KeyRow] = {}
    seconds: dict[UUID, Row] = {}
    for row in (await conn.execute(held)).all():
        holds[row.id] = row.case_id, row.action
        if row.rank is not None:
            seconds[row.id] = {"rank": row.rank, "number": row.number}
        if (key := subjects.row(row)) is not None:
            keys[row.id] = key
    targets: dict[UUID, dict[UUID, Row]] = {}
    query = sa.select(_TARGETS).where(among.of(conn, _TARGETS.c.request_id, owners)).order_by(_TARGETS.c.position)
    for row in (await conn.execute(query)).all():
        targets.setdefault(row.request_id, {})[row.id] = dict(row._mapping)
    return {
        row["id"]: Dossier(
            row,
            number,
            agency,
            officer,
            targets.get(row["original_id"] or row["id"], {}),
            _policy(row.pop("policy")),
            *holds[row["original_id"] or row["id"]],
            {each: keys[each] for each in (row["id"], row["original_id"]) if each in keys},
            seconds.get(row["id"]),
        )
        for (row, agency, officer), (number, *_) in zip(files, found, strict=True)
    }


async def demands(conn: AsyncConnection, request_ids: Collection[UUID]) -> dict[UUID, tuple[Row, Policy]]:
    """Read of requests what the time limits of their orders depend on: measure, urgency, legal basis and policy."""
    rows = (await conn.execute(_DEMANDS.where(among.of(conn, _REQUESTS.c.id, request_ids)))).all()
    return {row.id: (dict(row._mapping), _policy(row.policy)) for row in rows}


async def key(conn: AsyncConnection, vault: Vault, found: Dossier) -> KeyRow:
    """Return the key that seals what is written about a request; one that an earlier build filed gets it now."""
    known = found.keys.get(found.id)
    return known or await subjects.of_request(conn, vault, found.tenant, found.id)


@functools.lru_cache(maxsize=64)
def _policy(snapshot: str) -> Policy:
    # Reading one takes two milliseconds, and a batch of deadlines has hundreds of requests with a few policies.
    return policy.from_snapshot(json.loads(snapshot))


async def orders_of(conn: AsyncConnection, request_id: UUID) -> list[Row]:
    """Read the orders of a request, oldest first."""
    query = sa.select(_ORDERS).where(_ORDERS.c.request_id == request_id).order_by(_ORDERS.c.placed_at, _ORDERS.c.id)
    return [dict(row._mapping) for row in (await conn.execute(query)).all()]


@functools.cache
def _files(dialect: str) -> sa.Select[Any]:
    return (
        sa.select(_CASES.c.number, *(column for side in _SIDES for column in side))
        .join(_REQUESTS, _REQUESTS.c.case_id == _CASES.c.id)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _REQUESTS.c.tenant)
        .join(_OFFICERS, _OFFICERS.c.id == _REQUESTS.c.officer_id)
        .where(among.named(dialect, _REQUESTS.c.id, "ids"))
    )


def _apart(row: sa.Row[Any]) -> list[dict[str, Any]]:
    cells: Iterator[Any] = iter(row[1:])
    return [{column.name: cell for column, cell in zip(side, cells, strict=False)} for side in _SIDES]
