"""Tools that tests use and this environment cannot hold, Node's and another Python's, installed once for each lock."""

import fcntl
import hashlib
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
