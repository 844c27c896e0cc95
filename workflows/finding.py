"""Finds in a pasted text what a request may be about: accounts, cards, wallets, numbers, mailboxes and addresses."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from workflows import routing, suggesting
from workflows.routing import Directory
from workflows.suggesting import Mention, Suggestion
from workflows.terms import MONEY_TARGETS, TargetKind

# Beyond that a person would not check the list line by line.
MOST = 100

# How such texts hide an address from a reader that would follow it, and a number from one that would find it.
_WRITTEN = (
    (re.compile(r"hxxp", re.I), "http"),
    (re.compile(r"[\[({]\s*\.\s*[\])}]"), "."),
    (re.compile(r"\(\+?84\)"), "+84"),
)
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_MAILBOX = re.compile(r"[\w.+-]{1,64}@(?:[\w-]+\.)+\w{2,24}")
_URL = re.compile(r"https?://[^\s<>\"'“”]+", re.I)
_HOST = re.compile(r"(?<![\w@.-])(?:[\w-]+\.)+[^\W\d_]{2,24}(?![\w@])(?P<path>/[^\s<>\"'“”]*)?")
_TRAILING = ".,;:!?)]}…"
_DIGEST = re.compile(r"(?<!\w)[0-9a-f]{64}(?!\w)", re.I)

_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{4}")
_DIGITS = re.compile(r"(?<![\w])\+?\d+(?:[ .-]\d+)*(?!\w)")
_GROUP = re.compile(r"\+?\d+")
_LONGEST_PART = 5  # of a number that is written in parts: "1903 5678 901"
# No request can name as much, and what has as many digits in one is no sum but a number.
_TOO_MUCH = 10**15
_SUM = re.compile(
    r"(?<![\w.,])(?P<digits>\d{1,3}(?:[.,]\d{3}){1,6}|\d{1,15}(?:[.,]\d{1,2})?)\s*"
    r"(?P<unit>ty|ti|trieu|tr|nghin|ngan|k)?\s*(?P<money>dong|vnd|d|₫)?(?!\w)"
)
_UNITS = {"ty": 10**9, "ti": 10**9, "trieu": 10**6, "tr": 10**6, "nghin": 10**3, "ngan": 10**3, "k": 10**3}

_MOBILE = re.compile(r"(?:\+?84|0)([35789]\d{8})")
_FIXED = re.compile(r"(?:\+84|0)(2\d{9})")
_BEFORE, _AFTER = 42, 24  # so many characters of the same line say what a number is
_ACCOUNT_CUE = re.compile(r"\b(stk|so tk|tk|tai khoan|account|acc|a/c|chuyen khoan|ck)\b")
_CARD_CUE = re.compile(r"\b(the|card|visa|mastercard|napas)\b")
_WALLET_CUE = re.compile(r"\b(vi|wallet|momo|zalopay|vnpay|viettel money|shopeepay)\b")
_OTHER_CUE = re.compile(r"\b(cccd|cmnd|can cuoc|ho chieu|mst|ma so thue|otp|ma giao dich|ma gd|don hang|so hieu)\b")
_ACCOUNT_LENGTHS, _CUED_LENGTHS = range(9, 20), range(6, 20)
_CARD_LENGTHS = range(16, 20)
_HOLDER_CUE = re.compile(r"\b(?:chu tai khoan|chu tk|ctk|chu the|mang ten|ten|holder|name)\b\s*[:\-]?\s*")
_NAME = re.compile(r"[^\W\d_a-z]{2,12}(?: {1,2}[^\W\d_a-z]{1,12}){1,5}(?!\w)")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a request may be about, and who is suggested for it; ``holder`` is a name that stands with it.

    ``sha256`` is the digest of a file that stands with the address of content.
    """

    kind: TargetKind
    value: str
    suggestion: Suggestion | None = None
    holder: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text holds: the targets in its order, each once, and the sums of money (whole ₫) from the largest on."""

    targets: tuple[Found, ...]
    sums: tuple[int, ...]


def read(text: str, directory: Directory, today: date, is_host: Callable[[str], bool]) -> Reading:
    """Read a text; ``is_host`` tells whether a name with dots can be a host's, for "TP.HCM" is none.

    It suggests and decides nothing: the officer who files sees each line beside his text and strikes what is wrong.
    """
    clean = _UNSEEN.sub("", unicodedata.normalize("NFC", text))
    for pattern, instead in _WRITTEN:
        clean = pattern.sub(instead, clean)
    found: list[tuple[int, Found]] = []
    digests = list(_DIGEST.finditer(clean))
    clean = _addresses(_blank(clean, [match.span() for match in digests]), is_host, found)
    _contents(clean, digests, found)
    plain = _plain(clean)
    sums, spoken = _sums(plain)
    mentions = tuple(suggesting.mentions(clean, directory, today))
    found.extend(_numbers(clean, _blank(plain, spoken), mentions))
    once: dict[tuple[TargetKind, str, str], Found] = {}
    for _, each in sorted(found, key=lambda pair: pair[0]):
        once.setdefault((each.kind, each.value, each.sha256), each)
    whole = [each if each.suggestion else _routed(each, directory, today) for each in once.values()]
    return Reading(tuple(whole[:MOST]), tuple(sorted(set(sums), reverse=True)))


def _routed(each: Found, directory: Directory, today: date) -> Found:
    return replace(each, suggestion=suggesting.by_route(routing.RoutingTarget(each.kind, each.value), directory, today))


def _plain(text: str) -> str:
    """Return small letters without accents, as many characters as before, so that places in the text stay the same."""
    return "".join(_letter(character) for character in text)


def _letter(character: str) -> str:
    if character in "đĐ":
        return "d"
    base = unicodedata.normalize("NFKD", character)[:1].casefold()
    return base if len(base) == 1 else character


def _blank(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + "_" * (end - start) + text[end:]
    return text


def _addresses(text: str, is_host: Callable[[str], bool], found: list[tuple[int, Found]]) -> str:
    """Add mailboxes, URLs and hosts, and return the text with blanks in their place: digits in them are no numbers."""
    for pattern, make in ((_MAILBOX, _mailbox), (_URL, _url), (_HOST, _host)):
        spans = []
        for match in pattern.finditer(text):
            each = make(match, is_host)
            if each is not None:
                found.append((match.start(), each))
                spans.append(match.span())
        text = _blank(text, spans)
    return text


def _contents(text: str, digests: list[re.Match[str]], found: list[tuple[int, Found]]) -> None:
    """Take an address for content where a file's SHA-256 follows it: in the same line, or in the next one.

    Each digest means the nearest address before it; behind one address may stand several files.
    """
    # They were found by kind of writing; the nearest is told by the places in the text.
    urls = sorted((pair for pair in found if pair[1].kind is TargetKind.URL), key=lambda pair: pair[0])
    for digest in digests:
        before = text.rfind("\n", 0, digest.start())
        since = text.rfind("\n", 0, max(before, 0)) + 1
        near = [pair for pair in urls if since <= pair[0] < digest.start()]
        if near:
            place, url = near[-1]
            found[:] = [pair for pair in found if pair != near[-1]]
            found.append((place, Found(TargetKind.CONTENT, url.value, sha256=digest[0].lower())))


def _mailbox(match: re.Match[str], is_host: Callable[[str], bool]) -> Found | None:
    return Found(TargetKind.EMAIL, match[0]) if is_host(match[0].rpartition("@")[2]) else None


def _url(match: re.Match[str], is_host: Callable[[str], bool]) -> Found | None:
    value = match[0].rstrip(_TRAILING)
    host = value.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].partition(":")[0]
    return Found(TargetKind.URL, value) if is_host(host) else None


def _host(match: re.Match[str], is_host: Callable[[str], bool]) -> Found | None:
    path = (match["path"] or "").rstrip(_TRAILING)
    host = match[0].partition("/")[0].lower()
    if not is_host(host):
        return None
    # Nobody writes the scheme of an address that is to be typed; browsers begin with this one.
    return Found(TargetKind.URL, f"https://{host}{path}") if len(path) > 1 else Found(TargetKind.DOMAIN, host)


def _sums(plain: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Return sums of money in whole ₫, and where they stand: a unit or a currency says that they are."""
    sums, spans = [], []
    for match in _SUM.finditer(plain):
        digits, unit = match["digits"], match["unit"]
        # "100d", "5k" and "2 tr" are money; "0912345678 d" is a number before a word.
        if not (unit or match["money"]) or (not unit and digits.startswith("0")):
            continue
        if re.fullmatch(r"\d{1,3}([.,]\d{3})+", digits):
            amount = Decimal(re.sub("[.,]", "", digits))
        else:
            amount = Decimal(digits.replace(",", "."))
        sums.append(round(amount * _UNITS.get(unit or "", 1)))
        spans.append(match.span())
    return [each for each in sums if 0 < each < _TOO_MUCH], spans


def _numbers(text: str, plain: str, mentions: tuple[Mention, ...]) -> Iterator[tuple[int, Found]]:
    plain = _blank(plain, [match.span() for match in _DATE.finditer(plain)])
    written = [each for match in _DIGITS.finditer(plain) for each in _parts(match)]
    for place, (start, end, digits) in enumerate(written):
        line_start, line_end = plain.rfind("\n", 0, start) + 1, plain.find("\n", end)
        line_end = len(plain) if line_end < 0 else line_end
        before = plain[max(line_start, start - _BEFORE, written[place - 1][1] if place else 0) : start]
        after_end = min(line_end, end + _AFTER, written[place + 1][0] if place + 1 < len(written) else len(plain))
        kind = _kind(digits, before, plain[end:after_end])
        if kind is None:
            continue
        if kind is TargetKind.PHONE and suggesting.adjoins(mentions, start, end):
            kind = TargetKind.ACCOUNT  # many an account has its holder's telephone number
        value = f"+84{_national(digits)}" if kind is TargetKind.PHONE else digits.lstrip("+")
        suggestion = None
        if kind in MONEY_TARGETS:
            beside = sum(line_start <= each[0] < line_end for each in written)
            suggestion = suggesting.named(mentions, start, end, (line_start, line_end), beside)
        holder = _holder(text, plain, end, line_end, mentions) if kind in MONEY_TARGETS else ""
        yield start, Found(kind, value, suggestion, holder)


def _parts(match: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the numbers in a run of digits: short parts belong together, a long part is a number of its own."""
    start, end, digits = 0, 0, ""
    for group in _GROUP.finditer(match[0]):
        part = group[0]
        is_long = len(part.lstrip("+")) > _LONGEST_PART
        if digits and (is_long or (len(digits.lstrip("+")) > _LONGEST_PART and not _open_end(digits))):
            yield match.start() + start, match.start() + end, digits
            digits = ""
        if not digits:
            start = group.start()
        digits, end = digits + part, group.end()
        if is_long:
            yield match.start() + start, match.start() + end, digits
            digits = ""
    if digits:
        yield match.start() + start, match.start() + end, digits


def _open_end(digits: str) -> bool:
    """Tell whether more parts may follow: a telephone number that is whole takes none."""
    return _national(digits) is None and len(digits) < _CARD_LENGTHS.stop


def _national(digits: str) -> str | None:
    match = _MOBILE.fullmatch(digits) or _FIXED.fullmatch(digits)
    return match[1] if match else None


def _kind(digits: str, before: str, after: str) -> TargetKind | None:
    is_phone, length = _national(digits) is not None, len(digits.lstrip("+"))
    if _OTHER_CUE.search(before):
        return None
    if is_phone and _WALLET_CUE.search(f"{before} | {after}"):
        return TargetKind.WALLET
    if _ACCOUNT_CUE.search(before) and length in _CUED_LENGTHS and not digits.startswith("+"):
        return TargetKind.ACCOUNT
    if length in _CARD_LENGTHS and _luhn(digits) and (digits.startswith("9704") or _CARD_CUE.search(before)):
        return TargetKind.CARD
    if is_phone:
        return TargetKind.PHONE
    return TargetKind.ACCOUNT if length in _ACCOUNT_LENGTHS and not digits.startswith("+") else None


def _luhn(digits: str) -> bool:
    backwards = [int(digit) for digit in reversed(digits)]
    return (sum(backwards[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in backwards[1::2])) % 10 == 0


def _holder(text: str, plain: str, end: int, line_end: int, mentions: tuple[Mention, ...]) -> str:
    """Return a name in capitals behind a number: after a word that announces one, or between the banks' names."""
    region_end = min(len(text), max(line_end, end) + 80)
    cue = _HOLDER_CUE.search(plain, end, region_end)
    if cue and (match := _NAME.match(text, cue.end(), region_end)) and match[0].isupper():
        return " ".join(match[0].split())
    masked = _blank(text, [(mention.start, mention.end) for mention in mentions])
    names = (match[0] for match in _NAME.finditer(masked, end, line_end))
    return next((" ".join(name.split()) for name in names if name.isupper()), "")
