"""Hostile reports of examinations, by Hypothesis and by mutation: refused by name, or the very one that was signed."""

import json
import random
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trust_sizes
from builders import Builder
from command_line import Run, administrator, clean
from hypothesis import given
from hypothesis import strategies as st
from test_certified import record, report
from test_certified import strict as strict

from service import errors
from service.engine.hub import Hub
from service.models import AuditEntry, Certification
from service.schemas.certifications import Report
from service.security import certifications
from service.security.certifications import Read, ReportRefused
from service.security.keyring import SigningKey

pytest_plugins = ["command_fixtures"]

TEN = 10 * 1024 * 1024
AT = datetime(2026, 11, 24, tzinfo=UTC)
KEY = SigningKey.generate(not_before=AT, not_after=AT + timedelta(days=365))
_NASTY = (
    *(
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "NaN",
        "443.0",
        str(2**53 + 1),
        '""',
        '" "',
        '"\\ud800"',
        '"\\u0000"',
        "[]",
        "{}",
    ),
    *("[" * 2_000, '{"a":' * 2_000, "1" * 5_000, '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', "1.5"),
    *('"e30..AA"', '"' + "a" * 5_000 + '"', '"passed"', '"2026-11-24T00:00:00Z"', "1795564800"),
)


def mutated(draw: random.Random, good: str) -> bytes:
    """Return a report that something was done to: to its bytes, to a value of it, or to a member that it has twice."""
    places = [at for at, sign in enumerate(good) if sign in ",:{[" and at]
    at, raw = draw.choice(places) + 1, good.encode()
    match draw.randrange(5):
        case 0:
            return raw[: (cut := draw.randrange(len(raw)))] + bytes([draw.randrange(256)]) + raw[cut + 1 :]
        case 1:
            return raw[: (cut := draw.randrange(len(raw)))] + raw[cut + draw.choice((1, 4, 100)) :]
        case 2:
            return f"{good[:at]}{draw.choice(_NASTY)}{good[at:]}".encode()
        case 3:
            document = json.loads(good)
            holder: Any = document
            while isinstance(holder, dict) and any(isinstance(each, dict | list) and each for each in holder.values()):
                inner = draw.choice([each for each in holder.values() if isinstance(each, dict | list) and each])
                if draw.random() < 0.4:
                    break
                holder = inner if isinstance(inner, dict) else draw.choice(inner)
            holder[draw.choice([*holder, "extra"])] = "\0"
            return json.dumps(document).replace('"\\u0000"', draw.choice(_NASTY)).encode()
        case _:
            document = json.loads(good)
            name = draw.choice(list(document["report"]))
            twice = json.dumps({name: document["report"][name]})[1:-1]
            return good.replace('{"report":{', '{"report":{' + twice.replace("t", draw.choice("tT")) + ",").encode()


def verdict(raw: bytes | str) -> Read | str:
    """Return a report that holds, or why it does not."""
    try:
        return certifications.read(raw)
    except ReportRefused as refused:
        return refused.reason


def sealed(hub: Any) -> str:
    return certifications.sealed(report(hub, ended_at=AT), KEY)


class _Somebody:
    """As much of a hub as a report names."""

    class settings:  # noqa: N801
        address = "https://hub.example"


def test_a_mutated_report_is_refused_or_still_the_one_that_was_signed(record_property: Callable[..., None]) -> None:
    draw, good = random.Random(trust_sizes.seed()), sealed(_Somebody)
    wanted = trust_sizes.size(gate=3_000, full=100_000)
    signed, wrong, reasons = certifications.read(good), list[str](), set[str]()
    for _ in range(wanted):
        raw = mutated(draw, good)
        try:
            found = verdict(raw)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if isinstance(found, str):
            reasons.add(found)
        if found not in (signed, "form", "signature", "verdict"):
            wrong.append(f"{found} of {raw!r}"[:1_000])
    record_property("certification: mutated reports", f"seed {trust_sizes.seed()}, N {wanted}, violations {len(wrong)}")
    assert wrong == []
    assert {"form", "signature"} <= reasons


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from(["report", "signature", "key", ""]),
)
def test_no_json_that_was_not_signed_holds(found: Any, place: str) -> None:
    good = json.loads(sealed(_Somebody))
    document = {**good, place: found} if place else found
    assert verdict(json.dumps(document)) in ("form", "signature")
    assert verdict(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")) in ("form", "signature")


@given(st.sampled_from(sorted(Report.model_fields)), st.booleans())
def test_a_member_that_stands_twice_is_refused_whichever_comes_first(name: str, first: bool) -> None:
    """Two readers could take two different ones: what was signed and what is recorded would not be the same."""
    good = sealed(_Somebody)
    member = json.dumps({name: json.loads(good)["report"][name]}, separators=(",", ":"))[1:-1]
    assert verdict(good) != "form"
    at = good.index('"report":{') + len('"report":{')
    twice = f"{good[:at]}{member},{good[at:]}" if first else good.replace('},"signature"', f',{member}}},"signature"')
    assert verdict(twice) == "form"


async def test_a_mutated_report_is_not_recorded_and_leaves_nothing(
    strict: Hub, build: Builder, record_property: Callable[..., None]
) -> None:
    draw, good = random.Random(trust_sizes.seed()), certifications.sealed(report(strict), strict.order_keys[0])
    signed, wrong, wanted = certifications.read(good), list[str](), trust_sizes.size(gate=60, full=2_000)
    before = len(await build.rows(AuditEntry))
    for _ in range(wanted):
        raw = mutated(draw, good).decode("utf-8", "replace")
        if verdict(raw) == signed:
            continue
        try:
            await record(strict, raw)
        except errors.InvalidInput:
            continue
        wrong.append(raw[:1_000])
    record_property("certification: recorded", f"seed {trust_sizes.seed()}, N {wanted}, violations {len(wrong)}")
    assert wrong == []
    assert await build.rows(Certification) == [] and len(await build.rows(AuditEntry)) == before


@pytest.mark.parametrize(
    "text", ["[" * TEN, '"' + "x" * TEN, '{"a":0,' * (TEN // 7)], ids=["brackets", "text", "members"]
)
def test_a_report_of_ten_megabytes_is_refused_by_its_size_and_never_held(ready: Run, tmp_path: Path, text: str) -> None:
    large, who = tmp_path / "report.json", administrator(ready, tmp_path, "admin-a")
    large.write_text(text, "utf-8")
    commands = (["certify", "--verify", str(large)], ["endpoint", "certified", "bidv", "--report", str(large), *who])
    for command in commands:
        ready(*command)  # what is imported once is not counted
        tracemalloc.start()
        try:
            line = clean(ready(*command))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert f"report.json is larger than {certifications.LARGEST:,} bytes" in line
        assert peak < TEN


def test_a_command_says_of_a_mutated_report_in_one_line_what_is_wrong(ready: Run, tmp_path: Path) -> None:
    draw, good, file = random.Random(trust_sizes.seed()), sealed(_Somebody), tmp_path / "report.json"
    who = administrator(ready, tmp_path, "admin-a")
    for _ in range(trust_sizes.size(gate=20, full=500)):
        file.write_bytes(mutated(draw, good))
        if ready("certify", "--verify", str(file)).exit_code:
            clean(ready("certify", "--verify", str(file)))
        clean(ready("endpoint", "certified", "bidv", "--report", str(file), *who))
