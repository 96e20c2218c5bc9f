"""The QR code of a ticket, on paper and on a screen."""

import re
from functools import lru_cache

import segno

from goticket_documents.fast.qr_layout import Layout, has_layout

# ISO/IEC 18004 requires a quiet zone of four modules around the symbol.
QUIET_MODULES = 4
_LEVEL = "m"
# A signed code is practically random, so every mask suits it. Rating all eight, as the library
# does by default, would take 6 ms.
_MASK = 2
_DARK = re.compile(rb"\x01+")
_PIXELS_PER_MODULE = 8


def qr_modules(code: str) -> list[bytes]:
    """Return the rows of modules, 1 where dark, without the quiet zone.

    Error correction is level M or better.
    """
    if has_layout(code):
        return _layout(len(code)).rows(code)
    return [bytes(row) for row in segno.make_qr(code, error=_LEVEL, mask=_MASK).matrix]


def qr_svg(code: str) -> bytes:
    """Return the symbol as an SVG drawing that scales, on a light ground with the quiet zone.

    Both colours are set, since the page around the drawing may be dark.
    """
    rows = qr_modules(code)
    modules = len(rows) + 2 * QUIET_MODULES
    pixels = modules * _PIXELS_PER_MODULE
    path = "".join(
        f"M{start + QUIET_MODULES} {row}h{length}v1h-{length}z"
        for row, each in enumerate(rows, start=QUIET_MODULES)
        for start, length in dark_runs(each)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{pixels}" height="{pixels}"'
        f' viewBox="0 0 {modules} {modules}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{modules}v{modules}H0z"/><path fill="#000" d="{path}"/></svg>\n'
    ).encode()


def dark_runs(modules: bytes) -> list[tuple[int, int]]:
    """Return start and length of each run of dark modules in a row."""
    return [(run.start(), run.end() - run.start()) for run in _DARK.finditer(modules)]


@lru_cache(maxsize=8)
def _layout(length: int) -> Layout:
    """Return the layout for codes of one length. Ticket codes all have the same length."""
    return Layout(length, _LEVEL, _MASK)
