"""One examination: the cases are tried in their order, what must not happen is watched to the end, and each is told."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.base import Message
from service.certification.bench import Bench, NotPlaced
from service.certification.joining import Candidate
from service.certification.lines import Line, Sent
from service.certification.parcels import Parcel
from service.errors import HubError
from workflows import conformance
from workflows.conformance import Case, Verdict
from workflows.terms import Outcome

# What every order of an examination asks for, unless a case is about the amount.
AMOUNT = 10_000
# Each look is a query, and several examinations look at once.
_POLL = 0.2


class Failed(Exception):
    """A case did not end as it must: ``why`` is the last part of a text ``certification.why.<why>``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen: what, when, and the digest of what was sent or answered; never whom it was about."""

    at: datetime
    what: str
    status: int | None = None
    code: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case."""

    case: Case
    verdict: Verdict
    why: str | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is waited, in seconds: for the first delivery, for an answer, and for what must not happen."""

    first: float = 300.0
    answer: float = 30.0
    quiet: float = 3.0


@dataclass(frozen=True, slots=True)
class Watch:
    """An order about which nothing may be said after an instant; ``held_only``: anything but that something is held."""

    order_id: str
    since: datetime
    why: str
    held_only: bool = False


@dataclass
class Trial:
    """A case under way: what was seen, and what has still to be watched."""

    evidence: list[Evidence] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)

    def saw(self, what: str, sent: Sent) -> Sent:
        """Keep what became of a parcel."""
        self.evidence.append(Evidence(sent.at, what, sent.status, sent.code, sent.sha256))
        return sent


Attempt = Callable[["Exam", Trial], Awaitable[None]]


@dataclass
class Exam:
    """What the cases work with: the hub, the candidate, the way to it, and the first order, which later cases use."""

    bench: Bench
    candidate: Candidate
    line: Line
    pace: Pace
    first: Message | None = None
    # What was ordered and has not been lifted yet.
    placed: list[Message] = field(default_factory=list)

    async def place(self, target: Mapping[str, str] | None = None, amount: int = AMOUNT) -> Message:
        """Place an order with the hub and return its message, which goes nowhere by itself."""
        demand = self.candidate.order(target or self.candidate.target, amount)
        message = await self.bench.place(self.candidate.id, demand)
        self.placed.append(message)
        return message

    async def trace(self) -> Message:
        """Place a trace of the test account and return its message; nothing is held by it that had to be lifted."""
        return await self.bench.place(self.candidate.id, self.candidate.trace())

    async def lift(self, message: Message) -> Message:
        """Place the lift of an order and return its message."""
        self.placed = [each for each in self.placed if each is not message]
        return await self.bench.place(self.candidate.id, self.candidate.lift(str(message.body["request_id"])))

    async def tidy(self) -> None:
        """Lift what the examination brought about, so that the test system is as it was; nothing is judged by it."""
        for message in list(self.placed):
            answers = await self.bench.answers(message.subject)
            if any(row["outcome"] is Outcome.EXECUTED for row in answers):
                with contextlib.suppress(NotPlaced, HubError):
                    await self.line.send(Parcel(await self.lift(message)))

    async def final(self, trial: Trial, order_id: str) -> Mapping[str, Any]:
        """Wait for the answer that ends an order. Raises ``Failed`` ``unanswered`` after the pace's time."""
        until = time.monotonic() + self.pace.answer
        while True:
            for row in await self.bench.answers(order_id):
                if row["outcome"] is not Outcome.RECEIVED:
                    what = f"answer.{row['outcome']}"
                    trial.evidence.append(Evidence(row["received_at"], what, sha256=row["body_sha256"]))
                    return row
            if time.monotonic() > until:
                raise Failed("unanswered")
            await asyncio.sleep(_POLL)

    async def said_since(self, order_id: str, since: datetime) -> list[Evidence]:
        """Return what the candidate said about an order after an instant, whether or not the hub took it."""
        calls = self.bench.calls.of(self.candidate.applicant.client_id)
        found = [
            Evidence(call.at, "answer", call.status, call.code, call.sha256)
            for call in calls
            if order_id in call.path and call.at > since
        ]
        if found:
            return found
        return [
            Evidence(row["received_at"], f"answer.{row['outcome']}", sha256=row["body_sha256"])
            for row in await self.bench.answers(order_id)
            if row["received_at"] > since
        ]

    async def obeyed(self, trial: Trial, parcel: Parcel) -> Mapping[str, Any]:
        """Send a parcel that must be taken, and return the answer that ends its order. Raises ``Failed``."""
        if not trial.saw("sent", await self.line.send(parcel)).is_taken:
            raise Failed("not_taken")
        return await self.final(trial, parcel.message.subject)

    async def held_since(self, order_id: str, since: datetime) -> list[Evidence]:
        """Return the answers after an instant that say that something is held or blocked."""
        return [
            Evidence(row["received_at"], f"answer.{row['outcome']}", sha256=row["body_sha256"])
            for row in await self.bench.answers(order_id)
            if row["received_at"] > since and row["outcome"] is Outcome.EXECUTED and row["amount_held"] != 0
        ]

    def ignored(self, trial: Trial, message: Message, sent: Sent, why: str, *, held_only: bool = False) -> None:
        """Watch that nothing follows from a parcel, or nothing that is held."""
        trial.watches.append(Watch(message.subject, sent.at, why, held_only))


async def examine(exam: Exam, attempts: Mapping[Case, Attempt], tell: Callable[[Result], None]) -> Sequence[Result]:
    """Try all cases of the candidate's profile and return what became of each; ``tell`` hears it at once.

    A case that watches is told at the end, when nothing has followed for a while.
    """
    applicant = exam.candidate.applicant
    found: dict[Case, Result] = {}
    watching: dict[Case, Trial] = {}
    wanted = conformance.cases(applicant.profile, applicant.sector)

    def decide(case: Case, trial: Trial, why: str | None, *, reached: bool = True) -> None:
        ended = Verdict.FAILED if why else Verdict.PASSED
        found[case] = Result(case, ended if reached else Verdict.NOT_REACHED, why, tuple(trial.evidence))
        tell(found[case])

    def is_reached(case: Case) -> bool:
        return conformance.is_reached(case, {each: result.verdict for each, result in found.items()})

    for case in wanted:
        trial = Trial()
        if case is Case.ANSWERS_ACCEPTED:
            continue
        if not is_reached(case):
            decide(case, trial, None, reached=False)
            continue
        try:
            await attempts[case](exam, trial)
        except Failed as failed:
            decide(case, trial, failed.why)
            continue
        if trial.watches:
            watching[case] = trial
        else:
            decide(case, trial, None)
    await asyncio.sleep(exam.pace.quiet)
    for case, trial in watching.items():
        decide(case, trial, await _watched(exam, trial))
    trial = Trial()
    reached = is_reached(Case.ANSWERS_ACCEPTED)
    decide(Case.ANSWERS_ACCEPTED, trial, _refused(exam, trial) if reached else None, reached=reached)
    return [found[case] for case in wanted]


async def _watched(exam: Exam, trial: Trial) -> str | None:
    for watch in trial.watches:
        seen = exam.held_since if watch.held_only else exam.said_since
        said = await seen(watch.order_id, watch.since)
        if said:
            trial.evidence.extend(said)
            return watch.why
    return None


def _refused(exam: Exam, trial: Trial) -> str | None:
    """Look at every answer that came: one that the hub refused is signed by a stranger, or about a stranger's order."""
    calls = exam.bench.calls.of(exam.candidate.applicant.client_id)
    refused = [call for call in calls if call.is_refused]
    for call in refused or calls[-1:]:
        trial.evidence.append(Evidence(call.at, "answer", call.status, call.code, call.sha256))
    if refused:
        return "refused_answer"
    return None if calls else "unanswered"
