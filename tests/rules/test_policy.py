"""Policies: the shipped ladders, which ladder fits, what the reader refuses and the snapshot a request keeps."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import deadlines, escalation, policy
from workflows.deadlines import LimitOverride
from workflows.policy import Ladder, Policy, PolicyInvalid, Rung
from workflows.terms import Action, LegalBasis, Reach, Sector, Stage, TargetKind, Urgency

VN = policy.loads("vn-default")
DEMO = policy.loads("demo-seconds")
PLACED = datetime(2026, 3, 2, 9, tzinfo=UTC)


def minutes(found: tuple[Rung, ...]) -> list[float]:
    return [rung.after.total_seconds() / 60 for rung in found]


@pytest.mark.parametrize(
    ("action", "kind", "sector", "expected"),
    [
        (Action.FREEZE, TargetKind.ACCOUNT, Sector.BANK, [10, 30, 60]),
        (Action.LIFT, TargetKind.ACCOUNT, Sector.BANK, [10, 30, 60]),
        (Action.EXTEND, TargetKind.ACCOUNT, Sector.BANK, [60, 120, 240]),
        (Action.PRESERVE, TargetKind.ACCOUNT, Sector.BANK, [60, 360, 1440]),
        (Action.RECALL, TargetKind.ACCOUNT, Sector.BANK, [10, 30, 60]),
        (Action.DISCLOSE, TargetKind.PHONE, Sector.TELECOM, [1440, 2160, 2880]),
        (Action.TRACE, TargetKind.ACCOUNT, Sector.BANK, [15, 30, 60]),
        (Action.TAKEDOWN, TargetKind.PHONE, Sector.TELECOM, [10, 30, 120]),
        (Action.TAKEDOWN, TargetKind.SMS_SENDER, Sector.TELECOM, [30, 60, 120]),
        (Action.TAKEDOWN, TargetKind.DOMAIN, Sector.ISP, [60, 360, 1440]),
        (Action.TAKEDOWN, TargetKind.URL, Sector.ISP, [60, 360, 1440]),
        (Action.TAKEDOWN, TargetKind.DOMAIN, Sector.REGISTRAR, [360, 720, 1440]),
        (Action.TAKEDOWN, TargetKind.CONTENT, Sector.PLATFORM, [180, 360, 1440]),
        (Action.TAKEDOWN, TargetKind.URL, Sector.PLATFORM, [180, 360, 1440]),
    ],
)
def test_the_default_ladders_are_those_of_the_profile(
    action: Action, kind: TargetKind, sector: Sector, expected: list[int]
) -> None:
    assert minutes(policy.rungs(VN, action, kind, Stage.EXECUTE, sector=sector)) == expected


def test_intimate_content_and_content_in_danger_have_their_own_ladders() -> None:
    asked = (VN, Action.TAKEDOWN, TargetKind.CONTENT, Stage.EXECUTE)
    assert minutes(policy.rungs(*asked, sector=Sector.PLATFORM, intimate=True)) == [120, 240, 720]
    danger = policy.rungs(*asked, sector=Sector.PLATFORM, intimate=True, urgency=Urgency.HOA_TOC)
    assert minutes(danger) == [60]
    assert set(danger[0].reach) == {Reach.PARTICIPANT, Reach.COORDINATOR, Reach.SUPERVISOR}


@pytest.mark.parametrize("name", policy.SHIPPED)
def test_a_silent_freeze_calls_the_duty_contact_then_the_coordinator_then_the_supervisor(name: str) -> None:
    ladder = policy.rungs(policy.loads(name), Action.FREEZE, TargetKind.ACCOUNT, Stage.EXECUTE)
    assert [set(rung.reach) for rung in ladder] == [
        {Reach.PARTICIPANT},
        {Reach.PARTICIPANT, Reach.COORDINATOR},
        {Reach.COORDINATOR, Reach.SUPERVISOR},
    ]


@pytest.mark.parametrize("name", policy.SHIPPED)
def test_the_rungs_of_every_shipped_ladder_strictly_rise(name: str) -> None:
    for ladder in policy.loads(name).ladders:
        assert [rung.number for rung in ladder.rungs] == list(range(1, len(ladder.rungs) + 1))
        afters = [rung.after for rung in ladder.rungs]
        assert afters == sorted(set(afters))


@pytest.mark.parametrize("name", policy.SHIPPED)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("sector", Sector)
def test_no_order_can_stay_silent_without_reaching_a_supervisor(name: str, action: Action, sector: Sector) -> None:
    shipped = {VN.name: VN, DEMO.name: DEMO}[name]
    for kind in TargetKind:
        for urgency in Urgency:
            for intimate in (True, False):
                ladder = policy.rungs(
                    shipped, action, kind, Stage.EXECUTE, sector=sector, urgency=urgency, intimate=intimate
                )
                assert Reach.SUPERVISOR in ladder[-1].reach


@pytest.mark.parametrize(
    ("action", "kind", "sector"),
    [
        (Action.FREEZE, TargetKind.ACCOUNT, Sector.BANK),
        (Action.RECALL, TargetKind.WALLET, Sector.WALLET),
        (Action.LIFT, TargetKind.ACCOUNT, Sector.BANK),
        (Action.TAKEDOWN, TargetKind.DOMAIN, Sector.ISP),
        (Action.TAKEDOWN, TargetKind.PHONE, Sector.TELECOM),
    ],
)
def test_the_demo_runs_its_whole_ladder_in_under_half_a_minute(
    action: Action, kind: TargetKind, sector: Sector
) -> None:
    limits = deadlines.limits_for(action, kind, sector, overrides=DEMO.limit_overrides)
    assert all(limit.within <= timedelta(seconds=15) for limit in limits)
    for limit in limits:
        for rung in policy.rungs(DEMO, action, kind, limit.stage, sector=sector, within=limit.within):
            assert limit.within <= rung.after <= timedelta(seconds=30)


def test_the_demo_clocks_are_seconds() -> None:
    limits = deadlines.limits_for(Action.FREEZE, TargetKind.ACCOUNT, Sector.BANK, overrides=DEMO.limit_overrides)
    assert [limit.within.total_seconds() for limit in limits] == [3, 4, 6]
    ladder = policy.rungs(DEMO, Action.FREEZE, TargetKind.ACCOUNT, Stage.EXECUTE)
    assert [rung.after.total_seconds() for rung in ladder] == [6, 9, 12]
    for stage, seconds in ((Stage.ACKNOWLEDGEMENT_END, 20), (Stage.REVIEW, 10), (Stage.END_WARNING, 3)):
        within = deadlines.within(stage, timedelta(hours=9), overrides=DEMO.limit_overrides)
        assert within.total_seconds() == seconds


def test_an_order_with_more_time_is_not_escalated_before_it_is_late() -> None:
    asked = (VN, Action.FREEZE, TargetKind.ACCOUNT, Stage.EXECUTE)
    assert minutes(policy.rungs(*asked, within=timedelta(hours=1))) == [60, 80, 110]
    assert minutes(policy.rungs(*asked, within=timedelta(minutes=1))) == [10, 30, 60]


def test_a_stage_without_a_ladder_calls_nobody() -> None:
    asked = (VN, Action.FREEZE, TargetKind.ACCOUNT, Stage.ACKNOWLEDGEMENT_END)
    assert policy.rungs(*asked) == policy.rungs(*asked, within=timedelta(hours=1)) == ()


def test_the_hubs_own_stages_have_ladders_without_action_and_target() -> None:
    assert policy.rungs(VN, None, None, Stage.TASK)[0].reach == (Reach.COORDINATOR,)


def test_the_next_rung_is_the_one_above_and_the_top_has_none() -> None:
    ladder = policy.rungs(VN, Action.FREEZE, TargetKind.ACCOUNT, Stage.EXECUTE)
    climbed = []
    last = 0
    while rung := escalation.next_rung(ladder, last):
        climbed.append(rung.number)
        last = rung.number
    assert climbed == [1, 2, 3]
    assert escalation.next_rung((), 0) is None


def test_a_rung_is_due_after_the_placing_of_the_order_in_utc() -> None:
    ladder = policy.rungs(VN, Action.FREEZE, TargetKind.ACCOUNT, Stage.EXECUTE)
    local = PLACED.astimezone(datetime.fromisoformat("2026-03-02T00:00+07:00").tzinfo)
    dues = [escalation.due(rung, local) for rung in ladder]
    assert dues == [PLACED + timedelta(minutes=at) for at in (10, 30, 60)]
    assert all(due.tzinfo is UTC for due in dues)
    with pytest.raises(ValueError, match="time zone"):
        escalation.due(ladder[0], PLACED.replace(tzinfo=None))


BASE: dict[str, Any] = {
    "name": "test",
    "version": 1,
    "limits": [{"stage": "execute", "within": "5 min", "participant_id": "bank_a"}],
    "ladders": [
        {
            "stage": "execute",
            "rungs": [
                {"number": 1, "after": "10 min", "reach": ["participant"]},
                {"number": 2, "after": "30 min", "reach": ["participant", "coordinator"]},
            ],
        },
        {"stage": "receipt", "intimate": True, "rungs": [{"number": 1, "after": "2 min", "reach": ["participant"]}]},
    ],
}
MISSING = object()
SPOILED: list[tuple[str, tuple[str | int, ...], Any]] = [
    ("name", ("name",), MISSING),
    ("name", ("name",), "../etc"),
    ("name", ("name",), "x" * 65),
    ("version", ("version",), 0),
    ("version", ("version",), True),
    ("version", ("version",), "1"),
    ("colour", ("colour",), "red"),
    ("limits", ("limits",), {"stage": "execute"}),
    ("limits[0]", ("limits", 0), "execute"),
    ("limits[0].stage", ("limits", 0, "stage"), MISSING),
    ("limits[0].stage", ("limits", 0, "stage"), "lunch"),
    ("limits[0].within", ("limits", 0, "within"), 300),
    ("limits[0].within", ("limits", 0, "within"), "5 minutes"),
    ("limits[0].within", ("limits", 0, "within"), "-5 min"),
    ("limits[0].within", ("limits", 0, "within"), "0 s"),
    ("limits[0].within", ("limits", 0, "within"), "367 d"),
    ("limits[0].participant_id", ("limits", 0, "participant_id"), ""),
    ("limits[0].legal_basis", ("limits", 0, "legal_basis"), "hearsay"),
    ("limits[0].sector", ("limits", 0, "sector"), "bank"),
    ("limits[1]", ("limits", 1), {"stage": "execute", "within": "9 min", "participant_id": "bank_a"}),
    ("ladders", ("ladders",), MISSING),
    ("ladders", ("ladders", 0, "action"), "freeze"),
    ("ladders[0].action", ("ladders", 0, "action"), ["freeze"]),
    ("ladders[1].target_kind", ("ladders", 1, "target_kind"), "*"),
    ("ladders[1].sector", ("ladders", 1, "sector"), "church"),
    ("ladders[1].urgency", ("ladders", 1, "urgency"), "slow"),
    ("ladders[1].intimate", ("ladders", 1, "intimate"), "yes"),
    ("ladders[2]", ("ladders", 2), BASE["ladders"][0]),
    ("ladders[0].rungs", ("ladders", 0, "rungs"), []),
    ("ladders[0].rungs[0].number", ("ladders", 0, "rungs", 0, "number"), 2),
    ("ladders[0].rungs[1].number", ("ladders", 0, "rungs", 1, "number"), 1),
    ("ladders[0].rungs[1].after", ("ladders", 0, "rungs", 1, "after"), "10 min"),
    ("ladders[0].rungs[1].after", ("ladders", 0, "rungs", 1, "after"), "1.5 h"),
    ("ladders[0].rungs[1].reach", ("ladders", 0, "rungs", 1, "reach"), []),
    ("ladders[0].rungs[1].reach", ("ladders", 0, "rungs", 1, "reach"), "participant"),
    ("ladders[0].rungs[1].reach", ("ladders", 0, "rungs", 1, "reach"), ["agency", "agency"]),
    ("ladders[0].rungs[1].reach[1]", ("ladders", 0, "rungs", 1, "reach", 1), "mayor"),
    ("ladders[0].rungs[1].by", ("ladders", 0, "rungs", 1, "by"), "telephone"),
]


def spoil(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    data = deepcopy(BASE)
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    if value is MISSING:
        del place[path[-1]]
    elif isinstance(place, list) and path[-1] == len(place):
        place.append(value)
    else:
        place[path[-1]] = value
    return data


@pytest.mark.parametrize(("key", "path", "value"), SPOILED)
def test_a_spoiled_policy_is_refused_by_the_key_at_fault(key: str, path: tuple[str | int, ...], value: Any) -> None:
    assert policy.from_snapshot(BASE).version == 1
    with pytest.raises(PolicyInvalid) as refused:
        policy.from_snapshot(spoil(path, value))
    assert refused.value.key == key
    assert str(refused.value).startswith(f"{key}: ")


def test_a_text_that_is_no_toml_and_a_name_that_is_not_shipped_are_refused() -> None:
    with pytest.raises(PolicyInvalid) as broken:
        policy.load("name = [")
    assert broken.value.key == "toml"
    for name in ("../vn-default", "vn-default.toml", ""):
        with pytest.raises(PolicyInvalid) as unknown:
            policy.loads(name)
        assert unknown.value.key == "name"


def test_a_shipped_policy_is_read_once() -> None:
    assert policy.loads("vn-default") is policy.loads("vn-default")


DURATIONS = st.integers(1, 366 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    def steps() -> tuple[Rung, ...]:
        afters = sorted(draw(st.sets(DURATIONS, min_size=1, max_size=4)))
        reach = st.lists(st.sampled_from(Reach), min_size=1, max_size=4, unique=True).map(tuple)
        return tuple(Rung(at + 1, after, draw(reach)) for at, after in enumerate(afters))

    def maybe(values: Any) -> Any:
        return draw(st.sampled_from([None, *values]))

    chosen: dict[Any, Ladder] = {(Stage.EXECUTE,): Ladder(Stage.EXECUTE, steps())}
    for _ in range(draw(st.integers(0, 4))):
        ladder = Ladder(
            draw(st.sampled_from(Stage)), steps(), maybe(Action), maybe(TargetKind), maybe(Sector),
            maybe([True, False]), maybe(Urgency),
        )  # fmt: skip
        key = (ladder.stage, ladder.action, ladder.target_kind, ladder.sector, ladder.intimate, ladder.urgency)
        if any(key[1:]) or ladder.intimate is False or ladder.stage is not Stage.EXECUTE:
            chosen[key] = ladder
    limits: dict[Any, LimitOverride] = {}
    for _ in range(draw(st.integers(0, 4))):
        row = LimitOverride(
            draw(st.sampled_from(Stage)), draw(DURATIONS), maybe(Action), maybe(TargetKind),
            maybe(["bank_a", "ngân hàng"]), maybe(LegalBasis),
        )  # fmt: skip
        limits[row.stage, row.action, row.target_kind, row.participant_id, row.legal_basis] = row
    return Policy("drawn", draw(st.integers(1, 1000)), tuple(chosen.values()), tuple(limits.values()))


@given(policies())
def test_a_snapshot_survives_json_and_gives_the_same_policy_back(drawn: Policy) -> None:
    assert policy.from_snapshot(json.loads(json.dumps(policy.to_snapshot(drawn)))) == drawn


@pytest.mark.parametrize("name", policy.SHIPPED)
def test_a_shipped_policy_and_its_snapshot_say_the_same(name: str) -> None:
    shipped = policy.loads(name)
    assert shipped.name == name
    assert policy.from_snapshot(policy.to_snapshot(shipped)) == shipped


@given(policies(), st.sampled_from(Action), st.sampled_from(TargetKind), st.sampled_from(Sector), DURATIONS)
def test_whatever_is_asked_the_rungs_strictly_rise_and_none_comes_before_the_order_is_late(
    drawn: Policy, action: Action, kind: TargetKind, sector: Sector, within: timedelta
) -> None:
    ladder = policy.rungs(drawn, action, kind, Stage.EXECUTE, sector=sector, within=within)
    assert ladder
    assert all(one.number < two.number and one.after < two.after for one, two in pairwise(ladder))
    assert ladder[0].after >= within


def test_the_more_specific_ladder_wins_wherever_it_stands() -> None:
    rung = {"number": 1, "reach": ["participant"]}
    ladders = [
        {"stage": "execute", "rungs": [rung | {"after": "1 h"}]},
        {"stage": "execute", "action": "takedown", "rungs": [rung | {"after": "2 h"}]},
        {"stage": "execute", "target_kind": "content", "rungs": [rung | {"after": "3 h"}]},
        {"stage": "execute", "sector": "platform", "rungs": [rung | {"after": "4 h"}]},
        {"stage": "execute", "intimate": True, "rungs": [rung | {"after": "5 h"}]},
        {"stage": "execute", "urgency": "hoa_toc", "rungs": [rung | {"after": "6 h"}]},
    ]
    for size in range(1, len(ladders) + 1):
        for rows in (ladders[:size], ladders[size - 1 :: -1]):
            loaded = policy.from_snapshot({"name": "t", "version": 1, "ladders": rows})
            found = policy.rungs(
                loaded,
                Action.TAKEDOWN,
                TargetKind.CONTENT,
                Stage.EXECUTE,
                sector=Sector.PLATFORM,
                intimate=True,
                urgency=Urgency.HOA_TOC,
            )
            assert minutes(found) == [size * 60]


def test_a_toml_text_is_refused_by_the_key_at_fault_too() -> None:
    text = (
        'name = "t"\nversion = 1\n[[ladders]]\nstage = "execute"\nrungs = [{number = 1, after = "1 h", reach = ["x"]}]'
    )
    with pytest.raises(PolicyInvalid) as refused:
        policy.load(text)
    assert refused.value.key == "ladders[0].rungs[0].reach[0]"
