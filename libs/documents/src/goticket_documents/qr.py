"""The QR code of a ticket, the same on paper and on a screen."""

import io
import re

import segno

# ISO/IEC 18004 asks for a quiet zone of four modules around the code.
QUIET_MODULES = 4
_MASK = 2
_DARK = re.compile(rb"\x01+")
_PIXELS_PER_MODULE = 8


def qr_modules(code: str) -> list[bytes]:
    """Rows of modules, 1 where dark, without the quiet zone."""
    return [bytes(row) for row in _symbol(code).matrix]


def qr_svg(code: str) -> bytes:
    """A drawing for a screen, quiet zone included. Takes milliseconds."""
    drawing = io.BytesIO()
    _symbol(code).save(drawing, kind="svg", scale=_PIXELS_PER_MODULE, border=QUIET_MODULES)
    return drawing.getvalue()


def dark_runs(modules: bytes) -> list[tuple[int, int]]:
    """Where dark modules start in a row and how many follow each other."""
    return [(run.start(), run.end() - run.start()) for run in _DARK.finditer(modules)]


def _symbol(code: str) -> segno.QRCode:
    """At least error correction M."""
    # Weighing all eight masks would take longer than the rest of the ticket; a
    # signed code is as good as random, so that any mask suits it.
    return segno.make_qr(code, error="m", mask=_MASK)
