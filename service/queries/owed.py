"""Which clocks count for an order: those of what its participant owes now, as ``workflows.states`` says it."""

from typing import Any

import sqlalchemy as sa

from service.models import Deadline, Escalation, Order, table_of
from workflows import states
from workflows.terms import DeadlineState, SubjectKind

_DEADLINES = table_of(Deadline)
_ESCALATIONS = table_of(Escalation)
_ORDERS = table_of(Order)


def is_open() -> sa.ColumnElement[bool]:
    """Tell of an order whether its participant still owes something: an answer, or the word that it has let go.

    Said as the partial indexes of ``orders`` say it: with parameters, neither database proves that they may be used.
    """
    waiting = sa.bindparam("open_states", states.UNANSWERED, _ORDERS.c.state.type, expanding=True, literal_execute=True)
    return sa.or_(_ORDERS.c.state.in_(waiting), _ORDERS.c.letting_go_since.is_not(None))


def counts(state: sa.ColumnElement[Any], letting_go_since: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Tell of a deadline whether what it is for is owed by an order that has this ``state`` and ``letting_go_since``.

    Of the clocks of an order that is to be let go only those count that were set for that.
    """
    owed = [sa.and_(_DEADLINES.c.stage == stage, state.in_(owing)) for stage, owing in states.OWED.items()]
    lifts = sa.and_(_DEADLINES.c.stage.in_(tuple(states.OWED)), _DEADLINES.c.started_at >= letting_go_since)
    return sa.or_(*owed, lifts)


def runs(
    state: sa.ColumnElement[Any] = _ORDERS.c.state, letting_go_since: sa.ColumnElement[Any] = _ORDERS.c.letting_go_since
) -> sa.ColumnElement[bool]:
    """Tell of a deadline whether it is one of an order's own that counts and is not settled, missed or not."""
    return sa.and_(
        _DEADLINES.c.subject_kind == SubjectKind.ORDER,
        _DEADLINES.c.subject_id == _ORDERS.c.id,
        _DEADLINES.c.rung == 0,
        _DEADLINES.c.state.in_((DeadlineState.PENDING, DeadlineState.MISSED)),
        counts(state, letting_go_since),
    )


def climbed(state: sa.ColumnElement[Any], letting_go_since: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Tell of an escalation whether it was raised about what such an order owes now."""
    lifts = _ESCALATIONS.c.raised_at >= letting_go_since
    return sa.or_(state.in_(states.UNANSWERED), lifts)
