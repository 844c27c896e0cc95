"""What each kind of answer does to an order, its clocks and its request; decided by ``workflows.states``."""

import sqlalchemy as sa

from service import errors
from service.actions import answering, lift_answers
from service.actions.answering import Answering, Verdict
from service.engine import closing, lifting, placing, settling, timers
from service.models import Order
from workflows import deadlines, states
from workflows.terms import Action, Event, Fact, OrderState, Outcome, RefusalCode, Stage, SubjectKind, TaskKind

_ORDERS = Order.__table__  # type: ignore[attr-defined]
_GONE = frozenset({OrderState.LAPSED, OrderState.WITHDRAWN})


def renews(given: Answering) -> bool:
    """Tell whether an answer that was given before means something anew: "received", said again after it expired."""
    return given.body.outcome is Outcome.RECEIVED and given.order["state"] is OrderState.ACKNOWLEDGED


async def take(given: Answering) -> Verdict:
    """Apply the answer and return the order's new state."""
    outcome = given.body.outcome
    if outcome is Outcome.RECEIVED:
        return await _received(given)
    if given.order["action"] is Action.LIFT:
        return await lift_answers.about_a_lift(given)
    match outcome:
        case Outcome.EXECUTED:
            return await _executed(given)
        case Outcome.REFUSED:
            return await lift_answers.refused(given, given.body.refusal_code or RefusalCode.OTHER)
        case Outcome.NOT_MINE:
            return await _not_mine(given)
        case _:
            return await lift_answers.lifted(given)


async def _received(given: Answering) -> Verdict:
    order, log = given.order, given.log
    if (order["state"], Event.ACKNOWLEDGE) in states.MOVES:
        await answering.move(given, states.advance(order["state"], Event.ACKNOWLEDGE))
    elif order["state"] is not OrderState.ACKNOWLEDGED:
        return Verdict(order["state"])  # late, and harmless: a final answer has overtaken it
    await answering.meet(given, (Stage.RECEIPT, Stage.ACKNOWLEDGE))
    await settling.cancel(given.conn, log.at, [order["id"]], (Stage.ACKNOWLEDGEMENT_END,))
    within = deadlines.within(
        Stage.ACKNOWLEDGEMENT_END,
        deadlines.ACKNOWLEDGEMENT_VALID_FOR[order["action"]],
        action=order["action"],
        participant_id=order["participant_id"],
        legal_basis=given.dossier.request["legal_basis"],
        overrides=given.dossier.policy.limit_overrides,
    )
    await timers.start(
        given.conn,
        [
            timers.Timer(
                tenant=order["tenant"],
                subject_kind=SubjectKind.ORDER,
                subject_id=order["id"],
                chain=given.dossier.chain,
                stage=Stage.ACKNOWLEDGEMENT_END,
                started_at=log.at,
                due_at=log.at + within,
                request_id=order["request_id"],
                participant_id=order["participant_id"],
                generation=await timers.next_generation(given.conn, order["id"], Stage.ACKNOWLEDGEMENT_END),
            )
        ],
    )
    return await answering.tell(given, Fact.ORDER_ACKNOWLEDGED, OrderState.ACKNOWLEDGED)


async def _executed(given: Answering) -> Verdict:
    order, state = given.order, given.order["state"]
    held, asked = _held(given), order["amount"]
    if state in _GONE:
        return await _too_late(given)
    if state is OrderState.EXECUTED and held is not None and held == order["amount_held"]:
        return Verdict(state)
    smaller = state is OrderState.EXECUTED and (held is None or held < (order["amount_held"] or 0))
    if smaller or (state, Event.EXECUTE) not in states.MOVES:
        return await answering.contradicted(given)
    await answering.move(given, states.advance(state, Event.EXECUTE), amount_held=held)
    await answering.meet(given, answering.PARTICIPANT_STAGES)
    partly = asked is not None and held is not None and held < asked
    verdict = await answering.tell(
        given,
        Fact.ORDER_PARTLY_EXECUTED if partly else Fact.ORDER_EXECUTED,
        OrderState.EXECUTED,
        amount_held=held,
        amount_asked=asked,
    )
    if given.order["action"] is not Action.FREEZE:
        # Final: no hold is left behind whose end the hub would have to keep.
        await answering.finish(given)
    await closing.close_if_done(given.conn, given.hub, given.log, given.dossier)
    return verdict


def _held(given: Answering) -> int | None:
    order, amount = given.order, given.body.amount_held
    if order["action"] is not Action.FREEZE:
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


async def _too_late(given: Answering) -> Verdict:
    """Undo what a participant did after the order was gone: the person must not stay frozen."""
    order = given.order
    await answering.move(given, order["state"], amount_held=_held(given))
    answering.record(given, Fact.LATE_ANSWER_LIFTED)
    if order["action"] is Action.FREEZE or order["ends_at"] is not None:
        answered = {**order, "answered_at": given.log.at}
        await lifting.send_lifts(given.conn, given.hub, given.log, given.dossier, [answered], "late_answer")
    return Verdict(order["state"])


async def _not_mine(given: Answering) -> Verdict:
    order, state = given.order, given.order["state"]
    if given.ported_to is None or await _was_there(given):
        verdict = await lift_answers.refused(given, RefusalCode.NOT_MINE)
        if state is not OrderState.REFUSED and verdict.state is OrderState.REFUSED:
            await answering.open_task(given, TaskKind.NOT_MINE)
        return verdict
    if state is OrderState.REROUTED:
        return Verdict(state)
    if (state, Event.REROUTE) not in states.MOVES:
        return await answering.contradicted(given)
    await answering.move(given, states.advance(state, Event.REROUTE))
    await answering.finish(given)
    verdict = await answering.tell(given, Fact.ORDER_REROUTED, OrderState.REROUTED)
    onward = placing.Placement(given.ported_to, order["target_id"], rerouted_from=order["id"])
    await placing.place(given.conn, given.hub, given.log, given.actor, given.dossier, [onward])
    return verdict


async def _was_there(given: Answering) -> bool:
    """Tell whether the target already was at the participant that is named: two telecoms must not play ping-pong."""
    query = sa.select(_ORDERS.c.id).where(
        _ORDERS.c.request_id == given.order["request_id"],
        _ORDERS.c.target_id == given.order["target_id"],
        _ORDERS.c.participant_id == given.ported_to,
    )
    return (await given.conn.execute(query)).first() is not None
