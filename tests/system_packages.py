"""Installs what the tests need of the system (PostgreSQL, Chromium, haproxy, Node, a JDK), or says what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

APT = "apt-get"


def missing() -> dict[str, str]:
    """Return the Debian packages that are needed and not installed, with what they are for."""
    wanted: dict[str, str] = {}
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and shutil.which("initdb") is None:
        wanted["postgresql"] = "the tests start their own PostgreSQL server"
    if shutil.which("chromium-headless-shell") is None and shutil.which("chromium") is None:
        wanted["chromium-headless-shell"] = "the pages are tested in a real browser"
    if shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        wanted["haproxy"] = "the proxy in front is tested by starting it"
    if not Path("/usr/lib/softhsm/libsofthsm2.so").exists():
        wanted["softhsm2"] = "the vault's master key is tested in a PKCS#11 token"
    if shutil.which("node") is None or shutil.which("npm") is None:
        wanted |= {"nodejs": "what the hub sends is read by JavaScript", "npm": "and by a library that npm brings"}
    if shutil.which("javac") is None:
        wanted["default-jdk-headless"] = "and by Java"
    if not any(Path("/usr").glob("l*/**/faketime/libfaketimeMT.so.1")):
        wanted["libfaketime"] = "nodes work with clocks that are wrong"
    return wanted


def main() -> int:
    """Install what is missing; return 0 when everything is there."""
    wanted = missing()
    if not wanted:
        return 0
    say = sys.stderr.write
    say("missing: " + ", ".join(f"{name} ({why})" for name, why in wanted.items()) + "\n")
    root = os.geteuid() == 0
    can_sudo = shutil.which("sudo") is not None and subprocess.run(["sudo", "-n", "true"], check=False).returncode == 0
    if shutil.which(APT) is None or not (root or can_sudo):
        say(f"please install {' and '.join(wanted)} (Debian: {APT} install {' '.join(wanted)}) and run this again\n")
        return 1
    prefix = [] if root else ["sudo", "-n"]
    # Debian's package starts a cluster of its own; the tests never use it.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *wanted]):
        done = subprocess.run([*prefix, APT, *step], env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            say(f"{APT} {' '.join(step)} failed; please install {' and '.join(wanted)} and run this again\n")
            return 1
    return 1 if missing() else 0


if __name__ == "__main__":
    sys.exit(main())
