"""Structured logs as JSON lines, of this code and of every library; what looks like personal data is taken out last."""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from service import metrics

REDACTED = "[redacted]"

# Fields whose content is a person's, or opens a door, whatever it looks like.
_SECRET_KEYS = frozenset(
    {"value", "holder", "holder_name", "name", "phone", "email", "address", "account", "number", "amount"}
    | {"authorization", "token", "assertion", "secret", "password", "cookie", "body", "body_head", "parameters"}
)
_SUSPICIOUS = re.compile(
    r"(?<![0-9A-Za-z-])\+?\d(?:[ .]?\d){7,}(?![0-9A-Za-z-])"  # accounts, cards, telephones; not parts of a UUID
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"  # e-mail
    r"|eyJ[\w-]{8,}\.[\w.-]+"  # tokens
    r"|whsec_[\w+/=-]+"
)


class Logger(structlog.stdlib.BoundLogger):
    """A logger that counts errors; ``exception`` hands none on to the standard library, which would print it."""

    def error(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log an error and count it by its code, so that it is seen where nobody reads the log."""
        metrics.ERRORS.labels(event).inc()
        return super().error(event, *args, **fields)

    def exception(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log an error and where it happened."""
        fields.setdefault("exc_info", True)
        return self.error(event, *args, **fields)


def configure(level: str = "info") -> None:
    """Send all logs of this process, the libraries' too, to the standard error as JSON lines, from ``level`` on."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=Logger,
        # Not cached: a module's logger obeys what is configured now, whoever used it first.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_LAST],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A line that cannot be written is lost; the standard library would print its arguments as they are.
    logging.raiseExceptions = False
    # These tell of every tick, every address and every statement.
    for chatty in ("httpx", "httpcore", "aiosqlite", "sqlalchemy.engine", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What goes wrong there the worker tells itself; that a tick found the one before still running is no news.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def get(name: str) -> Logger:
    """Return the logger of a module; an event is a code such as ``loop.died``, its fields are codes and ids."""
    logger: Logger = structlog.get_logger(name)
    return logger


def where_it_failed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its class and frames: its text may repeat the parameters of a statement."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    error = given if isinstance(given, BaseException) else (given if isinstance(given, tuple) else sys.exc_info())[1]
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
        event["frames"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what looks like an account, a telephone, an address or a secret, at any depth."""
    return {key: value if key == "timestamp" else _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    if key.lower() in _SECRET_KEYS:
        return REDACTED
    if isinstance(value, str):
        return _SUSPICIOUS.sub(REDACTED, value)
    if isinstance(value, bytes):
        return REDACTED
    if isinstance(value, Mapping):
        return {inner: _redacted(str(inner), cell) for inner, cell in value.items()}
    if isinstance(value, list | tuple | set):
        return [_redacted(key, cell) for cell in value]
    return value


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    where_it_failed,
]
_LAST: list[structlog.typing.Processor] = [redact, structlog.processors.JSONRenderer(ensure_ascii=False)]

# A process that has not called configure() yet logs the same way; structlog's own default shows local variables.
structlog.configure(
    processors=[*_SHARED, *_LAST],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=Logger,
)
