"""The QR code of a ticket, the same on paper and on a screen."""

import io
import re
from functools import lru_cache

import segno

from goticket_documents.qr_layout import Layout, has_layout

# ISO/IEC 18004 asks for a quiet zone of four modules around the code.
QUIET_MODULES = 4
_LEVEL = "m"
# Weighing all eight masks would take longer than the rest of the ticket; a
# signed code is as good as random, so that any mask suits it.
_MASK = 2
_DARK = re.compile(rb"\x01+")
_SPAN = re.Match[bytes].span
_PIXELS_PER_MODULE = 8


def qr_modules(code: str) -> list[bytes]:
    """Rows of modules, 1 where dark, without the quiet zone."""
    if has_layout(code):
        return _layout(len(code)).rows(code)
    return [bytes(row) for row in _symbol(code).matrix]


def qr_svg(code: str) -> bytes:
    """A drawing for a screen, quiet zone included. Takes milliseconds."""
    drawing = io.BytesIO()
    _symbol(code).save(drawing, kind="svg", scale=_PIXELS_PER_MODULE, border=QUIET_MODULES)
    return drawing.getvalue()


def dark_runs(modules: bytes) -> list[tuple[int, int]]:
    """Where dark modules start in a row and how many follow each other."""
    return [(start, end - start) for start, end in map(_SPAN, _DARK.finditer(modules))]


@lru_cache(maxsize=8)
def _layout(length: int) -> Layout:
    """Ticket codes are all of one length; each takes some 10 ms to find out about."""
    return Layout(length, _LEVEL, _MASK)


def _symbol(code: str) -> segno.QRCode:
    """At least error correction M."""
    return segno.make_qr(code, error=_LEVEL, mask=_MASK)
