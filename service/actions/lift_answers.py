"""Answers by which a hold ends: "lifted" on an order that lapsed, and whatever is said to a lift itself."""

import sqlalchemy as sa

from service.actions import answering
from service.actions.answering import Answering, Verdict
from service.engine import closing, settling
from service.engine.dossier import Dossier, Row
from service.models import Order, table_of
from workflows import states
from workflows.terms import ONCE, Event, Fact, OrderState, Outcome, RefusalCode, TaskKind

_ORDERS = table_of(Order)


async def lifted(given: Answering) -> Verdict:
    """The participant says that the hold is gone: true only if somebody asked for that."""
    order, state = given.order, given.order["state"]
    if state is OrderState.LIFTED:
        return Verdict(state)
    if state is OrderState.WITHDRAWN and order["lift_ordered"] and not _is_awaited(order):
        return Verdict(state)
    if not order["lift_ordered"]:
        return await answering.contradicted(given)
    return await gone(given)


def _is_awaited(order: Row) -> bool:
    """Tell whether the hub waits to hear that what was done after a withdrawal is undone."""
    return order["letting_go_since"] is not None


async def gone(given: Answering) -> Verdict:
    """The participant confirms that its hold is gone."""
    state = given.order["state"]
    if (state, Event.LIFT) in states.MOVES:
        state = states.advance(state, Event.LIFT)
    elif state is not OrderState.WITHDRAWN:
        return await answering.contradicted(given)
    await answering.move(given, state)
    its = sa.update(_ORDERS).where(_ORDERS.c.id == given.order["id"])
    await given.conn.execute(its.values(letting_go_since=None))
    verdict = await answering.tell(given, Fact.ORDER_LIFTED, state)
    await answering.finish(given)
    await closing.close_if_done(given.conn, given.hub, given.log, given.dossier)
    return verdict


async def refused(given: Answering, code: RefusalCode) -> Verdict:
    """The participant will not, or cannot, do what the order asks."""
    state = given.order["state"]
    if state is OrderState.LAPSED and given.order["action"] in ONCE:
        return Verdict(state, refusal_code=code)
    if state is OrderState.LAPSED:
        return await gone(given)  # it holds nothing, which is all that a lapsed order still wants to hear
    if state is OrderState.WITHDRAWN and _is_awaited(given.order):
        return await gone(given)
    if state in {OrderState.REFUSED, OrderState.WITHDRAWN}:
        return Verdict(state, refusal_code=code)
    if (state, Event.REFUSE) not in states.MOVES:
        return await answering.contradicted(given, code)
    await answering.move(given, states.advance(state, Event.REFUSE))
    verdict = await answering.tell(given, Fact.ORDER_REFUSED, OrderState.REFUSED, refusal_code=code)
    await answering.finish(given)
    await closing.close_if_done(given.conn, given.hub, given.log, given.dossier)
    return verdict


async def about_a_lift(given: Answering) -> Verdict:
    """An answer to a lift: "lifted" (or "executed") ends both orders, anything else is for a person to look at."""
    order, original, found = given.order, given.original, given.original_dossier
    assert original is not None and found is not None
    state = order["state"]
    if given.body.outcome in {Outcome.LIFTED, Outcome.EXECUTED}:
        if state is OrderState.EXECUTED:
            return Verdict(state)
        if (state, Event.EXECUTE) not in states.MOVES:
            return await answering.contradicted(given)
        await answering.move(given, states.advance(state, Event.EXECUTE))
        verdict = await answering.tell(given, Fact.ORDER_LIFTED, OrderState.EXECUTED)
        await answering.finish(given)
        if (original["state"], Event.LIFT) in states.MOVES:
            await _move_original(given, original, found)
        await closing.close_if_done(given.conn, given.hub, given.log, given.dossier)
        await closing.close_if_done(given.conn, given.hub, given.log, found)
        return verdict
    # A bank that refuses to let go, or does not know the hold, keeps an innocent person frozen until somebody calls.
    verdict = await refused(given, given.body.refusal_code or RefusalCode.NOT_MINE)
    if not verdict.contradicts and state is not OrderState.REFUSED:
        await answering.open_task(given, TaskKind.CONTRADICTING_ANSWER)
    return verdict


async def _move_original(given: Answering, original: Row, found: Dossier) -> None:
    state = states.advance(original["state"], Event.LIFT)
    await given.conn.execute(
        sa.update(_ORDERS)
        .where(_ORDERS.c.id == original["id"])
        .values(state=state, changed_at=given.log.at, letting_go_since=None)
    )
    await settling.cancel(given.conn, given.log.at, [original["id"]])
    given.log.record(
        found.chain,
        Fact.ORDER_LIFTED,
        given.actor,
        found.tenant,
        request_id=found.id,
        order_id=str(original["id"]),
        participant_id=original["participant_id"],
        by_request_id=str(given.dossier.id),
    )
