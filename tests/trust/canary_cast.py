"""Canaries: identifiers made up for one run, every spelling in which one might sing, and where they are heard."""

import base64
import json
import random
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from urllib.parse import quote, quote_plus

_FAMILIES = ("Nguyễn", "Trần", "Lê", "Phạm", "Đỗ", "Hoàng", "Vũ", "Đặng", "Bùi", "Ngô")
_SYLLABLES = ("Chích", "Yến", "Sẻ", "Vẹt", "Quạ", "Nhạn", "Cốc", "Ưng", "Trĩ", "Hạc", "Đớp", "Mỏ", "Khướu", "Cuốc")
_TOO_SHORT = 9
_STRIDE, _GRAM = 4, 6


@dataclass(frozen=True, slots=True)
class Bird:
    """The identifiers of one made-up person, and of those who write about him; no two birds share any."""

    account: str
    wallet: str
    card: str
    phone: str
    email: str
    social: str
    host: str
    holder: str
    officer: str
    contact: str
    contact_phone: str
    contact_email: str
    statement: str
    appellant: str
    note: str
    reason: str
    document: str
    payment: str

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield each identifier with the name of its field."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def hatch(draw: random.Random, count: int) -> list[Bird]:
    """Make so many birds."""
    return [_bird(draw) for _ in range(count)]


def _bird(draw: random.Random) -> Bird:
    def digits(length: int) -> str:
        return "".join(draw.choices("0123456789", k=length))

    def tag() -> str:
        return "".join(draw.choices("bcdfghjklmnpqrstvwxz", k=8))

    def name() -> str:
        return f"{draw.choice(_FAMILIES)} {' '.join(draw.sample(_SYLLABLES, 3))} {tag().capitalize()}"

    return Bird(
        account=f"77{digits(11)}",
        wallet=f"chim.{tag()}",
        card=_with_check_digit(f"970436{digits(9)}"),
        phone=f"+8498{digits(7)}",
        email=f"{tag()}@chim-{tag()}.vn",
        social=f"chim_{tag()}",
        host=f"{tag()}-chim.vn",
        holder=name(),
        officer=name(),
        contact=name(),
        contact_phone=f"+8497{digits(7)}",
        contact_email=f"{tag()}@truc-{tag()}.vn",
        statement=f"Tôi là {name()}, tiền trong tài khoản là lương của tôi.",
        appellant=name(),
        note=f"Đã gọi {name()} theo số {digits(10)}.",
        reason=f"Toàn bộ tài khoản của {name()} nhận tiền lừa đảo.",
        document=f"079{digits(9)}",
        payment=f"FT{digits(12)}",
    )


def _with_check_digit(number: str) -> str:
    total = sum(sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10)) for place, digit in enumerate(number[::-1]))
    return f"{number}{-total % 10}"


def spellings(text: str) -> set[bytes]:
    """Return every spelling in which a canary is looked for, as bytes."""
    plain = {text, unicodedata.normalize("NFD", text)}
    if text.startswith("+84"):
        plain |= {text[1:], f"0{text[3:]}", f"84 {text[3:5]} {text[5:8]} {text[8:]}"}
    # What precedes and follows it may be cut off: a part of a sentence is the person all the same.
    plain |= {part for part in text.split(", ") if part != text and len(part) >= 2 * _TOO_SHORT}
    plain |= {_folded(each) for each in plain}
    plain |= {each.lower() for each in plain} | {each.upper() for each in plain}
    found: set[bytes] = set()
    for each in plain:
        raw = each.encode()
        found |= {raw, raw.hex().encode(), raw.hex().upper().encode(), each.encode("utf-16-le")}
        found |= {quote(each).encode(), quote(each, safe="").encode(), quote_plus(each).encode()}
        found |= {json.dumps(each)[1:-1].encode(), each.encode("unicode_escape"), repr(raw)[2:-1].encode()}
        for offset in range(3):
            found |= set(_base64(raw, offset))
    return {needle for needle in found if len(needle) >= _TOO_SHORT}


def _folded(text: str) -> str:
    """Return the text without its diacritics, as banks write names."""
    marks = unicodedata.normalize("NFD", text.replace("Đ", "D").replace("đ", "d"))
    return "".join(letter for letter in marks if not unicodedata.combining(letter))


def _base64(raw: bytes, offset: int) -> Iterator[bytes]:
    """Yield what of it stays the same in base64, behind so many other bytes, in both alphabets."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(b"\x00" * offset + raw).rstrip(b"=")
        yield encoded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]


class Ears:
    """Listens for all canaries of a run in whatever it is given, in one pass however many there are."""

    def __init__(self, birds: Iterable[Bird]) -> None:
        self._canaries = [text for bird in birds for _, text in bird.identifiers()]
        # Whatever is at least _TOO_SHORT long has one of these at a place that _STRIDE divides, wherever it begins.
        self._grams: dict[bytes, list[tuple[int, bytes, int]]] = {}
        for canary, text in enumerate(self._canaries):
            for needle in spellings(text):
                for offset in range(_STRIDE):
                    met = self._grams.setdefault(needle[offset : offset + _GRAM], [])
                    met.append((offset, needle, canary))

    @property
    def canaries(self) -> int:
        """How many different identifiers it knows."""
        return len(set(self._canaries))

    def hear(self, where: str, haystack: str | bytes) -> list[str]:
        """Return where a canary sang, once a canary: ``where: spelling``."""
        raw = haystack.encode() if isinstance(haystack, str) else haystack
        grams, found = self._grams, dict[int, str]()
        places = (at for at in range(0, len(raw), _STRIDE) if raw[at : at + _GRAM] in grams)
        for at in places:
            for offset, needle, canary in grams[raw[at : at + _GRAM]]:
                begins = at - offset
                if canary not in found and begins >= 0 and raw.startswith(needle, begins):
                    seen = raw[max(0, begins - 60) : begins + len(needle) + 20]
                    found[canary] = f"{where}: {needle!r} in {seen!r}"
        return list(found.values())
