"""What is typed into a search: it stands in no address, hence in no log and no history, but in a cookie of its session.

What is typed may be a person's name or number. The address says no more than that something is searched for, and by
which cookie.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse

from service.console import doors
from service.security import console_session
from service.security.console_session import SessionToken

# The parameter of the address that names the cookie.
SEARCHED = "searched"
_LONGEST_TEXT = 64
_TAG = 12  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Typed:
    """The text that a page searches for, and what its address says of it: nothing is searched for without ``tag``."""

    text: str
    tag: str

    @property
    def is_over(self) -> bool:
        """Tell whether something was searched for that is not kept any longer."""
        return bool(self.tag) and not self.text


@dataclass(frozen=True, slots=True)
class Search:
    """The search of the page at ``path``, whose cookie no other page's search takes the place of."""

    path: str
    cookie: str

    def typed(self, request: Request, now: datetime) -> Typed:
        """Return what the address and its cookie search for."""
        tag = request.query_params.get(SEARCHED, "")[:_TAG]
        hidden = request.cookies.get(self._name(request), "")
        # Another tab's search has another cookie: what it looks for must not be taken for what this one does.
        is_its = tag == _tag(hidden)
        text = console_session.reveal(SessionToken(doors.presented(request)), hidden, now) if is_its else ""
        return Typed(text, tag)

    def begin(self, request: Request, now: datetime, text: str, chosen: Mapping[str, str]) -> RedirectResponse:
        """Return the way to the page: what was ``chosen`` goes into its address, the ``text`` into the cookie."""
        text = text.strip()[:_LONGEST_TEXT]
        hidden = console_session.hide(SessionToken(doors.presented(request)), text, now)
        values = {name: value for name, value in chosen.items() if value} | ({SEARCHED: _tag(hidden)} if text else {})
        query = urlencode(values)
        response = RedirectResponse(f"{self.path}?{query}" if query else self.path, 303)
        name, secure = self._name(request), doors.is_secure(request)
        if text:
            response.set_cookie(name, hidden, path=self.path, httponly=True, samesite="strict", secure=secure)
        else:
            response.delete_cookie(name, path=self.path, httponly=True, samesite="strict", secure=secure)
        return response

    def _name(self, request: Request) -> str:
        return f"__Secure-{self.cookie}" if doors.is_secure(request) else self.cookie


def _tag(hidden: str) -> str:
    # Of what is sealed with a nonce: it tells nothing of the text.
    return hashlib.sha256(hidden.encode("utf-8", "surrogatepass")).hexdigest()[:_TAG]
