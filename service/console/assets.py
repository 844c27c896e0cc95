"""The static files: each is addressed with the digest of its content, so that browsers may keep it for a year."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"

_LONG = "public, max-age=31536000, immutable"
_BRIEF = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file's address and its Subresource Integrity value."""

    url: str
    integrity: str


@cache
def asset(path: str) -> Asset:
    """Return the address of a file below ``static/``. Raises FileNotFoundError for a file that is not there."""
    digest = hashlib.sha256((FOLDER / path).read_bytes()).digest()
    return Asset(f"/static/{path}?v={digest.hex()[:12]}", f"sha256-{base64.b64encode(digest).decode()}")


class StaticAssets(StaticFiles):
    """Serves the files; one that is asked for by its digest, or that lies in a versioned folder, never changes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file with how long it may be kept."""
        response = await super().get_response(path, scope)
        unchanging = scope["query_string"].startswith(b"v=") or path.startswith("vendor/")
        if response.status_code < 400:
            response.headers["Cache-Control"] = _LONG if unchanging else _BRIEF
        return response
