"""Amounts in words, as a paper of law names them beside the digits: whole đồng, in Vietnamese and English."""

_VI = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
_EN = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_EN_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VI_GROUPS = ("", "nghìn", "triệu")
_EN_GROUPS = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_BILLION = 10**9


def amount_in_words(amount: int, lang: str) -> str:
    """Return "một trăm triệu đồng" or "one hundred million đồng" for a whole number of đồng, 0 or more."""
    return f"{_vietnamese(amount) if lang == 'vi' else _english(amount)} đồng"


def _vietnamese(number: int) -> str:
    """Say a number; above a thousand million it is counted in tỷ, however many there are."""
    if number == 0:
        return _VI[0]
    billions, rest = divmod(number, _BILLION)
    words = [_vietnamese(billions), "tỷ"] if billions else []
    groups = [rest // 1000**power % 1000 for power in (2, 1, 0)]
    for group, name in zip(groups, reversed(_VI_GROUPS), strict=True):
        if group:
            words += _vietnamese_group(group, follows=bool(words))
            words += [name] if name else []
    return " ".join(words)


def _vietnamese_group(group: int, *, follows: bool) -> list[str]:
    """Say three digits; behind a larger group the hundreds are said even where there are none."""
    hundreds, tens, ones = group // 100, group // 10 % 10, group % 10
    words = [_VI[hundreds], "trăm"] if hundreds or follows else []
    if tens == 0:
        return [*words, *(["linh"] if words and ones else []), *([_VI[ones]] if ones else [])]
    words += ["mười"] if tens == 1 else [_VI[tens], "mươi"]
    if ones == 1 and tens > 1:
        return [*words, "mốt"]
    if ones == 5:
        return [*words, "lăm"]
    return [*words, *([_VI[ones]] if ones else [])]


def _english(number: int) -> str:
    if number == 0:
        return _EN[0]
    words: list[str] = []
    for power in reversed(range(len(_EN_GROUPS))):
        group = number // 1000**power % 1000
        if group:
            words += [_english_group(group), *([_EN_GROUPS[power]] if power else [])]
    return " ".join(words)


def _english_group(group: int) -> str:
    hundreds, rest = divmod(group, 100)
    words = [f"{_EN[hundreds]} hundred"] if hundreds else []
    if rest >= len(_EN):
        tens, ones = divmod(rest, 10)
        words.append(_EN_TENS[tens] + (f"-{_EN[ones]}" if ones else ""))
    elif rest:
        words.append(_EN[rest])
    return " ".join(words)
