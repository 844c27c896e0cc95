"""Secrets that everybody knows: placeholders of documentation, usual defaults, and keys that were printed somewhere."""

import re

# In lower case, without what people put between words. Whatever our own pages and files show as a password is here too.
_PLACEHOLDERS = frozenset(
    (
        *("password", "passw0rd", "p@ssw0rd", "pass", "passwd", "pwd", "secret", "changeme", "changethis", "replaceme"),
        *("default", "example", "sample", "test", "testing", "demo", "none", "null", "todo", "fixme", "yourpassword"),
        *("admin", "administrator", "root", "user", "guest", "postgres", "postgresql", "hoatoc", "hoatoc123", "hub"),
        *("letmein", "welcome", "qwerty", "abc123", "iloveyou", "matkhau", "mậtkhẩu", "thaydoi", "bimat"),
        *("12345", "123456", "1234567", "12345678", "123456789", "1234567890", "password1", "password123", "admin123"),
    )
)
_BETWEEN = re.compile(r"[\s._-]+")
# ${VARIABLE}, <password>, {{ password }}, …: what somebody forgot to fill in.
_UNFILLED = re.compile(r"\$\{?\w+\}?|<[^>]*>|\{\{.*\}\}|…|\.{3}|[x*]{3,}", re.IGNORECASE)
LEAST_LENGTH = 12

# The coordinate x of P-256 keys whose private half is printed in a standard.
_PRINTED_KEYS = frozenset(
    {
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",  # RFC 7515, A.3
        "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",  # RFC 7517, A.2
    }
)
# Of 32 random bytes fewer than 16 unlike ones occur once in 10**17: that is a pattern, not a key.
_LEAST_UNLIKE_BYTES = 16


def is_placeholder(secret: str, *names: str) -> bool:
    """Tell whether a secret is one that everybody tries first; ``names`` are those beside it, such as the user's."""
    plain = _BETWEEN.sub("", secret).lower()
    taken = {_BETWEEN.sub("", name).lower() for name in names if name}
    return plain in _PLACEHOLDERS or plain in taken or len(set(plain)) <= 1 or bool(_UNFILLED.fullmatch(secret))


def is_short(secret: str) -> bool:
    """Tell whether a secret can be guessed by trying."""
    return len(secret) < LEAST_LENGTH


def is_printed(x: str) -> bool:
    """Tell whether the private half of the P-256 key with this coordinate is printed in a standard."""
    return x in _PRINTED_KEYS


def is_pattern(key: bytes) -> bool:
    """Tell whether the bytes of a key are a pattern and not random."""
    return len(set(key)) < _LEAST_UNLIKE_BYTES
