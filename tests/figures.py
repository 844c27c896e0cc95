"""Prints, at the end of a run, the figures that kill, fault and fuzz tests recorded: seed, N, violations."""

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write one line per recorded figure, whichever process ran its test."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [f"{name} {value}" for report in reports for name, value in getattr(report, "user_properties", [])]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks of this suite known."""
    config.addinivalue_line("markers", "xdist_group(name): tests that run in one process, one after the other")
