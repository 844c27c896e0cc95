"""A throw-away PostgreSQL for tests: started as an unprivileged user, gone afterwards.

``python tests/postgres.py -- command …`` runs a command with two servers and returns its exit code: the one in
HOATOC_TEST_POSTGRES is as durable as in production, the one in HOATOC_TEST_POSTGRES_QUICK survives no crash, and is for
tests that make and drop a database each. With ``--no-fsync`` both are one, without fsync. What need not survive a crash
lies in memory where there is room for it: that server, and the folders that pytest gives its tests. Without a command
the script prints the URL and serves until Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

VARIABLE = "HOATOC_TEST_POSTGRES"
QUICK = "HOATOC_TEST_POSTGRES_QUICK"
USER = "hoatoc"
# As in production: the schema is one login's, and the hub works as another, a member of the role that owns nothing.
OWNER, LOGIN, ROLE = "hoatoc_test_owner", "hoatoc_test_hub", "hoatoc_app"
START_WITHIN = 30.0
MEMORY = Path("/dev/shm")
# A run's databases and folders are a fraction of it.
_ROOM = 4 << 30


class NoPostgres(Exception):
    """PostgreSQL cannot be started here; the message says what is missing."""


def binaries() -> Path:
    """Return the folder of the newest installed PostgreSQL server."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoPostgres("no PostgreSQL server is installed (Debian: apt-get install postgresql)")


def unprivileged() -> tuple[list[str], pwd.struct_passwd | None]:
    """Return how to run a command as somebody else than root, and who that is; nothing to do for others than root."""
    if os.geteuid() != 0:
        return [], None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"], user
    raise NoPostgres("PostgreSQL refuses root, and there is neither a user postgres nor nobody")


def memory() -> Path | None:
    """Return a folder that lies in memory and has room for a run of the tests, or None where there is none."""
    try:
        free = min(shutil.disk_usage(MEMORY).free, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return None
    return MEMORY if free >= 2 * _ROOM else None


class Server:
    """One server on a free port of the loopback; it can crash and come back, with what is on its disk.

    ``more`` are further settings; ``laid_down`` is a data directory that exists: it is moved into the server's folder,
    which is made ``inside`` of one.
    """

    def __init__(
        self,
        *,
        fsync: bool = True,
        more: Mapping[str, str] | None = None,
        laid_down: Path | None = None,
        inside: Path | None = None,
    ) -> None:
        self._programs = binaries()
        self._prefix, self._user = unprivileged()
        self._laid_down = laid_down
        self.folder = Path(tempfile.mkdtemp(prefix="hoatoc-postgres-", dir=inside))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "on" if fsync else "off",
            "max_connections": 200,
            "timezone": "UTC",
            **(more or {}),
        }
        self._options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Where it is, without a database's name."""
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}"

    def make(self) -> None:
        """Lay the files down, start, and make the roles that a hub needs."""
        self.give_folder()
        if self._laid_down is None:
            _initialise([*self._prefix, str(self._programs / "initdb")], self.data)
        else:
            shutil.move(self._laid_down, self.data)
            for path in (self.data, *self.data.rglob("*")) if self._user is not None else ():
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self.start()
        if self._laid_down is None:
            # On a thread of its own: whoever starts a server may have a loop that runs.
            with ThreadPoolExecutor(1) as aside:
                aside.submit(asyncio.run, _make_roles(self.port)).result()

    def give_folder(self) -> None:
        """Let the server's own user write into its folder."""
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)

    def start(self) -> None:
        """Start on what is there; return when it answers."""
        until = time.monotonic() + START_WITHIN
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._prefix, str(self._programs / "postgres"), "-D", str(self.data), *self._options],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=self.folder,
                )
            try:
                _wait_for(self._process, self.port, self.folder / "log")
                return
            except NoPostgres:
                # After a crash the last of the former server's processes may still hold its memory.
                if self._process.poll() is None or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def crash(self) -> None:
        """``kill -9``: whatever it had not yet written to disk is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs as the server's user. Raises NoPostgres with what it said."""
        command = [*self._prefix, str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode:
            raise NoPostgres(f"{program} failed: {done.stderr.strip()}")

    def stop(self) -> None:
        """Stop it and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running(
    *,
    fsync: bool = True,
    more: Mapping[str, str] | None = None,
    laid_down: Path | None = None,
    inside: Path | None = None,
) -> Iterator[str]:
    """Start a server, yield its URL, stop it and remove its files; the arguments are ``Server``'s."""
    server = Server(fsync=fsync, more=more, laid_down=laid_down, inside=inside)
    try:
        server.make()
        yield server.url
    finally:
        server.stop()


def _initialise(initdb: list[str], data: Path) -> None:
    made = subprocess.run(
        [*initdb, "-D", str(data), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        cwd=data.parent,
    )
    if made.returncode:
        raise NoPostgres(f"initdb failed: {made.stderr.strip()}")


async def _make_roles(port: int) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user=USER, database="postgres")
    try:
        await connection.execute(
            f"CREATE ROLE {ROLE} NOLOGIN; CREATE ROLE {OWNER} LOGIN; CREATE ROLE {LOGIN} LOGIN IN ROLE {ROLE}"
        )
    finally:
        await connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_WITHIN
    ready = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", USER]
    while subprocess.run(ready, check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise NoPostgres(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def main(arguments: list[str]) -> int:
    """Run the command behind ``--``, or serve until interrupted; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--no-fsync", action="store_true", help="one server that survives no crash")
    parser.add_argument("command", nargs="*", help="what to run, behind --")
    given = parser.parse_args(arguments)
    # Asked to end, end like after Ctrl-C, so that the server never outlives this script.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with contextlib.ExitStack() as servers:
            inside = memory()
            url = servers.enter_context(running(fsync=not given.no_fsync, inside=inside if given.no_fsync else None))
            if given.command:
                # To drop a database is to wait for a checkpoint on the disk, thousands of times.
                quick = url if given.no_fsync else servers.enter_context(running(fsync=False, inside=inside))
                environment = {**os.environ, VARIABLE: url, QUICK: quick}
                if inside is not None:
                    # An embedded database waits for its disk at each commit, as it must.
                    folders = servers.enter_context(tempfile.TemporaryDirectory(prefix="hoatoc-tests-", dir=inside))
                    environment.setdefault("PYTEST_DEBUG_TEMPROOT", folders)
                return subprocess.run(given.command, env=environment, check=False).returncode
            print(url, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            return 0
    except NoPostgres as missing:
        print(f"tests/postgres.py: {missing}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
