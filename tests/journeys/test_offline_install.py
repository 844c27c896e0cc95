"""A release is installed without a network: from its wheels, by hash, in an environment of its own; the hub answers."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from service import __version__
from service.supply import lock, release

# Nobody answers there: what tries the network fails at once.
_NOWHERE = "http://127.0.0.1:9"


def _run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    cut_off = {"PIP_NO_INDEX": "1", "http_proxy": _NOWHERE, "https_proxy": _NOWHERE, "PIP_CONFIG_FILE": os.devnull}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "HOATOC_"))}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**kept, **cut_off, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.xdist_group("offline")
def test_a_release_installs_without_a_network_and_the_hub_says_what_it_is_made_of(tmp_path: Path) -> None:
    made = tmp_path / "release"
    release.main(made)
    # As the operator checks it: each file is the one that the sums name, and no other is there.
    sums = dict(reversed(line.split("  ")) for line in (made / release.SUMS).read_text().splitlines())
    assert {*sums} | {release.SUMS} == {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert {name: hashlib.sha256((made / name).read_bytes()).hexdigest() for name in sums} == sums
    wheels = {name.removeprefix("wheelhouse/") for name in sums if name.endswith(".whl")}
    assert len(wheels) == len([pin for pin in lock.pins() if pin.applies])

    with tarfile.open(made / f"{release.NAME}.tar") as packed:
        packed.extractall(tmp_path, filter="data")
    tree = tmp_path / release.NAME
    # An environment's own pip would do the same; without one it is made five seconds faster.
    assert _run(sys.executable, "-m", "venv", "--without-pip", ".venv", cwd=tree).returncode == 0
    its = ("--python", tree / ".venv" / "bin" / "python")
    pip = (sys.executable, "-m", "pip", *its, "install", "--no-index", "--no-compile", "-q")
    house = ("--find-links", made / "wheelhouse", "--require-hashes")
    done = _run(*pip, *house, "-r", "requirements/run.txt", cwd=tree)
    assert done.returncode == 0, done.stderr
    done = _run(*pip, "--no-deps", "--no-build-isolation", "-e", ".", cwd=tree)
    assert done.returncode == 0, done.stderr

    hoatoc, data = tree / ".venv" / "bin" / "hoatoc", str(tmp_path / "data")
    assert _run(hoatoc, "version", cwd=tmp_path).stdout == f"{__version__}\n"
    doctor = _run(hoatoc, "doctor", "--json", cwd=tmp_path, HOATOC_DATA_DIR=data)
    states = {check["name"]: check["state"] for check in json.loads(doctor.stdout)}
    # There is no database yet; everything about the build is well.
    assert (doctor.returncode, states["database"], states["token.backend"]) == (1, "failed", "ok")

    # One byte in one wheel, and nothing is installed.
    wheel = next((made / "wheelhouse").glob("h11-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    (line,) = re.findall(r"^h11==(?:.*\\\n)+.*$", lock.LOCK.read_text(), re.MULTILINE)
    (tree / "h11.txt").write_text(line)
    broken = _run(*pip, "--force-reinstall", *house, "-r", "h11.txt", cwd=tree)
    assert broken.returncode != 0 and "DO NOT MATCH THE HASHES" in broken.stderr
