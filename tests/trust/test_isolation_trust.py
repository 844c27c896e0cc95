"""P11: nobody sees or changes what is another's, by any route, filter or id; nor would it without the filter."""

import inspect
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from uuid import UUID

import isolation_walk
import pytest
import sqlalchemy as sa
import trust_sizes
from apis import Api
from builders import table
from isolation_stage import AGENCY, BINS, NOBODY, OTHER_AGENCY, Caller, Stage
from isolation_walk import Attempt, Walker
from opening import opened

from service import db
from service.engine.hub import OPERATOR
from service.models import AuditEntry, Dispatch, Order
from service.queries import visibility
from workflows.terms import Fact, Role, View

pytest_plugins = ["api_fixtures"]

FastForward = Callable[..., Awaitable[None]]
_WHOLE = (
    *("order_id", "request_id", "reference", "case_number", "action", "sequence", "participant_id", "urgency"),
    *("legal_basis", "whole_account", "measure", "reason", "starts_at", "ends_at", "lifts_order_id"),
    *("lifts_action", "extends_order_id", "answer_url", "asked", "confidential"),
)
# What a participant needs in order to act, and to know that it must: by member of an order's body, with its members.
NEEDED: Mapping[str, set[str]] = {
    **{name: set[str]() for name in _WHOLE},
    "agency": {"id", "name"},
    "officer": {"rank", "number"},
    "second_officer": {"rank", "number"},
    "document": {"number", "date", "sha256"},
    "target": {"kind", "value", "holder_name", "institution", "platform", "sha256", "perceptual_hash"},
    "amount": {"value", "currency"},
    "payment": {"reference", "sent_on", "sender", "end_to_end_id"},
    "window": {"since", "until"},
    "contact": {"name", "phone", "email"},
    "deadlines": {"stage", "due_at"},
}
# What every function of the visibility module decides; the three others are asked with a principal's own sector.
CONDITIONS = frozenset(
    {
        *("answerable", "appeals", "escalations", "inbox", "orders", "participants", "requests", "tasks"),
        *("disclosures", "facts", "notes", "whole_participants", "sessions", "passkeys", "displays"),
    }
)


@pytest.fixture
async def stage(api: Api, fast_forward: FastForward) -> Stage:
    """Two agencies, two banks and a telecom, with a matter of every kind each."""
    return await Stage(api).fill(fast_forward)


async def test_nobody_sees_or_changes_what_is_anothers(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    kind = stage.api.hub.database.dialect
    draw = random.Random(trust_sizes.seed())
    routes = [*isolation_walk.operations(), *isolation_walk.pages(stage.api.app)]
    walker = Walker(stage, draw)
    before, facts = await stage.digest(), await _last_fact(stage)
    wrong: list[str] = []
    tried = _some_or_all(stage, isolation_walk.deck(stage, routes, list(stage.callers), draw))
    assert len(tried) >= trust_sizes.size(gate=850, full=4_000)
    changes = [each for each in tried if isolation_walk.is_change(stage, each)]
    for attempt in tried:
        if attempt not in changes:
            wrong += await walker.judge(attempt)
    after = await stage.digest()
    wrong += [f"{name} was changed" for name in after if after[name] != before[name]]
    wrong += await _facts_of_others(stage, facts)
    wrong += await _own_changes(stage, walker, changes)
    record_property(
        *trust_sizes.figure("P11", "T-BOLA every route", n=len(tried), violations=len(wrong), database=kind)
    )
    assert not wrong, "\n".join(wrong[:20])
    roles = [*Role, NOBODY.name]
    assert not isolation_walk.uncovered(stage, walker.asked, routes, roles, whole=trust_sizes.is_full())
    assert len(walker.found_own) >= 5, walker.found_own


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_with_the_applications_filter_deleted_there_are_no_foreign_rows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Every condition lets everything pass: what is left is PostgreSQL, and the reach of the caller's transaction."""
    draw = random.Random(trust_sizes.seed())
    for name in CONDITIONS:
        monkeypatch.setattr(visibility, name, lambda *_: sa.true())
    monkeypatch.setattr(visibility, "owns", lambda *_: True)
    monkeypatch.setattr(visibility, "opens_appeal", lambda *_: True)
    routes = [*isolation_walk.operations(), *isolation_walk.pages(stage.api.app)]
    # Who the members of the network are is for all of them to know: only its own row holds more than a name.
    shared = {"listParticipants", "getParticipant", "GET /participants/{participant_id}"}
    routes = [route for route in routes if route.name not in shared]
    walker = Walker(stage, draw)
    before = await stage.digest()
    wrong: list[str] = []
    members = [name for name, caller in stage.callers.items() if not caller.is_the_hubs]
    tried = _some_or_all(stage, isolation_walk.deck(stage, routes, members, draw))
    assert len(tried) >= trust_sizes.size(gate=600, full=3_000)
    # What a member does to its own is no row of anybody else's, and would be missed in the digest.
    tried = [each for each in tried if not isolation_walk.is_change(stage, each)]
    for attempt in tried:
        wrong += await walker.judge(attempt)
    after = await stage.digest()
    wrong += [f"{name} was changed" for name in after if after[name] != before[name]]
    record_property(*trust_sizes.figure("P11", "T-RLS filter deleted", n=len(tried), violations=len(wrong)))
    assert not wrong, "\n".join(wrong[:20])
    assert len(walker.found_own) >= 5, walker.found_own


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_participant_gets_the_fields_it_needs_and_no_others(stage: Stage) -> None:
    """Whatever is sent to a member, laid into its inbox or shown to it: its own part, and nobody's reasons or names."""
    for agency in (AGENCY, OTHER_AGENCY):
        await stage.reasons_and_neighbours(agency)
    callers = {each.tenant: each for each in stage.callers.values()}
    sent = Counter[str]()
    for row in await stage.world.rows(Dispatch):
        text = await opened(stage.api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])
        reader = callers.get(row["participant_id"]) or Caller("", row["participant_id"], None, ())
        assert stage.leaks(reader, text) == [], row["message_type"]
        if row["kind"] == "order":
            _has_only_what_is_needed(json.loads(text)["body"])
            sent[row["participant_id"]] += 1
    await stage.sign_on()
    for name in ("bank-a", "bank-b", "telecom"):
        caller = stage.callers[name]
        assert caller.system is not None and sent[caller.tenant] > 0
        inbox = (await stage.api.get("/v1/orders", caller.system, limit=200)).json()["items"]
        assert bool(inbox) == (name != "telecom")
        for item in inbox:
            _has_only_what_is_needed(item["body"])
        for order in await stage.world.rows(Order, participant_id=caller.tenant):
            shown = await stage.api.get(f"/v1/orders/{order['id']}", caller.system)
            assert shown.status_code == 200
            _has_only_what_is_needed(shown.json()["body"])
            assert stage.leaks(caller, shown.text) == []
            others = {"vietcombank", "techcombank"} - {caller.tenant}
            assert not [other for other in others if other in shown.text or BINS[other] in shown.text]
    # What was planted is really there, for whoever may read it.
    assert sum("CANARY" in secret for secret in stage.secrets) >= 9


def _some_or_all(stage: Stage, deck: list[Attempt]) -> list[Attempt]:
    """The whole deck at full size; at the gate a part in which every role asks for every route."""
    return deck if trust_sizes.is_full() else isolation_walk.sample(stage, deck)


async def _own_changes(stage: Stage, walker: Walker, changes: list[Attempt]) -> list[str]:
    """Let each caller who may act upon what is its own, and return what of others was changed by it."""
    wrong: list[str] = []
    # Last those who may stop others, who would be missed.
    names = sorted({each.caller for each in changes}, key=lambda name: stage.callers[name].is_the_hubs)
    await stage.sign_on()
    for name in names:
        # Nothing is foreign to those who watch over all.
        who = stage.callers[name]
        before, facts = {} if who.is_the_hubs else await stage.strangers(who), await _last_fact(stage)
        for attempt in changes:
            if attempt.caller == name:
                wrong += await walker.judge(attempt)
        after = {} if who.is_the_hubs else await stage.strangers(who)
        if not who.is_the_hubs:
            # What it did to an order is a fact of the agency's that gave it.
            given = [row for row in await stage.world.rows(Order) if stage.may_know(who, "order_id", str(row["id"]))]
            told = await _facts_of_others(stage, facts, who.tenant, {row["request_id"] for row in given})
            wrong += [f"{name}: {each}" for each in told]
        wrong += [f"{name} changed others' {each}" for each in after if after[each] != before[each]]
    return wrong


def _has_only_what_is_needed(body: Mapping[str, Any]) -> None:
    assert set(body) == set(NEEDED)
    for name, members in NEEDED.items():
        for part in body[name] if isinstance(body[name], list) else [body[name]]:
            assert set(part) <= members if isinstance(part, dict) else not members or part is None, name


def test_the_test_deletes_every_condition_of_the_filter() -> None:
    made = {
        name
        for name, each in vars(visibility).items()
        if inspect.isfunction(each) and each.__module__ == visibility.__name__
    }
    assert made == CONDITIONS | {"owns", "opens_appeal", "sees_all"}


async def _last_fact(stage: Stage) -> int:
    entries = table(AuditEntry)
    async with stage.api.hub.database.read(db.HUB) as conn:
        return int((await conn.execute(sa.select(sa.func.max(entries.c.id)))).scalar_one())


async def _facts_of_others(stage: Stage, since: int, of: str = OPERATOR, about: Collection[UUID] = ()) -> list[str]:
    """Return the facts that a call left on another's record; that one opened what is addressed to one belongs there.

    ``of`` is whose record they may all be left on; ``about`` are the requests upon whose orders he was let act.
    """
    entries = table(AuditEntry)
    query = sa.select(entries).where(entries.c.id > since, entries.c.tenant.not_in([OPERATOR, of]))
    async with stage.api.hub.database.read(db.HUB) as conn:
        rows = (await conn.execute(query)).all()
    return [
        f"a fact {row.code} of {row.actor_tenant} at {row.tenant}"
        for row in rows
        if row.actor_tenant != row.tenant
        and row.request_id not in about
        and not (row.code == Fact.PERSON_OPENED and _may_open(stage, row.actor_tenant, json.loads(row.data)))
    ]


def _may_open(stage: Stage, reader: str, opened_: Mapping[str, Any]) -> bool:
    """Tell whether an opening belongs on another's record: by whose order or appeal it is, or by who watches all."""
    named = {slot: str(opened_.get(slot, "")) for slot in ("order_id", "appeal_id")}
    theirs = {each for slot, value in named.items() for each in stage.owners[slot].get(value, ())}
    # What was disclosed, and what moved, is no operator's to open.
    return reader in theirs or (reader == OPERATOR and opened_["view"] not in {View.DISCLOSURE, View.MOVEMENTS})
