"""The last step of the scene: a request's evidence leaves the hub as one file and is verified where no hub is."""

import asyncio
import os
import sys
from pathlib import Path

from service.settings import Settings

_WITHIN = 60.0


async def export(settings: Settings, request_id: str, name: str) -> Path:
    """Let ``hoatoc evidence export`` write a request's bundle into the demo's folder; return the file."""
    path = settings.data_dir / f"{name}.json"
    code, told = await _hoatoc(settings.data_dir, "export", request_id, "--to", str(path))
    if code:
        raise RuntimeError(f"hoatoc evidence export: {told}")
    return path


async def verify(path: Path) -> tuple[bool, str]:
    """Let ``hoatoc evidence verify`` judge a file in a folder without a database; return whether it holds, and why."""
    code, told = await _hoatoc(path.parent / "elsewhere", "verify", str(path))
    lines = told.strip().splitlines()
    wrong = [line for line in lines if line.startswith("WRONG")]
    return code == 0, (wrong or lines[-1:] or [""])[0]


def tamper(path: Path, said: str, instead: str) -> Path:
    """Write a copy of the file in which one text stands instead of another, and nothing else."""
    other = path.with_name(f"tampered-{path.name}")
    other.write_text(path.read_text(encoding="utf-8").replace(said, instead), encoding="utf-8")
    return other


async def _hoatoc(data_dir: Path, *command: str) -> tuple[int, str]:
    environment = {**os.environ, "HOATOC_DATA_DIR": str(data_dir)}
    environment.pop("HOATOC_DATABASE_URL", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.cli", "evidence", *command),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await asyncio.wait_for(process.communicate(), _WITHIN)
    return process.returncode or 0, told.decode()
