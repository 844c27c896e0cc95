"""What each kind of answer does to an order, its clocks and its request; decided by ``workflows.states``."""

from datetime import datetime

import sqlalchemy as sa

from service import errors
from service.actions import answering, executions, lift_answers
from service.actions.answering import Answering, Verdict
from service.engine import overlaps, owing, placing, settling, timers
from service.models import Order, table_of
from workflows import deadlines, recall, states
from workflows.terms import Action, Event, Fact, OrderState, Outcome, RefusalCode, Stage, SubjectKind, TaskKind

_ORDERS = table_of(Order)


async def means_something_new(given: Answering, contradicted: bool, said_at: datetime) -> bool:
    """Tell whether an answer whose very words were said before, at ``said_at``, is more than a repetition.

    "Received" is after the first one expired. Anything else is when the order has moved since: "lifted", said too
    early, contradicted; said again once the hold has ended it confirms the lift. An execution that was taken is only
    where somebody has asked since what is held: a repetition that comes late must not look like one more.
    """
    order, outcome = given.order, given.body.outcome
    if outcome is Outcome.RECEIVED and order["state"] is OrderState.ACKNOWLEDGED:
        return not await settling.is_pending(given.conn, order["id"], Stage.ACKNOWLEDGEMENT_END)
    if outcome is Outcome.EXECUTED and given.is_to_a_question:
        return True
    moved: bool = order["changed_at"] > said_at
    return moved and (contradicted or outcome is not Outcome.EXECUTED)


async def take(given: Answering) -> Verdict:
    """Apply the answer and return the order's new state.

    Raise ``InvalidInput`` for an amount, a datum or a code that this order cannot be answered with, ``Conflict`` for
    data that nobody asks for any more.
    """
    outcome = given.body.outcome
    done = executions.read(given) if outcome is Outcome.EXECUTED else None
    if given.body.refusal_code in recall.OF_THE_PAYMENT and given.order["action"] is not Action.RECALL:
        raise errors.InvalidInput.of("/refusal_code", "refusal_code.not_for_action")
    if outcome is Outcome.RECEIVED:
        return await _received(given)
    if given.order["action"] is Action.LIFT:
        return await lift_answers.about_a_lift(given)
    if done is not None:
        return await executions.executed(given, done)
    match outcome:
        case Outcome.REFUSED:
            return await lift_answers.refused(given, given.body.refusal_code or RefusalCode.OTHER)
        case Outcome.NOT_MINE:
            return await _not_mine(given)
        case _:
            return await lift_answers.lifted(given)


async def _received(given: Answering) -> Verdict:
    order, log = given.order, given.log
    if order["letting_go_since"] is not None:
        # It has the lift; until it confirms that nothing is held any more the execute clock goes on.
        await answering.move(given, order["state"])
        verdict = await answering.tell(given, Fact.ORDER_ACKNOWLEDGED, order["state"])
        await answering.meet(given, (Stage.RECEIPT, Stage.ACKNOWLEDGE))
        await owing.renew(given.conn, [order["id"]])
        return verdict
    if (order["state"], Event.ACKNOWLEDGE) in states.MOVES:
        await answering.move(given, states.advance(order["state"], Event.ACKNOWLEDGE))
    elif order["state"] is not OrderState.ACKNOWLEDGED:
        return Verdict(order["state"])  # late, and harmless: a final answer has overtaken it
    verdict = await answering.tell(given, Fact.ORDER_ACKNOWLEDGED, OrderState.ACKNOWLEDGED)
    await answering.meet(given, (Stage.RECEIPT, Stage.ACKNOWLEDGE), (Stage.ACKNOWLEDGEMENT_END,))
    valid_for = deadlines.ACKNOWLEDGEMENT_VALID_FOR[order["action"]]
    within = given.dossier.within(Stage.ACKNOWLEDGEMENT_END, valid_for, order["participant_id"])
    generations = await timers.next_generations(given.conn, [order["id"]], [Stage.ACKNOWLEDGEMENT_END])
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
                generation=generations[order["id"], Stage.ACKNOWLEDGEMENT_END],
            )
        ],
    )
    return verdict


async def _not_mine(given: Answering) -> Verdict:
    state, placement = given.order["state"], given.onward.placement
    if state is OrderState.REROUTED and await _went_there(given):
        return Verdict(state)
    # Only a hold or a measure can go on; what stands at this participant is not prolonged at another one.
    stays = placement is None or given.order["action"] is Action.EXTEND or await _was_there(given)
    if placement is None or stays or state in states.GONE:
        verdict = await lift_answers.refused(given, RefusalCode.NOT_MINE)
        if state is not OrderState.REFUSED and verdict.state is OrderState.REFUSED:
            await answering.open_task(given, TaskKind.NOT_MINE)
        return verdict
    if (state, Event.REROUTE) not in states.MOVES:
        return await answering.contradicted(given)
    await answering.move(given, states.advance(state, Event.REROUTE))
    verdict = await answering.tell(given, Fact.ORDER_REROUTED, OrderState.REROUTED)
    await answering.finish(given)
    overlaps.record(given.log, given.hub, given.dossier, given.onward.overlaps)
    await placing.place(given.conn, given.hub, given.log, given.actor, given.dossier, [placement])
    return verdict


async def _was_there(given: Answering) -> bool:
    """Tell whether the target already was at the participant that is named: two telecoms must not play ping-pong."""
    query = sa.select(_ORDERS.c.id).where(
        _ORDERS.c.request_id == given.order["request_id"],
        _ORDERS.c.target_id == given.order["target_id"],
        _ORDERS.c.participant_id == given.ported_to,
    )
    return (await given.conn.execute(query)).first() is not None


async def _went_there(given: Answering) -> bool:
    """Tell whether "not mine" says nothing new of an order that went on: no destination, or the same one."""
    if given.ported_to is None:
        return True
    query = sa.select(_ORDERS.c.participant_id).where(_ORDERS.c.rerouted_from_id == given.order["id"])
    return (await given.conn.execute(query)).scalar_one_or_none() == given.ported_to
