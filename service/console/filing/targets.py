"""What the pasted text holds for a request, and whom the officer is suggested for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.console.filing import body, steps
from service.queries import board
from service.queries.registry import Known
from service.schemas import targets as schemas
from workflows import finding, routing, suggesting
from workflows.finding import Found, Reading
from workflows.suggesting import Confidence, Suggestion
from workflows.terms import MONEY_TARGETS, Action, Measure

# So many of those who are suggested are named; of "every provider" the number says more.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Fits:
    """What was found that this kind of request can be about, and what else stands in the text."""

    targets: tuple[Found, ...]
    others: tuple[Found, ...]
    sums: tuple[int, ...]


def read(answers: body.Answers, known: Known, day: date) -> Fits:
    """Read the text among the answers."""
    action = steps.action_of(answers)
    text = answers.get("text", "")
    found = finding.read(text, known.directory, day, is_host) if text else Reading((), ())
    kinds = frozenset(steps.kinds(action)) if action else frozenset()
    fitting = tuple(each for each in found.targets if each.kind in kinds)
    return Fits(fitting, tuple(each for each in found.targets if each.kind not in kinds), found.sums)


def is_host(name: str) -> bool:
    """Tell whether a name with dots can be a host's."""
    try:
        schemas.canonical_host(name)
    except PydanticCustomError:
        return False
    return True


def taken(answers: Mapping[str, str], fits: Fits, picked: list[int], names: Mapping[str, str]) -> dict[str, str]:
    """Return the answers with what was picked among the found in place of the targets of before.

    A name that is no more than the nearest of several is shown beside the field and not written into it.
    """
    kept = {name: value for name, value in answers.items() if not name.startswith("targets.")}
    for place, index in enumerate(picked):
        each = fits.targets[index]
        at = ""
        if each.suggestion and body.asks_where(each.kind) and each.suggestion.confidence is not Confidence.LOW:
            at = names.get(each.suggestion.participants[0], each.suggestion.participants[0])
        said = {"kind": str(each.kind), "value": each.value, "at": at, "holder_name": each.holder}
        said |= {"sha256": each.sha256} if each.sha256 else {}
        kept.update({f"targets.{place}.{name}": value for name, value in said.items()})
    return kept


def suggested(answers: body.Answers, fits: Fits, known: Known, day: date, place: int) -> Suggestion | None:
    """Return who is suggested for one of the targets as it is written now."""
    kind = body.kind_of(answers, place)
    if kind is None:
        return None
    value = body.value_of(kind, answers.get(f"targets.{place}.value", ""))
    found = next((each for each in fits.targets if (each.kind, each.value) == (kind, value)), None)
    if found and found.suggestion and kind in MONEY_TARGETS:
        return found.suggestion
    # Where a domain is to be suspended, its registrar can; what else is suggested does not hang on the measure.
    measure = Measure(answers["measure"]) if answers.get("measure") in set(Measure) else None
    return suggesting.by_route(routing.RoutingTarget(kind, value), known.directory, day, measure) if value else None


async def short_names(conn: AsyncConnection, ids: set[str]) -> dict[str, str]:
    """Return how participants are called."""
    return {name: said.short for name, said in (await board.names(conn, ids)).items()}


def ids_of(suggestions: list[Suggestion | None]) -> set[str]:
    """Return the participants whose names a page needs."""
    return {each for one in suggestions if one for each in one.participants[:_NAMED]}


def holders(known: Known, action: Action) -> set[str]:
    """Return all who can hold what somebody must say the holder of: for the list behind the field."""
    wanted = body.sectors(action)
    return {
        member.id
        for member in known.directory.participants.values()
        if member.sector in wanted and member.status not in routing.CLOSED_STATUSES
    }
