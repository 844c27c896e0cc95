"""How tests run commands, and what one that failed must look like."""

from collections.abc import Callable
from pathlib import Path

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


def new_key(run: Run, folder: Path, name: str = "client") -> tuple[Path, Path]:
    """Make a key pair; return the files of its private and its public half."""
    private, public = folder / f"{name}.jwk", folder / f"{name}.pub.json"
    public.write_text(run("keygen", str(private)).stdout)
    return private, public


def administrator(run: Run, folder: Path, name: str) -> tuple[str, ...]:
    """Enrol an administrator's system and return the options by which he shows its key."""
    private, public = new_key(run, folder, name)
    enrolled = run("enroll", "client", "hoatoc-hub", name, "--role", "hub_admin", "--key", str(public))
    assert enrolled.exit_code == 0, enrolled.output
    return ("--by", name, "--key", str(private))
