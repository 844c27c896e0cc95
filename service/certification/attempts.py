"""The cases as deeds: what is sent, and what must be seen afterwards; their order is in ``workflows.conformance``."""

import asyncio
import time
from collections.abc import Mapping

from adapters import signing
from adapters.base import Message
from service import clock
from service.certification import parcels
from service.certification.exam import AMOUNT, Attempt, Exam, Failed, Trial
from service.certification.lines import Sent
from service.certification.parcels import Parcel
from workflows.conformance import Case
from workflows.terms import Outcome

# Far above what any test account holds, and below what an officer's own cap would stop.
TOO_MUCH = 900_000_000_000_000
# Before the next look whether somebody is there, in seconds.
_AGAIN = 0.2
_DONE = frozenset({Outcome.EXECUTED, Outcome.LIFTED})
_NOBODY_THERE = ("connect.", "name.")


async def _delivery_taken(exam: Exam, trial: Trial) -> None:
    """Wait until somebody is there; the first call that is answered counts."""
    message = exam.first = await exam.place()
    until = time.monotonic() + exam.pace.first
    while True:
        sent = await exam.line.send(Parcel(message))
        if sent.is_taken or not (sent.code or "").startswith(_NOBODY_THERE) or time.monotonic() > until:
            break
        await asyncio.sleep(_AGAIN)
    if not trial.saw("sent", sent).is_taken:
        raise Failed("not_taken")


async def _answer_in_time(exam: Exam, trial: Trial) -> None:
    await exam.final(trial, _first(exam).subject)


async def _order_executed(exam: Exam, trial: Trial) -> None:
    answer = await exam.final(trial, _first(exam).subject)
    if answer["outcome"] is not Outcome.EXECUTED:
        raise Failed("not_executed")
    if exam.candidate.is_money and answer["amount_held"] != AMOUNT:
        raise Failed("other_amount")


async def _duplicate_once(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    await exam.obeyed(trial, Parcel(message))
    # A moment later, so that the call is a new one although the message is the same.
    sent = trial.saw("sent_again", await exam.line.send(Parcel(message, shift=1.0)))
    if not sent.is_taken:
        raise Failed("not_taken")
    exam.ignored(trial, message, sent, "acted_again")


async def _replay_once(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    sent = trial.saw("sent", await exam.line.send(Parcel(message)))
    if not sent.is_taken:
        raise Failed("not_taken")
    await exam.final(trial, message.subject)
    again = trial.saw("replayed", await exam.line.repeat(sent))
    exam.ignored(trial, message, again, "acted_again")


async def _caller_forged(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    _refused(exam, trial, message, await exam.line.send(Parcel(message, secrets=(signing.new_secret(),))))


async def _timestamp_old(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    _refused(exam, trial, message, await exam.line.send(Parcel(message, shift=parcels.OLD)))


async def _order_forged(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    sent = trial.saw("sent", await exam.line.send(parcels.forged(message, exam.bench.key)))
    exam.ignored(trial, message, sent, "acted")


async def _order_altered(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    sent = trial.saw("sent", await exam.line.send(parcels.altered(message)))
    exam.ignored(trial, message, sent, "acted")


async def _foreign(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    _refused(exam, trial, message, await exam.line.send(Parcel(message, foreign=True)))


async def _secret_rotated(exam: Exam, trial: Trial) -> None:
    """The newest secret comes first, and it is the one that the receiver does not know yet."""
    message, endpoint = await exam.place(), exam.candidate.endpoint
    assert endpoint is not None, "whoever is called has an endpoint"
    _executed(await exam.obeyed(trial, Parcel(message, secrets=(signing.new_secret(), *endpoint.secrets))))


async def _key_rotated(exam: Exam, trial: Trial) -> None:
    key = parcels.fresh_key(clock.utc_now())
    await exam.bench.publish(key)
    message = await exam.place()
    _executed(await exam.obeyed(trial, Parcel(message, hand=parcels.hand(key))))


async def _member_unknown(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    _executed(await exam.obeyed(trial, parcels.with_member(message, exam.bench.key)))


async def _type_unknown(exam: Exam, trial: Trial) -> None:
    sent = await exam.line.send(parcels.of_unknown_type(_first(exam)))
    if not trial.saw("sent", sent).is_taken:
        raise Failed("not_taken")


async def _lift_executed(exam: Exam, trial: Trial) -> None:
    lift = await exam.lift(_first(exam))
    answer = await exam.obeyed(trial, Parcel(lift))
    if answer["outcome"] not in _DONE:
        raise Failed("not_executed")


async def _lift_first(exam: Exam, trial: Trial) -> None:
    """The hub believes that the order arrived long ago; on the way, its lift overtook it."""
    message = await exam.place()
    lift = await exam.lift(message)
    await exam.obeyed(trial, Parcel(lift))
    sent = trial.saw("overtaken", await exam.line.send(Parcel(message)))
    if not sent.is_taken:
        raise Failed("not_taken")
    exam.ignored(trial, message, sent, "held_after_lift", held_only=True)


async def _amount_partial(exam: Exam, trial: Trial) -> None:
    message = await exam.place(amount=TOO_MUCH)
    answer = await exam.obeyed(trial, Parcel(message))
    if answer["outcome"] is Outcome.EXECUTED and (answer["amount_held"] or 0) >= TOO_MUCH:
        raise Failed("claims_all")


async def _deadline_late(exam: Exam, trial: Trial) -> None:
    message = await exam.place()
    await exam.obeyed(trial, parcels.late(message, exam.bench.key))


async def _target_missing(exam: Exam, trial: Trial) -> None:
    message = await exam.place(exam.candidate.missing)
    answer = await exam.obeyed(trial, Parcel(message))
    if answer["outcome"] not in (Outcome.REFUSED, Outcome.NOT_MINE):
        raise Failed("executed_missing")


async def _trace_answered(exam: Exam, trial: Trial) -> None:
    """Whether what it answers lies in the window and comes in order is seen by the hub, which takes nothing else."""
    _executed(await exam.obeyed(trial, Parcel(await exam.trace())))


ATTEMPTS: Mapping[Case, Attempt] = {
    Case.DELIVERY_TAKEN: _delivery_taken,
    Case.ANSWER_IN_TIME: _answer_in_time,
    Case.ORDER_EXECUTED: _order_executed,
    Case.DUPLICATE_ONCE: _duplicate_once,
    Case.REPLAY_ONCE: _replay_once,
    Case.CALLER_FORGED: _caller_forged,
    Case.TIMESTAMP_OLD: _timestamp_old,
    Case.ORDER_FORGED: _order_forged,
    Case.ORDER_ALTERED: _order_altered,
    Case.NAMESPACE_WRONG: _foreign,
    Case.FIELD_UNKNOWN: _foreign,
    Case.SECRET_ROTATED: _secret_rotated,
    Case.KEY_ROTATED: _key_rotated,
    Case.MEMBER_UNKNOWN: _member_unknown,
    Case.TYPE_UNKNOWN: _type_unknown,
    Case.LIFT_EXECUTED: _lift_executed,
    Case.LIFT_FIRST: _lift_first,
    Case.AMOUNT_PARTIAL: _amount_partial,
    Case.DEADLINE_LATE: _deadline_late,
    Case.TARGET_MISSING: _target_missing,
    Case.TRACE_ANSWERED: _trace_answered,
}


def _first(exam: Exam) -> Message:
    assert exam.first is not None, "the first case places it"
    return exam.first


def _refused(exam: Exam, trial: Trial, message: Message, sent: Sent) -> None:
    trial.saw("sent", sent)
    if not sent.is_refused:
        raise Failed("not_refused")
    exam.ignored(trial, message, sent, "acted")


def _executed(answer: Mapping[str, object]) -> None:
    if answer["outcome"] is not Outcome.EXECUTED:
        raise Failed("not_executed")
