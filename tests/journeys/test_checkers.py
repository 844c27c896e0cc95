"""The checkers of the journeys find what is broken on purpose: one that never finds anything would prove nothing."""

import dataclasses
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import journey_history
import journey_network
import pytest
from journey_history import Asked, Found, History, Nature
from journey_nemesis import What, plan
from journey_network import Network

from adapters.sandbox.ledger import Hold, Ledger, Order
from service import log
from service.settings import Settings
from workflows.terms import Action, DeadlineState, DispatchState, Fact, OrderState, Stage

AT = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
NATURE = Nature(silent=frozenset({"bidv"}))


class Books:
    """A receiver's books, without the receiver."""

    def __init__(self) -> None:
        self.ledger = Ledger()


class Scene:
    """One freeze that was acknowledged, delivered, executed and told in every place where it must be told."""

    def __init__(self, folder: Path) -> None:
        self.request, self.order = uuid.uuid4(), uuid.uuid4()
        self.history = History(folder / "history.jsonl")
        body = journey_network.freeze("9990000000001", "vietcombank")
        self.history.invoke("key-1", Asked("pc02-79", body, ("vietcombank",)))
        self.history.ok("key-1", str(self.request))
        self.asked = self.history.asked["key-1"]
        self.asked.asked_at, self.asked.told_at = AT, AT + timedelta(seconds=1)
        self.network = Network(Settings(data_dir=folder))
        self.books = Books()
        self.network.sandboxes["vietcombank"] = self.books  # type: ignore[assignment]
        self.event("received")
        taken = Order(str(self.order), "HT-1", Action.FREEZE, "9990000000001", 1_000_000, None, "", "", 1, "/v1/x")
        self.books.ledger.holds[str(self.order)] = Hold(taken, 1_000_000, 1_000_000, None, 1)
        self.row = {
            "id": self.order,
            "request_id": self.request,
            "participant_id": "vietcombank",
            "state": OrderState.EXECUTED,
            "action": Action.FREEZE,
            "amount": 1_000_000,
            "amount_held": 1_000_000,
        }
        self.deadline = {
            "id": 1,
            "request_id": self.request,
            "subject_id": self.order,
            "stage": Stage.EXECUTE,
            "rung": 0,
            "generation": 0,
            "state": DeadlineState.MET,
            "started_at": AT + timedelta(seconds=0.5),
            "due_at": AT + timedelta(seconds=30),
            "settled_at": AT + timedelta(seconds=9),
        }
        self.found = Found(
            requests={self.request: {"id": self.request}},
            keys={"key-1": {"answer": {"id": str(self.request)}}},
            orders={self.request: [self.row]},
            deadlines=[self.deadline],
            escalations=[],
            dispatches=[{"id": 1, "state": DispatchState.DELIVERED, "kind": "order"}],
            entries=[{"code": Fact.REQUEST_SUBMITTED, "request_id": self.request, "deadline_id": None}],
            queued=0,
            findings=(),
        )

    def event(self, kind: str, order: uuid.UUID | None = None, action: Action = Action.FREEZE) -> None:
        """Let a receiver tell something."""
        self.network.events.append((kind, {"order_id": str(order or self.order), "action": action}))

    def change(self, **found: Any) -> None:
        """Let the database hold something else."""
        self.found = dataclasses.replace(self.found, **found)

    def missed(self, *, early: bool = False, told: int = 1) -> None:
        """Let the deadline have fired."""
        at = self.deadline["due_at"] + timedelta(seconds=-1 if early else 1)
        self.deadline.update(state=DeadlineState.MISSED, settled_at=at)
        entry = {"code": Fact.DEADLINE_MISSED, "request_id": self.request, "deadline_id": 1}
        self.change(entries=[*self.found.entries, *[entry] * told])

    def lifted(self, *, is_gone: bool) -> None:
        """Let the freeze have been lifted."""
        self.asked.is_lifted = True
        self.row["state"] = OrderState.LIFTED
        if is_gone:
            self.books.ledger.holds.clear()

    def wrong(self) -> list[str]:
        """Ask the checkers."""
        return journey_history.violations(self.history, self.found, self.network, NATURE)


BROKEN: dict[str, tuple[Callable[[Scene], None], str]] = {
    "the request is gone": (lambda scene: scene.change(requests={}), "is lost"),
    "its key is gone": (lambda scene: scene.change(keys={}), "idempotency row is lost"),
    "there are two of it": (
        lambda scene: scene.change(requests={**scene.found.requests, uuid.uuid4(): {}}),
        "2 requests of 1 keys",
    ),
    "two answers under one key": (lambda scene: scene.asked.answers.insert(0, str(uuid.uuid4())), "two answers"),
    "no order": (lambda scene: scene.change(orders={}), "orders for"),
    "an order that stopped half way": (lambda scene: scene.row.update(state=OrderState.DELIVERED), "is delivered"),
    "less held than said": (lambda scene: scene.row.update(amount_held=1), "1 held of 1000000"),
    "still to be sent": (lambda scene: scene.change(queued=1), "queued: 1"),
    "never received": (lambda scene: scene.network.events.clear(), "received as 0 messages"),
    "received as two messages": (lambda scene: scene.event("received"), "received as 2 messages"),
    "received by mistake": (lambda scene: scene.event("received", uuid.uuid4()), "in no database"),
    "booked nowhere": (lambda scene: scene.books.ledger.holds.clear(), "booked 0 times"),
    "a lift before its freeze": (lambda scene: scene.event("out_of_order"), "out_of_order"),
    "held after its lift": (lambda scene: scene.lifted(is_gone=False), "booked, and not executed"),
    "fired early": (lambda scene: scene.missed(early=True), "before it was due"),
    "fired twice": (lambda scene: scene.missed(told=2), "fired 2 times"),
    "fired and not told": (lambda scene: scene.missed(told=0), "fired 0 times"),
    "a clock that a wrong node started": (
        lambda scene: scene.deadline.update(started_at=AT + timedelta(seconds=60)),
        "began at",
    ),
    "a broken chain": (lambda scene: scene.change(findings=("a fact is missing",)), "a fact is missing"),
    "nobody verified the chain": (lambda scene: scene.change(findings=None), "nobody has verified"),
}


def test_the_checkers_find_nothing_where_all_is_well(tmp_path: Path) -> None:
    assert Scene(tmp_path).wrong() == []


def test_they_find_nothing_in_what_was_missed_and_told_or_lifted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.missed()
    scene.lifted(is_gone=True)
    assert scene.wrong() == []


@pytest.mark.parametrize("what", BROKEN)
def test_the_checkers_find_each_broken_promise(tmp_path: Path, what: str) -> None:
    scene, (broken, told) = Scene(tmp_path), BROKEN[what]
    broken(scene)
    assert any(told in each for each in scene.wrong()), scene.wrong()


def test_they_find_what_a_node_failed_to_answer(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    log.get("hoatoc.web").error("request.failed", exc_info=RuntimeError("nobody expected it"))
    log.get("hoatoc.web").info("request", status=503)
    [failure] = journey_history.failures(capsys.readouterr().err)
    assert "builtins.RuntimeError" in failure


def test_a_seed_gives_one_schedule_in_which_nothing_is_left_out() -> None:
    schedules = [plan(random.Random(seed), 12, list(What)) for seed in (1, 1, 2)]
    assert schedules[0] == schedules[1] != schedules[2]
    assert [len(each) for each in schedules] == [12] * 3
    assert all({step.what for step in each} == set(What) for each in schedules)
