"""Builds what is installed on a closed network: ``python -m service.supply.release FOLDER``, twice the same bytes."""

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from service import __version__
from service.supply import bom, lock

# What the image copies, and no more: neither tests nor anything that is not under version control.
SHIPPED = (
    *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "SECURITY.md", "CHANGELOG.md"),
    *("requirements/run.txt", "workflows", "adapters", "alembic", "openapi", "service"),
)
NAME = f"hoatoc-{__version__}"
SUMS = "SHA256SUMS"
# A tree without history, such as an unpacked release, states no instant of its own: zip's first day.
_NO_EPOCH = 315_532_800


def main(folder: Path) -> None:
    """Fill ``folder`` with the wheels of the lock, the tree, the bill of materials, and the SHA-256 of them all."""
    house = folder / "wheelhouse"
    house.mkdir(parents=True, exist_ok=True)
    collect(house)
    epoch, commit = moment()
    wheels = {path.name: _sha256(path) for path in sorted(house.glob("*.whl"))}
    tree = folder / f"{NAME}.tar"
    tree.write_bytes(archive(files(), epoch))
    (folder / f"{NAME}.cdx.json").write_bytes(bom.dumps(bom.document(epoch, commit, wheels, _sha256(tree))))
    made = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in made]
    (folder / SUMS).write_text("".join(lines), "utf-8")
    sys.stdout.write(f"{len(wheels)} wheels, the tree and its bill of materials: {folder}\n")


def collect(house: Path) -> None:
    """Bring the wheels of the lock into ``house``: exactly the files whose hashes are locked, nothing that is built."""
    for old in house.glob("*.whl"):
        old.unlink()
    # The lock names everything, so nothing has to be resolved.
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "--no-deps")
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(house), "-r", str(lock.LOCK)]
    subprocess.run(command, check=True)  # noqa: S603 - all of it stands above


def archive(names: Sequence[str], epoch: int, root: Path = lock.ROOT) -> bytes:
    """Return a tar of the files ``names`` below ``root``: sorted, owned by nobody, of one instant, uncompressed.

    No compressor stands between two builds on unlike machines.
    """
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(names):
            content = (root / name).read_bytes()
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), epoch, 0o644
            tar.addfile(entry, BytesIO(content))
    return packed.getvalue()


def files(root: Path = lock.ROOT) -> list[str]:
    """Return what is shipped: what git knows of it, or, without git, all of it but caches."""
    listed = _git(root, "ls-files", "-z", "--", *SHIPPED)
    if listed is not None:
        return [name for name in listed.split("\0") if name and (root / name).is_file()]
    found = [path for name in SHIPPED for path in (root / name, *(root / name).rglob("*")) if path.is_file()]
    return [str(path.relative_to(root)) for path in found if "__pycache__" not in path.parts]


def moment(root: Path = lock.ROOT) -> tuple[int, str]:
    """Return the instant that a build states, and its commit, which says whether anything was changed since."""
    logged = _git(root, "log", "-1", "--format=%ct %H")
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if logged is None:
        return int(stated or _NO_EPOCH), "unknown"
    seconds, commit = logged.split()
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *SHIPPED)
    return int(stated or seconds), f"{commit} with changes" if changed else commit


def _git(root: Path, *arguments: str) -> str | None:
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - no text of others in it
    return done.stdout


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
