"""What "executed" does: a hold that stands, money that went back, what was disclosed or traced, or a measure taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service import errors
from service.actions import answering
from service.actions.answering import Answering, Verdict
from service.engine import closing, lifting, settling
from workflows import amounts, states, trace
from workflows.terms import Action, Event, Fact, OrderState, Stage


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in whole ₫; of what was told of a person ``told`` says how much: never what, or who.

    What does not belong to the order is None.
    """

    held: int | None = None
    returned: int | None = None
    told: Mapping[str, int | bool] | None = None

    @property
    def amount(self) -> int | None:
        """The money that was held or sent back."""
        return self.returned if self.held is None else self.held


def read(given: Answering) -> Done:
    """Return what "executed" says; raise ``InvalidInput`` naming the member that this order cannot be answered with."""
    action: Action = given.order["action"]
    data, moved = _data(given, action), _moved(given, action)
    return Done(_held(given, action), _returned(given, action), moved if data is None else data)


async def executed(given: Answering, done: Done) -> Verdict:
    """Take an execution: the first one, one that says more, or one that comes too late.

    Raise ``Conflict`` for data that nobody asks for any more: they are not kept.
    """
    order, state = given.order, given.order["state"]
    asked = order["amount"]
    if done.told is not None and (state, Event.EXECUTE) not in states.MOVES:
        raise errors.Conflict("trace.over") if order["action"] is Action.TRACE else errors.Conflict("disclosure.over")
    if state in states.GONE:
        return await _too_late(given, done)
    before = order["amount_returned"] if order["amount_held"] is None else order["amount_held"]
    if state is OrderState.EXECUTED and done.told is None:
        if done.amount == before:
            return await _confirmed(given, done) if given.is_to_a_question else Verdict(state)
        if done.amount is None or done.amount < (before or 0):
            return await answering.contradicted(given)
    if (state, Event.EXECUTE) not in states.MOVES:
        return await answering.contradicted(given)
    moved = states.advance(state, Event.EXECUTE)
    await answering.move(given, moved, amount_held=done.held, amount_returned=done.returned)
    counted: dict[str, Any] = dict(done.told or {})
    partly = amounts.is_partly(moved, asked, done.amount)
    verdict = await answering.tell(
        given,
        Fact.ORDER_PARTLY_EXECUTED if partly else Fact.ORDER_EXECUTED,
        OrderState.EXECUTED,
        amount_held=done.held,
        amount_returned=done.returned,
        amount_asked=asked,
        **counted,
    )
    if order["action"] is Action.FREEZE:
        # The end of the hold is the hub's to keep.
        await answering.meet(given, settling.PARTICIPANT_STAGES, (Stage.ACKNOWLEDGEMENT_END,))
    else:
        await answering.finish(given)
    await closing.close_if_done(given.conn, given.hub, given.log, given.dossier)
    return verdict


async def _confirmed(given: Answering, done: Done) -> Verdict:
    """Somebody asked what is held now: it is what was held before."""
    await answering.move(given, given.order["state"])
    return await answering.tell(given, Fact.HOLD_CONFIRMED, given.order["state"], amount_held=done.held)


async def _too_late(given: Answering, done: Done) -> Verdict:
    """Undo what a participant did after the order was gone: the person must not stay frozen."""
    order = given.order
    if order["action"] is Action.EXTEND:
        return Verdict(order["state"])  # it moved the end of a hold, which the hub lifts at its own end
    if order["action"] is Action.RECALL:
        return await answering.contradicted(given)  # money that has gone back cannot be called back: somebody looks
    await answering.move(given, order["state"], amount_held=done.held)
    answering.record(given, Fact.LATE_ANSWER_LIFTED)
    await lifting.send_lifts(given.conn, given.hub, given.log, given.dossier, [order], "late_answer")
    return Verdict(order["state"])


def _held(given: Answering, action: Action) -> int | None:
    order, amount = given.order, given.body.amount_held
    if action is not Action.FREEZE:
        if amount is not None:
            raise errors.InvalidInput.of("/amount_held", "amount_held.not_for_action")
        return None
    if amount is None:
        if order["amount"] is None:
            return None  # the whole account: what it holds is the bank's to know
        raise errors.InvalidInput.of("/amount_held", "field.missing")
    if order["amount"] is not None and amount.minor_units > order["amount"]:
        raise errors.InvalidInput.of("/amount_held", "amount_held.more_than_asked", asked=str(order["amount"]))
    return amount.minor_units


def _returned(given: Answering, action: Action) -> int | None:
    asked, amount = given.order["amount"], given.body.amount_returned
    if action is not Action.RECALL:
        if amount is not None:
            raise errors.InvalidInput.of("/amount_returned", "amount_returned.not_for_action")
        return None
    if amount is None:
        raise errors.InvalidInput.of("/amount_returned", "field.missing")
    if amount.minor_units > asked:
        raise errors.InvalidInput.of("/amount_returned", "amount_returned.more_than_asked", asked=str(asked))
    return amount.minor_units


def _data(given: Answering, action: Action) -> Mapping[str, int] | None:
    disclosed = given.body.disclosed
    if action is not Action.DISCLOSE:
        if disclosed is not None:
            raise errors.InvalidInput.of("/disclosed", "disclosed.not_for_action")
        return None
    if disclosed is None:
        raise errors.InvalidInput.of("/disclosed", "field.missing")
    for name in type(disclosed).model_fields:
        if name in disclosed.model_fields_set and name not in given.dossier.request["asked"]:
            raise errors.InvalidInput.of(f"/disclosed/{name}", "disclosed.not_asked")
    return {"data_given": len(disclosed.given), "data_asked": len(given.dossier.request["asked"])}


def _moved(given: Answering, action: Action) -> Mapping[str, int | bool] | None:
    traced = given.body.traced
    if action is not Action.TRACE:
        if traced is not None:
            raise errors.InvalidInput.of("/traced", "traced.not_for_action")
        return None
    if traced is None:
        raise errors.InvalidInput.of("/traced", "field.missing")
    request = given.dossier.request
    for place, each in enumerate(traced.movements):
        if not trace.is_inside(each.at, request["window_since"], request["window_until"]):
            raise errors.InvalidInput.of(f"/traced/movements/{place}/at", "traced.outside_window")
    if not trace.is_largest_first([each.amount.minor_units for each in traced.movements]):
        raise errors.InvalidInput.of("/traced/movements", "traced.not_largest_first")
    return {"movements_given": len(traced.movements), "has_more": traced.has_more}
