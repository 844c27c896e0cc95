"""The QR code of a letter: what a program must not have to copy from paper by hand."""

import io
from dataclasses import dataclass

import segno

# From a seventh that may be lost to a fourteenth: letters are folded, stamped and faxed, and the longest address
# (2,048 signs) must fit all the same.
_LEVELS = ("m", "l")
_QUIET_ZONE = 4  # modules, ISO/IEC 18004
_LEAST = 34.0  # mm
# What a telephone's camera still tells apart on a printed page.
_MODULE = 0.42  # mm


@dataclass(frozen=True, slots=True)
class Code:
    """A code as SVG, and how wide it must be printed, in millimetres."""

    svg: str
    width: float


def draw(content: str) -> Code:
    """Return the code of a text of at most 2,953 bytes, as robust as its length allows. Raises ValueError."""
    made = _made(content)
    drawn = io.BytesIO()
    made.save(drawn, kind="svg", border=_QUIET_ZONE, xmldecl=False, svgns=True)
    modules = made.symbol_size(border=_QUIET_ZONE)[0]
    return Code(drawn.getvalue().decode(), max(_LEAST, modules * _MODULE))


def scalable(content: str) -> str:
    """Return the code of a text as SVG for a page, which says how large it is. Raises ValueError."""
    drawn = io.BytesIO()
    _made(content).save(drawn, kind="svg", border=_QUIET_ZONE, xmldecl=False, svgns=False, omitsize=True)
    return drawn.getvalue().decode()


def _made(content: str) -> segno.QRCode:
    for level in _LEVELS:
        try:
            return segno.make_qr(content, error=level, boost_error=False, encoding="utf-8")
        except segno.DataOverflowError:
            continue
    raise ValueError("longer than any QR code")
