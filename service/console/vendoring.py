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
# The terms of the MIT licence, for a package that names it and ships no file of it.
_MIT = """The MIT License (MIT)

{copyright}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True, slots=True)
class Package:
    """One package: the files taken from it, and which of them are its licence.

    ``copyright`` is for the text of an MIT licence that the package names and does not ship.
    """

    npm_name: str
    short_name: str
    version: str
    licence: str
    files: tuple[str, ...]
    licence_files: tuple[str, ...]
    copyright: str = ""

    @property
    def folder(self) -> str:
        """The folder below ``vendor/``; it carries the version, so that its files never change."""
        return f"{self.short_name}-{self.version}"


PACKAGES = (
    Package(
        "@fontsource/be-vietnam-pro",
        "be-vietnam-pro",
        "5.3.0",
        "OFL-1.1",
        tuple(f"files/be-vietnam-pro-{subset}-{weight}-normal.woff2" for weight in _WEIGHTS for subset in _SUBSETS),
        ("LICENSE",),
    ),
    Package(
        "@tabler/core",
        "tabler-core",
        "1.6.1",
        "MIT",
        ("dist/css/tabler.min.css",),
        (),
        "Copyright 2018-2026 The Tabler Authors\nCopyright 2018-2026 codecalm.net Paweł Kuna",
    ),
    Package("htmx.org", "htmx", "4.0.1", "0BSD", ("dist/htmx.min.js", "dist/ext/hx-sse.min.js"), ("LICENSE",)),
    Package(
        "swagger-ui-dist",
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
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(_packed(package))) as archive:
        for name in (*package.files, *package.licence_files):
            member = archive.extractfile(f"package/{name}")
            if member is None:
                raise FileNotFoundError(f"{package.npm_name} {package.version} has no file {name}")
            contents[Path(name).name] = member.read()
    if package.copyright:
        contents["LICENSE"] = _MIT.format(copyright=package.copyright).encode()
    files = {}
    (FOLDER / package.folder).mkdir()
    for name, content in contents.items():
        path = Path(package.folder) / name
        (FOLDER / path).write_bytes(content)
        files[path.as_posix()] = hashlib.sha256(content).hexdigest()
    return {
        "name": package.npm_name,
        "version": package.version,
        "licence": package.licence,
        "licence_files": [f"{package.folder}/{name}" for name in package.licence_files or ("LICENSE",)],
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
