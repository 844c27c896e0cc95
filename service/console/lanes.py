"""Makes the lanes of a request: one card a participant, with its orders, their amounts, clocks and rungs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service import i18n
from service.console import forms
from service.queries.board import Background, Coming, Raised
from service.schemas.common import ERASED
from service.schemas.requests import DeadlineAnswer, OrderAnswer, RequestDetail, TargetAnswer
from workflows import amounts, states
from workflows.terms import Action, DeadlineState, OrderState, RequestState, Stage

# A card shows this many orders whole; of more it counts the states and shows what is overdue or went another way.
_FEW = 4
_EXCEPTIONS = 6

# What each state looks like: a drawing of the sprite and a tone.
LOOKS: Mapping[str, tuple[str, str]] = {
    RequestState.AWAITING_APPROVAL: ("hourglass", "warn"),
    RequestState.HELD_FOR_CALLBACK: ("phone", "warn"),
    RequestState.ACTIVE: ("bolt", "info"),
    RequestState.CLOSED: ("flag", "good"),
    OrderState.PLACED: ("order", "quiet"),
    OrderState.DELIVERED: ("inbox", "info"),
    OrderState.ACKNOWLEDGED: ("eye", "info"),
    OrderState.EXECUTED: ("lock", "good"),
    OrderState.REFUSED: ("cross", "bad"),
    OrderState.REROUTED: ("fork", "info"),
    OrderState.WITHDRAWN: ("undo", "quiet"),
    OrderState.LAPSED: ("hourglass", "quiet"),
    OrderState.LIFTED: ("unlock", "good"),
}
_SHOWN_STAGES = (*states.OWED, Stage.END)
_OVER = (OrderState.LAPSED, OrderState.LIFTED)
_ORDINARY = frozenset({*states.HOLDING, OrderState.LIFTED})


@dataclass(frozen=True, slots=True)
class Clock:
    """One stage's due instant: pending or overdue (``left`` counts), met, or missed once."""

    stage: Stage
    due_at: datetime
    state: str
    icon: str
    left: str | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its card shows it: ``done`` whole ₫ are held or sent back, ``percent`` of what was asked."""

    order: OrderAnswer
    target: TargetAnswer
    value: str
    icon: str
    tone: str
    is_partly: bool
    is_overdue: bool
    done: int
    percent: int | None
    clocks: tuple[Clock, ...]
    rungs: tuple[Raised, ...]
    coming: Coming | None
    goes_on_to: str | None
    came_from: str | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A participant's card: its orders shown whole, the others to unfold, how many are in each state."""

    participant_id: str
    shown: tuple[OrderView, ...]
    folded: tuple[OrderView, ...]
    counts: tuple[tuple[OrderState, int], ...]
    is_overdue: bool

    @property
    def size(self) -> int:
        """How many orders the participant got."""
        return len(self.shown) + len(self.folded)


@dataclass(frozen=True, slots=True)
class Overview:
    """The request in numbers: held now of asked (whole ₫, None where it is not about money), answered of all.

    ``is_over``: nothing of what was done is in force any more.
    """

    held: int | None
    asked: int | None
    answered: int
    executed: int
    orders: int
    is_over: bool

    @property
    def percent(self) -> int:
        """How much of what was asked is done: by amount where there is one, else by orders."""
        if self.asked is not None and self.held is not None:
            return 100 * self.held // self.asked if self.asked else 0
        return 100 * self.executed // self.orders if self.orders else 0


def lanes(detail: RequestDetail, behind: Background, now: datetime, lang: str) -> list[Lane]:
    """Return a card for each participant that got an order: the overdue ones first, then as they were placed."""
    targets = {target.position: target for target in detail.targets}
    by_id = {order.id: order for order in detail.order_list}
    onward = {order.rerouted_from_id: order.participant_id for order in detail.order_list if order.rerouted_from_id}
    grouped: dict[str, list[OrderView]] = {}
    for order in detail.order_list:
        came_from = by_id.get(order.rerouted_from_id) if order.rerouted_from_id else None
        view = _view(
            order,
            targets[order.target],
            behind,
            now,
            lang,
            goes_on_to=onward.get(order.id),
            came_from=came_from.participant_id if came_from else None,
        )
        grouped.setdefault(order.participant_id, []).append(view)
    made = [_lane(participant_id, views) for participant_id, views in grouped.items()]
    return sorted(made, key=lambda lane: not lane.is_overdue)


def overview(detail: RequestDetail) -> Overview:
    """Return the request in numbers."""
    moved = {OrderState.REROUTED, OrderState.WITHDRAWN}
    counted = [order for order in detail.order_list if order.state not in moved]
    money = [order for order in counted if order.amount is not None]
    return Overview(
        held=sum(_held(order) for order in money if order.state is OrderState.EXECUTED) if money else None,
        asked=sum(order.amount.minor_units for order in money if order.amount) if money else None,
        answered=sum(order.state not in states.UNANSWERED for order in counted),
        executed=sum(order.state is OrderState.EXECUTED for order in counted),
        orders=len(counted),
        is_over=bool(counted) and all(order.state in _OVER for order in counted),
    )


def _held(order: OrderAnswer) -> int:
    held, returned = (each.minor_units if each else None for each in (order.amount_held, order.amount_returned))
    return amounts.done(order.action, held, returned) or 0


def _lane(participant_id: str, views: Sequence[OrderView]) -> Lane:
    shown = list(views)
    if len(views) > _FEW:
        pressing = [view for view in views if view.is_overdue or view.order.state not in _ORDINARY]
        shown = sorted(pressing, key=lambda view: not view.is_overdue)[:_EXCEPTIONS]
    kept = {view.order.id for view in shown}
    # Of more than a card shows whole, the overdue ones are the first to be seen when it is unfolded.
    folded = sorted((view for view in views if view.order.id not in kept), key=lambda view: not view.is_overdue)
    counts = Counter(view.order.state for view in views)
    return Lane(
        participant_id,
        tuple(shown),
        tuple(folded),
        tuple((state, counts[state]) for state in OrderState if counts[state]),
        any(view.is_overdue for view in views),
    )


def _view(
    order: OrderAnswer,
    target: TargetAnswer,
    behind: Background,
    now: datetime,
    lang: str,
    *,
    goes_on_to: str | None,
    came_from: str | None,
) -> OrderView:
    icon, tone = LOOKS[order.state]
    if order.action is Action.LIFT and order.state is OrderState.EXECUTED:
        icon = "unlock"
    asked = order.amount.minor_units if order.amount else None
    held = _held(order) if order.state is OrderState.EXECUTED else None
    is_partly = amounts.is_partly(order.state, asked, held)
    if is_partly:
        icon, tone = "half", "warn"
    clocks = clocks_of(order.state, order.id in behind.letting_go, order.deadlines, now, lang)
    value = forms.target(target.kind, target.value, whole=behind.whole)
    if target.value == ERASED:
        value, target = i18n.text("console.request.erased", lang), target.model_copy(update={"holder_name": None})
    return OrderView(
        order=order,
        target=target,
        value=value,
        icon=icon,
        tone=tone,
        is_partly=is_partly,
        # What is due by now is overdue, whether or not a worker has said so yet; an end is nobody's to keep.
        is_overdue=any(clock.left and clock.due_at <= now and clock.stage in states.OWED for clock in clocks),
        done=_held(order),
        percent=100 * held // asked if held is not None and asked else None,
        clocks=clocks,
        rungs=tuple(behind.raised.get(order.id, ())),
        coming=behind.coming.get(order.id),
        goes_on_to=goes_on_to,
        came_from=came_from,
    )


def clocks_of(
    state: OrderState, is_to_let_go: bool, deadlines: Sequence[DeadlineAnswer], now: datetime, lang: str
) -> tuple[Clock, ...]:
    """Return the clock of each stage of an order in this state: of those of one stage the latest.

    ``is_to_let_go``: the hub waits to hear that nothing is held any more, and the latest clocks are those of that.
    """
    # The deadlines come in the order of their instants: a clock that was set anew replaces its former self.
    latest: dict[Stage, DeadlineAnswer] = {}
    for deadline in deadlines:
        if deadline.stage in _SHOWN_STAGES and deadline.state != DeadlineState.CANCELLED:
            latest[deadline.stage] = deadline
    shown = (latest[stage] for stage in _SHOWN_STAGES if stage in latest)
    return tuple(_clock(each, states.is_owed(each.stage, state, is_to_let_go), now, lang) for each in shown)


def _clock(deadline: DeadlineAnswer, is_owed: bool, now: datetime, lang: str) -> Clock:
    counts = deadline.state == DeadlineState.PENDING or (deadline.state == DeadlineState.MISSED and is_owed)
    icon = {DeadlineState.MET: "clock-met", DeadlineState.MISSED: "clock-missed"}.get(
        DeadlineState(deadline.state), "clock"
    )
    left = forms.left(deadline.due_at, now, lang, deadline.stage) if counts else None
    return Clock(deadline.stage, deadline.due_at, deadline.state, icon, left)
