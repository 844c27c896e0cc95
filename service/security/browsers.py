"""Which kind of browser on which kind of machine calls: what a session is bound to beside its secret, and its name."""

import re

# The first that fits: most browsers also say that they are others.
_BROWSERS = (
    ("edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("opera", re.compile(r"\bOPR/")),
    ("coccoc", re.compile(r"\bcoc_coc_browser/")),
    ("samsung", re.compile(r"\bSamsungBrowser/")),
    ("firefox", re.compile(r"\b(?:Firefox|FxiOS)/")),
    ("chrome", re.compile(r"\b(?:Headless)?Chr(?:ome|omium)/|\bCriOS/")),
    ("safari", re.compile(r"\bSafari/")),
)
_MACHINES = (
    ("android", re.compile(r"\bAndroid\b")),
    ("ios", re.compile(r"\b(?:iPhone|iPad|iPod)\b")),
    ("windows", re.compile(r"\bWindows\b")),
    ("mac", re.compile(r"\bMacintosh\b")),
    ("chromeos", re.compile(r"\bCrOS\b")),
    ("linux", re.compile(r"\bLinux\b")),
)
OTHER = "other"
# Proper names, the same in every language; what is not here has none.
NAMES = {
    "edge": "Edge",
    "opera": "Opera",
    "coccoc": "Cốc Cốc",
    "samsung": "Samsung Internet",
    "firefox": "Firefox",
    "chrome": "Chrome",
    "safari": "Safari",
    "android": "Android",
    "ios": "iOS",
    "windows": "Windows",
    "mac": "macOS",
    "chromeos": "ChromeOS",
    "linux": "Linux",
}
_LONGEST = 1024


def kind(user_agent: str) -> str:
    """Return a code such as ``chrome-windows`` for what a browser says of itself; ``other-other`` for what is unknown.

    Versions are left out: a browser that renews itself in the middle of a shift is the same one. Whoever copies a
    cookie can copy this too; it stops the one who does not think of it, and tells a person which of the sessions is
    which (ADR 0061).
    """
    said = user_agent[:_LONGEST]
    return "-".join(
        next((name for name, pattern in known if pattern.search(said)), OTHER) for known in (_BROWSERS, _MACHINES)
    )
