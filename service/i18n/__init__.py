"""Every sentence that a person reads, in Vietnamese and English, from TOML files: a folder a language, a file a theme.

A key is ``<file>.<path>``: ``errors.input.invalid.title``, ``facts.order.placed``, ``terms.stage.receipt``. A text
names its parameters in braces, with an optional form: ``{amount:money}``, ``{due_at:instant}``,
``{latency_ms:duration}`` or a group of ``terms`` (``{stage:stage}``). ``[[ … | … ]]`` is a part that is left out, or
replaced by the next alternative, where one of its parameters is absent.
"""

import functools
import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import resources
from typing import Any

from service.i18n import formats

LANGUAGES = ("vi", "en")
FALLBACK_RUNG = 3  # a ladder may have more rungs than there are letters

_PART = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class MissingText(KeyError):
    """There is no text for this key in this language, or the text needs a parameter that was not given."""


def text(key: str, lang: str, /, **params: Any) -> str:
    """Return the text ``key`` in ``lang`` (``vi`` or ``en``), with its parameters. Raises MissingText."""
    try:
        template = texts(lang)[key]
    except KeyError:
        raise MissingText(f"{lang}: {key}") from None
    plain = _PART.sub(lambda part: _first_complete(part[1], params), template)
    values = {name: _Parameter(value, lang) for name, value in params.items()}
    try:
        return plain.format_map(values)
    except KeyError as error:
        raise MissingText(f"{lang}: {key} needs {error.args[0]}") from None


def fact_text(code: str, data: Mapping[str, Any], lang: str) -> str:
    """Tell one fact of a timeline in a sentence.

    ``data`` is the fact's data, in which the caller has put display names: ``participant`` and ``ported_to`` (names),
    ``officer`` (position and number). What is absent or None is left out of the sentence.
    """
    params = {**data, "participant": data.get("participant") or data.get("participant_id")}
    return text(f"facts.{code}", lang, **params)


def term(member: StrEnum, lang: str) -> str:
    """Return the display name of a member of an enum of ``workflows`` (lower case unless it is a proper name)."""
    return text(f"terms.{group(type(member))}.{member.value}", lang)


def group(enum: type[StrEnum]) -> str:
    """Return the group of ``terms`` that names the members of ``enum``: ``TaskKind`` is ``task_kind``."""
    return _CAPITAL.sub("_", enum.__name__).lower()


def notice(
    rung: int, reach: str, lang: str, rests_until: str | None = None, *, drill: bool = False, **params: Any
) -> tuple[str, str]:
    """Return subject and text of an escalation's e-mail: ``reference``, ``participant``, ``stage``, ``due_at``.

    ``reach`` says who reads it (a ``terms.Reach``; ``appeal`` for an agency that is late itself) and so what there is
    to do; ``rests_until`` until when the participant announced a maintenance, which moves no deadline. A notice never
    holds personal data. That of a drill says so first, in its subject and in its text.
    """
    number = min(max(rung, 1), FALLBACK_RUNG)
    subject = text(f"notices.rung_{number}.subject", lang, **params)
    todo = text(f"notices.todo.{reach}", lang, **params)
    opening = text(f"notices.rung_{number}.text", lang, **params)
    if rests_until is not None:
        opening += f" {text('notices.maintenance', lang, until=rests_until, **params)}"
    if drill:
        subject = f"{text('drill.mark', lang)}: {subject}"
        opening = f"{text('drill.mark', lang)}\n{text('drill.notice', lang)}\n\n{opening}"
    return subject, f"{opening}\n\n{todo}\n\n{text('notices.footer', lang, **params)}\n"


def sentence_case(words: str) -> str:
    """Return ``words`` with a capital first letter and the rest as it is."""
    return words[:1].upper() + words[1:]


def has(key: str) -> bool:
    """Tell whether there is a text for ``key``."""
    return key in texts(LANGUAGES[0])


def parameters(template: str) -> set[str]:
    """Return the names of the parameters that a text may use."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@functools.cache
def texts(lang: str) -> Mapping[str, str]:
    """Return every text of a language by its flat key. Raises MissingText for a language that is not shipped."""
    if lang not in LANGUAGES:
        raise MissingText(lang)
    folder = resources.files("service.i18n") / lang
    flat: dict[str, str] = {}
    for file in folder.iterdir():
        if file.name.endswith(".toml"):
            flat.update(_flat(file.name.removesuffix(".toml"), tomllib.loads(file.read_text("utf-8"))))
    return flat


class _Parameter:
    def __init__(self, value: Any, lang: str) -> None:
        self.value = value
        self.lang = lang

    def __format__(self, form: str) -> str:
        if form == "money":
            return formats.money(self.value)
        if form == "instant":
            return formats.instant(self.value)
        if form == "duration":
            return formats.duration(self.value, self.lang)
        if form:
            return ", ".join(self._named(form, each) for each in _each(self.value))
        return str(self.value)

    def _named(self, form: str, value: Any) -> str:
        # A code of a newer version, or a name that is one already, is shown as it is.
        return texts(self.lang).get(f"terms.{form}.{value}", str(value))


def _each(value: Any) -> list[Any]:
    items = value if isinstance(value, list | tuple) else [value]
    # Whom an escalation called is stored as {"reach", "contacts"}; without contacts nobody there was reached.
    called = [item for item in items if not isinstance(item, Mapping) or item.get("contacts", 1)]
    return [item.get("reach", "") if isinstance(item, Mapping) else item for item in called]


def _first_complete(alternatives: str, params: Mapping[str, Any]) -> str:
    for alternative in alternatives.split("|"):
        if all(params.get(name) not in (None, "", [], ()) for name in parameters(alternative)):
            return alternative
    return ""


def _flat(prefix: str, node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, str):
            yield f"{prefix}.{key}", value
        else:
            yield from _flat(f"{prefix}.{key}", value)
