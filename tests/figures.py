"""Prints, at the end of a run, the figures that its tests recorded: seed, N, violations; of promises as one table.

A recorded violation ends the run in red even if its test passed, and so does a promise that nothing measured.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

COLUMNS = ("promise", "what", "n", "seed", "violations")
HEADS = ("promise", "what", "N", "seed", "violations")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run name the promises that it must have measured."""
    parser.addoption("--promises", default="", help="promises that must have a figure in this run: P8,P9")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks of this suite known."""
    config.addinivalue_line("markers", "xdist_group(name): tests that run in one process, one after the other")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the table of the promises, and one line per other figure, whichever process ran its test."""
    others = [f"{name} {value}" for name, value in _recorded(terminalreporter) if not _promise(value)]
    if others:
        terminalreporter.section("figures")
        for line in others:
            terminalreporter.write_line(line)
    rows = [[str(each.get(column, "")) for column in COLUMNS] + [_more(each)] for each in _promises(terminalreporter)]
    rows += [[promise, "not measured", "0", "", "", ""] for promise in _missing(terminalreporter)]
    if rows:
        terminalreporter.section("promises")
        table = [[*HEADS, ""], *rows]
        widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
        for row in table:
            terminalreporter.write_line("  ".join(map(str.ljust, row, widths)).rstrip())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn the run red on a violation, or on a promise without a figure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput") or session.exitstatus != pytest.ExitCode.OK:
        return
    if _missing(reporter) or any(each["violations"] for each in _promises(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _recorded(reporter: Any) -> Iterator[tuple[str, Any]]:
    for kind in ("passed", "failed"):
        for report in reporter.stats.get(kind, []):
            yield from getattr(report, "user_properties", [])


def _promise(value: Any) -> dict[str, Any] | None:
    try:
        read = json.loads(value)
    except (TypeError, ValueError):
        return None
    return read if isinstance(read, dict) and "promise" in read else None


def _promises(reporter: Any) -> list[dict[str, Any]]:
    found = [read for _, value in _recorded(reporter) if (read := _promise(value))]
    return sorted(found, key=lambda each: (int(each["promise"][1:]), each["what"], _more(each)))


def _missing(reporter: Any) -> list[str]:
    measured = {each["promise"] for each in _promises(reporter) if each["n"] > 0}
    return [
        promise for promise in reporter.config.getoption("promises").split(",") if promise and promise not in measured
    ]


def _more(figure: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in figure.items() if name not in COLUMNS)
