"""Fetches the third-party files of the pages anew: ``python -m service.console.vendoring``, for developers with npm."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "static" / "vendor"
MANIFEST = FOLDER / "vendor.json"

_WEIGHTS = (400, 600, 700)
_SUBSETS = ("latin", "vietnamese")


@dataclass(frozen=True, slots=True)
class Package:
    """One package: the files taken from it, and which of them are its licence."""

    npm_name: str
    version: str
    licence: str
    files: tuple[str, ...]
    licence_files: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The folder below ``vendor/``; it carries the version, so that its files never change."""
        return f"{self.npm_name.rpartition('/')[2]}-{self.version}"


PACKAGES = (
    Package(
        "@fontsource/be-vietnam-pro",
        "5.3.0",
        "OFL-1.1",
        tuple(f"files/be-vietnam-pro-{subset}-{weight}-normal.woff2" for weight in _WEIGHTS for subset in _SUBSETS),
        ("LICENSE",),
    ),
    Package(
        "swagger-ui-dist",
        "5.35.0",
        "Apache-2.0",
        ("swagger-ui.css", "swagger-ui-bundle.js"),
        ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"),
    ),
)


def main() -> None:
    """Replace everything below ``static/vendor/`` by what the packages hold, and write the manifest."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    manifest = [_vendor(package) for package in PACKAGES]
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{sum(len(entry['files']) for entry in manifest)} files of {len(manifest)} packages\n")


def _vendor(package: Package) -> dict[str, Any]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(_packed(package))) as archive:
        for name in (*package.files, *package.licence_files):
            member = archive.extractfile(f"package/{name}")
            if member is None:
                raise FileNotFoundError(f"{package.npm_name} {package.version} has no file {name}")
            content = member.read()
            path = Path(package.folder) / Path(name).name
            (FOLDER / path).parent.mkdir(exist_ok=True)
            (FOLDER / path).write_bytes(content)
            files[path.as_posix()] = hashlib.sha256(content).hexdigest()
    return {
        "name": package.npm_name,
        "version": package.version,
        "licence": package.licence,
        "licence_files": [f"{package.folder}/{name}" for name in package.licence_files],
        "files": files,
    }


def _packed(package: Package) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package.npm_name}@{package.version}"
        command = [npm, "pack", "--silent", "--ignore-scripts", wanted]
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - all of it stands above
        (packed,) = Path(folder).glob("*.tgz")
        return packed.read_bytes()


if __name__ == "__main__":
    main()
