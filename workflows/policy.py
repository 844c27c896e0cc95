"""A policy: the escalation ladders and the time limits that differ from the default profile, as checked data."""

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import resources
from typing import Any

from workflows import bounds
from workflows.bounds import Bound
from workflows.deadlines import LimitOverride
from workflows.table import LONGEST, Table, member, written
from workflows.table import PolicyInvalid as PolicyInvalid
from workflows.terms import Action, LegalBasis, Reach, Sector, Stage, TargetKind, Urgency

SHIPPED = ("vn-default", "demo-seconds")

_HEAD = frozenset({"name", "version", "limits", "ladders", "bounds"})
_OVERRIDE = ("action", "target_kind", "participant_id", "legal_basis")
_LADDER = ("action", "target_kind", "sector", "intimate", "urgency")
_RUNG = frozenset({"number", "after", "reach"})


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a ladder: ``after`` counts from the instant at which the order was placed."""

    number: int
    after: timedelta
    reach: tuple[Reach, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs for one stage; None in a field means "any"."""

    stage: Stage
    rungs: tuple[Rung, ...]
    action: Action | None = None
    target_kind: TargetKind | None = None
    sector: Sector | None = None
    intimate: bool | None = None
    urgency: Urgency | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A named version of the ladders and overrides; a request keeps the snapshot that was in force when it came.

    ``bounds`` are those that differ from ``workflows.bounds.DEFAULTS``.
    """

    name: str
    version: int
    ladders: tuple[Ladder, ...]
    limit_overrides: tuple[LimitOverride, ...] = ()
    bounds: tuple[Bound, ...] = ()


def rungs(
    policy: Policy,
    action: Action | None,
    target_kind: TargetKind | None,
    stage: Stage,
    *,
    sector: Sector | None = None,
    intimate: bool = False,
    urgency: Urgency | None = None,
    within: timedelta | None = None,
) -> tuple[Rung, ...]:
    """Return the ladder of a stage, lowest rung first; empty if missing the stage's deadline calls nobody.

    The most specific ladder wins: urgency, then intimate, sector, target kind and action count, in this order.
    ``within`` is the time that the order really has for the stage: where an override made it longer than the first
    rung, the whole ladder moves up, so that nobody is called about an order that is not late.
    """
    asked = (urgency, intimate, sector, target_kind, action)
    found: tuple[Rung, ...] = ()
    won: tuple[bool, ...] = ()
    for ladder in policy.ladders:
        named = (ladder.urgency, ladder.intimate, ladder.sector, ladder.target_kind, ladder.action)
        fits = all(theirs in (None, ours) for theirs, ours in zip(named, asked, strict=True))
        weight = tuple(value is not None for value in named)
        if ladder.stage is stage and fits and weight >= won:
            found, won = ladder.rungs, weight
    late = within - found[0].after if found and within is not None else timedelta(0)
    return tuple(replace(rung, after=rung.after + max(late, timedelta(0))) for rung in found)


def load(toml_text: str) -> Policy:
    """Return the policy that a TOML text describes; raise ``PolicyInvalid`` naming the first key at fault."""
    try:
        data = tomllib.loads(toml_text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyInvalid("toml", str(error)) from None
    return from_snapshot(data)


@functools.cache
def loads(name: str) -> Policy:
    """Return a shipped policy by its name, one of ``SHIPPED``; raise ``PolicyInvalid`` for any other name."""
    if name not in SHIPPED:
        raise PolicyInvalid("name", f"no shipped policy is called {name!r}")
    return load(resources.files("workflows").joinpath("policies", f"{name}.toml").read_text(encoding="utf-8"))


def to_snapshot(policy: Policy) -> dict[str, Any]:
    """Return the policy as JSON-able data of the TOML file's own shape, for storing with a request."""
    return {
        "name": policy.name,
        "version": policy.version,
        "limits": [
            {"stage": row.stage.value, "within": written(row.within)} | _named(row, _OVERRIDE)
            for row in policy.limit_overrides
        ],
        "ladders": [
            {"stage": ladder.stage.value, "rungs": [_rung_data(rung) for rung in ladder.rungs]}
            | _named(ladder, _LADDER)
            for ladder in policy.ladders
        ],
        "bounds": bounds.written(policy.bounds),
    }


def from_snapshot(data: Mapping[str, Any]) -> Policy:
    """Return the policy that ``to_snapshot`` wrote; raise ``PolicyInvalid`` naming the first key at fault."""
    table = Table("", data, _HEAD)
    name = table.text("name")
    if not re.fullmatch(r"[a-z0-9-]{1,64}", name):
        raise PolicyInvalid("name", "small letters, digits and hyphens, at most 64")
    overrides = tuple(_override(f"limits[{at}]", row) for at, row in enumerate(table.rows("limits")))
    ladders = tuple(_ladder(f"ladders[{at}]", row) for at, row in enumerate(table.rows("ladders")))
    _refuse_twins("limits", [replace(row, within=LONGEST) for row in overrides])
    selectors = [replace(ladder, rungs=()) for ladder in ladders]
    _refuse_twins("ladders", selectors)
    if Ladder(Stage.EXECUTE, ()) not in selectors:
        raise PolicyInvalid("ladders", "no ladder of stage execute fits every order: one could stay silent for ever")
    return Policy(name, table.whole("version"), ladders, overrides, bounds.read(table.rows("bounds")))


def _override(path: str, row: Any) -> LimitOverride:
    table = Table(path, row, frozenset({"stage", "within", *_OVERRIDE}))
    within = table.duration("within")
    if not within:
        raise PolicyInvalid(f"{path}.within", "nobody can keep a limit of no time")
    return LimitOverride(
        stage=table.required(Stage, "stage"),
        within=within,
        action=table.choice(Action, "action"),
        target_kind=table.choice(TargetKind, "target_kind"),
        participant_id=table.text("participant_id") if table.names("participant_id") else None,
        legal_basis=table.choice(LegalBasis, "legal_basis"),
    )


def _ladder(path: str, row: Any) -> Ladder:
    table = Table(path, row, frozenset({"stage", "rungs", *_LADDER}))
    steps = tuple(_rung(f"{path}.rungs[{at}]", step) for at, step in enumerate(table.rows("rungs")))
    if not steps:
        raise PolicyInvalid(f"{path}.rungs", "a ladder has at least one rung")
    for at, step in enumerate(steps):
        if step.number != at + 1:
            raise PolicyInvalid(f"{path}.rungs[{at}].number", "rungs are numbered 1, 2, 3 …")
        if at and step.after <= steps[at - 1].after:
            raise PolicyInvalid(f"{path}.rungs[{at}].after", "each rung comes later than the one below it")
    return Ladder(
        stage=table.required(Stage, "stage"),
        rungs=steps,
        action=table.choice(Action, "action"),
        target_kind=table.choice(TargetKind, "target_kind"),
        sector=table.choice(Sector, "sector"),
        intimate=table.flag("intimate"),
        urgency=table.choice(Urgency, "urgency"),
    )


def _rung(path: str, row: Any) -> Rung:
    table = Table(path, row, _RUNG)
    reach = tuple(member(Reach, f"{path}.reach[{at}]", who) for at, who in enumerate(table.rows("reach")))
    if not reach or len(set(reach)) < len(reach):
        raise PolicyInvalid(f"{path}.reach", "a list of who is called, each once")
    return Rung(table.whole("number"), table.duration("after"), reach)


def _rung_data(rung: Rung) -> dict[str, Any]:
    return {"number": rung.number, "after": written(rung.after), "reach": [str(who) for who in rung.reach]}


def _named(row: LimitOverride | Ladder, fields: tuple[str, ...]) -> dict[str, Any]:
    values = {field: getattr(row, field) for field in fields}
    return {
        field: value if isinstance(value, bool) else str(value) for field, value in values.items() if value is not None
    }


def _refuse_twins(path: str, rows: Sequence[LimitOverride] | Sequence[Ladder]) -> None:
    for at, row in enumerate(rows):
        if row in rows[:at]:
            raise PolicyInvalid(f"{path}[{at}]", "an earlier entry already says what fits here")
