"""What `make bench` prints and keeps: a table per benchmark, and a JSON file with the machine it was measured on."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import bench_flame
import postgres

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("fastapi", "sqlalchemy", "asyncpg", "httpx", "uvicorn", "cryptography", "python-jose")


def show(name: str, entry: dict[str, Any]) -> None:
    """Print one benchmark's figures: median, spread, goal, and by how much a goal is missed."""
    print(f"\n{name}  ({entry['seconds']:.0f} s)", flush=True)
    for figure, told in entry["figures"].items():
        goal, verdict = told.get("goal"), ""
        if goal:
            sign = "≤" if goal["most"] else "≥"
            verdict = f"{sign} {goal['bound']:g}  " + ("met" if goal["met"] else f"MISSED by {goal['missed_by']}")
        if "postgresql" in told:
            verdict = f"PostgreSQL {told['postgresql']:.4g}"
        spread = f"± {told['spread']:.3g}" if len(told["runs"]) > 1 else ""
        print(f"  {figure:<34}{told['median']:>12.4g}  {spread:<12}{verdict}".rstrip(), flush=True)
    for remark in entry["remarks"]:
        print(f"  {remark}", flush=True)


def write(path: Path, found: dict[str, Any], how: dict[str, float], *, flames: dict[str, str]) -> None:
    """Write all that was measured, and on what, with the flame graphs folded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "commit": _said("git", "rev-parse", "HEAD"),
        "changed": bool(_said("git", "status", "--porcelain", "--untracked-files=no")),
        **how,
        "machine": _machine(),
        "versions": {
            "python": platform.python_version(),
            "postgresql": _said(str(postgres.binaries() / "postgres"), "--version"),
            **{name: metadata.version(name) for name in VERSIONS},
        },
        "settings": {"postgresql": "fsync=on, the defaults of its version", "receivers": "the same machine"},
        "flames": {name: bench_flame.folded(Path(each).read_text()) for name, each in flames.items()},
        "benchmarks": found,
    }
    path.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip()
