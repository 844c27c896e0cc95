"""Every error the hub answers with: a stable code, an HTTP status and the fields that are wrong.

HubError                        the base: code, status, field errors, parameters for both languages
├── InvalidInput        422     a field is wrong; nothing was written
├── MalformedInput      400     the body is not what JSON or the protocol asks for
├── Unauthenticated     401     no token, or one that is refused
├── Forbidden           403     a scope or an authority rule says no
├── NotFound            404     unknown, or another's: the two answers are byte-identical
├── Conflict            409     the thing is in a state that does not allow it
├── TooSlow             408     the head did not arrive in time
├── TooLarge            413     the body is over 64 KiB
├── UrlTooLong          414     the address is longer than the hub reads
├── WrongType           415     the content type is not the one that the route takes
├── TooManyRequests     429     over a limit; says when to come back
├── HeadTooLarge        431     the headers are more than the hub reads
└── Unavailable         503     the hub cannot do it now; says when to come back
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a JSON pointer into the body (or a header's or parameter's name) and a stable code."""

    field: str
    code: str
    params: dict[str, Any] = dataclasses.field(default_factory=dict)


class HubError(Exception):
    """An error with a stable ``code``; its sentences are ``errors.<code>`` in ``service/i18n``."""

    status = 500

    def __init__(
        self,
        code: str,
        *,
        fields: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
        **params: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields
        self.params = params
        self.retry_after = retry_after


class InvalidInput(HubError):
    """A field is wrong; ``fields`` says which and why."""

    status = 422

    @classmethod
    def of(cls, pointer: str, code: str, **params: Any) -> "InvalidInput":
        """Build the error of one wrong field."""
        return cls("input.invalid", fields=(FieldError(pointer, code, params),))


class MalformedInput(HubError):
    """The body or a header is not what the protocol asks for."""

    status = 400


class Unauthenticated(HubError):
    """There is no token, or it is refused; the answer never says why, the audit does."""

    status = 401


class Forbidden(HubError):
    """A scope is missing, or an authority rule refuses (``authority.<rule>``)."""

    status = 403


class NotFound(HubError):
    """Unknown or another's."""

    status = 404

    def __init__(self) -> None:
        super().__init__("not_found")


class Conflict(HubError):
    """The state of the thing does not allow it."""

    status = 409


class TooLarge(HubError):
    """The body is larger than the hub reads."""

    status = 413


class TooSlow(HubError):
    """The head of a request did not arrive in time."""

    status = 408


class UrlTooLong(HubError):
    """The address is longer than the hub reads."""

    status = 414


class HeadTooLarge(HubError):
    """The headers are more than the hub reads."""

    status = 431


class WrongType(HubError):
    """The content type is not the one that the route takes."""

    status = 415


class TooManyRequests(HubError):
    """Over a limit."""

    status = 429


class Unavailable(HubError):
    """The hub cannot do it now."""

    status = 503
