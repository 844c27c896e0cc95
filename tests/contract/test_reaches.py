"""Whose rows each transaction reaches, read from the code: a door's is its caller's; the hub's needs a place here."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from service import db
from service.security import scopes
from service.security.principals import Principal, of_person
from workflows.terms import Role, Sector

SERVICE = Path(__file__).resolve().parents[2] / "service"
CALLERS = {"principal.reach", "caller.reach", "seat.principal.reach"}
# A read without a caller: who is calling is found out, or what is asked for has a secret of its own, or is public.
WITHOUT_A_CALLER = {
    "api/appeals.py": ["db.HUB"],
    "api/signing_keys.py": ["db.Reach.of(OPERATOR)"],
    # The clock alone is asked, and no row.
    "api/health.py": ["db.NOBODY"],
    "console/appeals.py": ["db.HUB"],
    "console/doors.py": ["db.HUB"],
    # The operator's public key, which any file of evidence names.
    "console/evidence.py": ["db.Reach.of(OPERATOR)"],
    "console/session.py": ["db.HUB"],
    # Which screen it is, by its cookie.
    "console/walls.py": ["db.HUB", "db.HUB"],
    # Two numbers that say whether anything was recorded anywhere, and no row.
    "console/watching.py": ["db.HUB"],
    "web/doors.py": ["db.HUB"],
}
# Where a unit that began within its caller's reach goes beyond it, and how often.
EXTENDED = {
    "acknowledge_order.py": 1,
    "appealing.py": 1,
    "approve_request.py": 1,
    "enroll_officer.py": 1,
    "end_silence.py": 1,
    "export_evidence.py": 1,
    "file_appeal.py": 1,
    "read_back_order.py": 1,
    "receive_inbox.py": 1,
    "report_fault.py": 1,
    "report_rejection.py": 1,
    "submit_request.py": 1,
    # What waits at an endpoint that is switched off is of other agencies.
    "suspensions.py": 1,
}
# Before anybody is known, or at the node's own doing.
WIDE_FROM_THE_START = {
    "administrators.py": 1,
    # A code that is typed at a screen, and when the screen was last seen.
    "displays.py": 2,
    # The identity provider speaks of its own sessions, whose members it does not know.
    "end_by_provider.py": 1,
    # Whoever signs in is nobody yet.
    "entering.py": 1,
    "issue_token.py": 2,
    "note_presence.py": 1,
    # A bank's reading is a fact of the agency whose request it read; what it may read was asked before.
    "note_reading.py": 1,
    "record_refusal.py": 1,
    "sign_out.py": 1,
}


def _calls(path: Path, *names: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).endswith(names)]


def test_a_read_of_a_door_reaches_its_callers_rows() -> None:
    seen: dict[str, list[str]] = {}
    for room in ("api", "console", "web"):
        for path in sorted((SERVICE / room).glob("*.py")):
            reaches = [ast.unparse(call.args[0]) for call in _calls(path, "database.read", "database.write")]
            others = [reach for reach in reaches if reach not in CALLERS]
            if others:
                seen[f"{room}/{path.name}"] = others
            assert not _calls(path, "writer.run", "db.extend"), path
    assert seen == WITHOUT_A_CALLER


def test_an_action_goes_beyond_its_callers_rows_where_it_is_known_to() -> None:
    extended, wide = Counter[str](), Counter[str]()
    for path in sorted((SERVICE / "actions").glob("*.py")):
        extended[path.name] += sum(ast.unparse(call.args[1]) == "db.HUB" for call in _calls(path, "db.extend"))
        for call in _calls(path, "database.read", "writer.run", "database.write"):
            given = [ast.unparse(argument) for argument in (*call.args, *(word.value for word in call.keywords))]
            wide[path.name] += "db.HUB" in given
    assert +extended == EXTENDED
    assert +wide == WIDE_FROM_THE_START


@pytest.mark.parametrize("role", Role)
def test_nobody_but_the_hubs_own_people_reaches_more_than_its_own_rows(role: Role) -> None:
    for sector in scopes.SECTORS[role]:
        caller: Principal = of_person("person", tenant="member", sector=sector, roles=[role])
        assert caller.reach == (db.HUB if sector is Sector.HUB else db.Reach.of("member"))
