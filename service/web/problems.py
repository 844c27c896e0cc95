"""Every error as an RFC 9457 problem with a stable code and both languages; no answer repeats what was sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException  # noqa: TID251 - the framework's own 404 and 405 become problems here

from service import i18n, log, outages, standby
from service.errors import FieldError, Forbidden, HubError, TooManyRequests, Unauthenticated, Unavailable
from service.security.principals import ScopeMissing
from service.web import validation

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:hoatoc:problem:"

# RFC 9449, section 7.1, without an error: what is wrong with a token is for the audit, not for the caller.
_CHALLENGE = 'DPoP realm="hoatoc", algs="ES256"'
_WAIT = {Unavailable: 5, TooManyRequests: 1}  # seconds, where the error does not say
_FRAMEWORK = {404: "not_found", 405: "method_not_allowed", 413: "body.too_large"}

# The database has gone, is full, or has no connection left: whether a commit took effect may be unknown, and the same
# call again is the way to find out, so the caller is told to come back.
_DATABASE = (*outages.MAY_BE, standby.NotReplicated)

_log = log.get("hoatoc.web")


def document(
    status: int, code: str, fields: Sequence[FieldError] = (), params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the members of a problem: the same code, fields and parameters give the same document."""
    params = params or {}
    return {
        "type": TYPE_PREFIX + code,
        "title": _text(f"errors.{code}.title", "errors.unknown.title", "en", params),
        "title_vi": _text(f"errors.{code}.title", "errors.unknown.title", "vi", params),
        "status": status,
        "detail": _text(f"errors.{code}.detail", "errors.unknown.detail", "en", params),
        "detail_vi": _text(f"errors.{code}.detail", "errors.unknown.detail", "vi", params),
        "code": code,
        "errors": [
            {
                "field": each.field,
                "code": each.code,
                "message": field_message(each, "en"),
                "message_vi": field_message(each, "vi"),
            }
            for each in fields
        ],
    }


def field_message(error: FieldError, lang: str) -> str:
    """Return the sentence of one wrong field: ``fields.<code>``, or the detail of the error of that code."""
    key = f"fields.{error.code}"
    return _text(key if i18n.has(key) else f"errors.{error.code}.detail", "fields.field.value", lang, error.params)


def answer(error: HubError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a HubError, with ``Retry-After`` and ``WWW-Authenticate`` where they are due."""
    extra = dict(headers or {})
    wait = error.retry_after or _WAIT.get(type(error))
    if wait is not None:
        extra["Retry-After"] = str(wait)
    if isinstance(error, Unauthenticated):
        extra["WWW-Authenticate"] = _CHALLENGE
    return respond(document(error.status, error.code, error.fields, error.params), extra)


def internal(incident: str) -> Response:
    """Return the 500 of an exception that nobody expected; ``incident`` finds it in the log."""
    problem = document(500, "internal", params={"incident": incident})
    return respond({**problem, "instance": f"urn:uuid:{incident}"})


def respond(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return a response that carries a problem."""
    # A parameter is ours, so a surrogate in it is a mistake of ours, which must not turn a 4xx into a 500.
    body = json.dumps(problem, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
    return Response(body, problem["status"], {"Content-Language": "en, vi", **(headers or {})}, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make ``app`` answer each error as a problem; exceptions nobody expected are answered by the request log."""
    app.add_exception_handler(HubError, _hub_error)
    app.add_exception_handler(ScopeMissing, _scope_missing)
    for kind in _DATABASE:
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _framework_error)


async def _hub_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return answer(error)


async def _scope_missing(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ScopeMissing)
    return answer(Forbidden("scope.missing", scope=error.scope.value))


async def _unavailable(_request: Request, error: Exception) -> Response:
    if not outages.is_outage(error):
        raise error
    _log.error("database.unavailable", exc_info=error)
    return answer(Unavailable("unavailable"))


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(validation.translate(error.errors(), request.scope.get("state", {}).get("json")))


async def _framework_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK.get(error.status_code, "unknown")
    return respond(document(error.status_code, code), error.headers)


def _text(key: str, otherwise: str, lang: str, params: Mapping[str, Any]) -> str:
    try:
        return i18n.text(key, lang, **params)
    except i18n.MissingText as missing:
        # The tests find missing texts; in production the caller still gets the status and the code.
        _log.error("text.missing", text=str(missing))
        return i18n.text(otherwise, lang)
