"""Tools that tests use and this environment cannot hold, Node's and another Python's, installed once for each lock."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path


def node(folder: Path) -> Path:
    """Install the locked packages of ``folder`` (package.json, package-lock.json); return where node_modules is."""

    def install(place: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, place)
        # No package runs anything while it is installed: one of them would count installations.
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(["npm", "ci", *quiet], cwd=place, check=True)

    return _once("node", folder / "package-lock.json", install)


def newer_node(folder: Path, needed: tuple[int, int]) -> Path | None:
    """Return a folder with a node of at least ``needed`` in it, or None where the system's own is as new.

    ``folder`` has the lock of a node that npm brings, for the machines that it is made for; elsewhere, and with an npm
    that cannot run, ``RuntimeError`` says what to install.
    """
    own = shutil.which("node")
    if own is not None and version(own) >= needed:
        return None
    try:
        found = sorted(node(folder).glob("node_modules/node-*/bin/node"))
    except (OSError, subprocess.CalledProcessError):
        found = []
    if not found or version(str(found[0])) < needed:
        raise RuntimeError(
            f"Node {needed[0]}.{needed[1]} or later is needed here, and npm brings none for this machine"
        )
    return found[0].parent


def version(command: str) -> tuple[int, int]:
    """Return the version of a node; (0, 0) for what does not tell one."""
    try:
        told = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0, 0
    named = re.match(r"v(\d+)\.(\d+)\.", told)
    return (int(named[1]), int(named[2])) if named else (0, 0)


def python(lock: Path) -> Path:
    """Make an environment of its own from a hashed requirement file; return its folder of commands."""

    def install(place: Path) -> None:
        venv.create(place / "venv", with_pip=True)
        quiet = ["-q", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run(
            [str(place / "venv" / "bin" / "pip"), "install", *quiet, "--require-hashes", "-r", str(lock)], check=True
        )

    return _once("python", lock, install) / "venv" / "bin"


def _once(what: str, lock: Path, install: Callable[[Path], None]) -> Path:
    place = Path(sys.prefix) / f"locked-{what}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (place / "whole").exists():
            install(place)
            (place / "whole").touch()
    return place
