"""Turns a template into an answer: texts of the reader's language, escaped values, addresses of static files."""

import functools
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import jinja2
from fastapi import Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from service import i18n
from service.console import assets, forms, places
from service.i18n import formats
from service.settings import Settings

LANGUAGE_COOKIE = "hoatoc_lang"
# A language's own name is never translated: who cannot read the page must still find it.
LANGUAGE_NAMES = {"vi": "Tiếng Việt", "en": "English"}

_REFUSED, _UNKNOWN = 400, 404
_PAGING = frozenset({"after", "limit"})
_YEAR = int(timedelta(days=365).total_seconds())
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@functools.cache
def icon(name: str) -> Markup:
    """Return a drawing of the sprite; it repeats in a shape what the text beside it says."""
    use = Markup('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>')
    return use.format(assets.asset("icons.svg").url, name)


_ENVIRONMENT.globals.update(
    asset=assets.asset,
    icon=icon,
    language_names=LANGUAGE_NAMES,
    csrf_token=None,
    seat=None,
)
_ENVIRONMENT.filters.update(
    money=lambda amount: forms.joined(formats.money(amount)),
    joined=forms.joined,
    moment=forms.moment,
    clock=forms.clock_time,
    day=forms.day,
    utc=forms.utc,
)


def language(request: Request) -> str:
    """Return the language to answer in: the one asked for, else the remembered one, else Vietnamese."""
    for wanted in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if wanted in i18n.LANGUAGES:
            return wanted
    return i18n.LANGUAGES[0]


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    here: str | None = None,
    keeps: Collection[str] = (),
    **context: Any,
) -> HTMLResponse:
    """Render a page in the reader's language, and remember a language that was chosen by a link.

    ``here`` is the address that the language links keep; default: the page's own, with its place in a list and the
    parameters that it ``keeps``.
    """
    lang = language(request)
    path = request.url.path
    seat = getattr(request.state, "seat", None)
    start = places.start(seat)
    if status == _UNKNOWN or (status >= _REFUSED and not _names_ids_alone(request)):
        # No answer repeats what was sent: somebody may have put a person's number into the address. What is unknown
        # looks the same whatever it was called.
        here, path = start, ""
    settings = request.app.state.hub.settings
    body = _ENVIRONMENT.get_template(template).render(
        language_links={each: _address(request, here, each, keeps) for each in i18n.LANGUAGES},
        path=path,
        places=places.of(seat),
        start=start,
        drill=settings.drill,
        drill_mark=i18n.text("drill.mark", lang),
        **_words(lang),
        **{
            "seat": seat,
            "csrf_token": getattr(request.state, "csrf_token", None),
            # A refusal has no instant in it: what is not there and what is another's are one page, byte by byte.
            "clock_at": seat.now if seat and status < _REFUSED else None,
            **context,
        },
    )
    response = HTMLResponse(body, status, {"Content-Language": lang})
    if request.query_params.get("lang") == lang:
        response.set_cookie(
            LANGUAGE_COOKIE,
            lang,
            max_age=_YEAR,
            httponly=True,
            samesite="lax",
            secure=forms.needs_secure_cookie(settings.address),
        )
    return response


def mark(settings: Settings, lang: str) -> str | None:
    """Return the words that say that this hub is a drill's; None at the real one."""
    return i18n.text("drill.mark", lang) if settings.drill else None


def attachment(settings: Settings, name: str, how: str = "attachment") -> str:
    """Return the Content-Disposition of a file to take along; a drill's name says so wherever the file goes.

    ``how`` is ``inline`` for a file that the browser shows.
    """
    return f'{how}; filename="{"DIEN-TAP-" if settings.drill else ""}{name}"'


def part(template: str, lang: str, **context: Any) -> str:
    """Render a part of a page, for one that is open already."""
    return _ENVIRONMENT.get_template(template).render(**_words(lang), **context)


def _words(lang: str) -> dict[str, Any]:
    return {
        "lang": lang,
        "t": _translator(lang),
        "term": lambda group, code: _term(lang, group, str(code)),
        # The stamp of an urgent paper is the Vietnamese one in every language.
        "vietnamese": lambda group, code: _term("vi", group, str(code)),
        "gap": lambda between: forms.gap(between, lang),
        "left": lambda due_at, now, stage=None: forms.left(due_at, now, lang, stage),
    }


def _names_ids_alone(request: Request) -> bool:
    """Tell whether the parts of the address that vary are ids of the hub's own making, such as a request's."""
    try:
        return all(UUID(str(value)) for value in request.path_params.values())
    except ValueError:
        return False


def _translator(lang: str) -> Callable[..., str]:
    return lambda key, **params: i18n.text(f"console.{key}", lang, **params)


def _term(lang: str, group: str, code: str) -> str:
    """Return a code's display name; a code of a newer version is shown as it is."""
    return i18n.sentence_case(i18n.texts(lang).get(f"terms.{group}.{code}", code))


def _address(request: Request, here: str | None, lang: str, keeps: Collection[str]) -> str:
    known = _PAGING.union(keeps)
    kept = [] if here else [(name, value) for name, value in request.query_params.multi_items() if name in known]
    return f"{here or request.url.path}?{urlencode([*kept, ('lang', lang)])}"
