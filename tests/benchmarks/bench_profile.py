"""Flame graphs of a node at work, by py-spy where it is installed, in a load of their own that is not measured."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from journey_processes import Process


class Profiles:
    """Where flame graphs go; ``on`` tells whether there is a profiler and anybody wants them."""

    def __init__(self, folder: Path, environment: Path, wanted: bool) -> None:
        self._folder = folder
        beside = environment / "bin" / "py-spy"
        self._program = str(beside) if beside.exists() else shutil.which("py-spy")
        self.on = wanted and self._program is not None
        self.made: dict[str, str] = {}

    @classmethod
    def none(cls) -> "Profiles":
        """Return what draws nothing."""
        return cls(Path(), Path(), False)

    @contextlib.asynccontextmanager
    async def of(self, node: Process, name: str) -> AsyncIterator[None]:
        """Watch a process while the block runs and write ``flame-<name>.svg``."""
        if not self.on or name in self.made:
            yield
            return
        assert self._program is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"flame-{name}.svg"
        child = await asyncio.create_subprocess_exec(
            *(
                self._program,
                "record",
                "--nonblocking",
                "--rate",
                "200",
                "-d",
                "600",
                "-o",
                str(path),
                "-p",
                str(node.pid),
            ),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGINT)
            await child.wait()
        if path.exists():
            self.made[name] = str(path)
