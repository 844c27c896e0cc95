"""How tests run commands, and what one that failed must look like."""

from collections.abc import Callable

from typer.testing import Result

Run = Callable[..., Result]


def clean(result: Result, code: int = 1) -> str:
    """Assert that a command failed with one line on the standard error and nothing else; return it."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line
