"""Writes text on a PDF page: wrapped, shrunk and truncated to fit its box."""

from dataclasses import dataclass
from functools import lru_cache

from fpdf import FPDF
from fpdf.fonts import CoreFont

from goticket_documents.fonts import UNITS_PER_EM, Weight, in_windows_1252
from goticket_documents.line_breaks import fitting, wrap
from goticket_documents.shaping import clusters_of, is_right_to_left, printable, shape_line
from goticket_documents.ticket_document import Colour, TicketDocument

# Lengths are in millimetres, type sizes in points.
POINT = 25.4 / 72
_LEADING = 1.18
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_CACHED_TEXTS = 512


def write(
    pdf: FPDF,
    x: float,
    y: float,
    text: str,
    weight: Weight,
    size: float,
    colour: Colour,
    *,
    spacing: float = 0,
) -> None:
    """Write one line in Windows-1252 with its baseline at y."""
    pdf.set_font("helvetica", weight, size)
    pdf.set_text_color(*colour)
    pdf.set_char_spacing(spacing)
    pdf.text(x, y, text)
    pdf.set_char_spacing(0)


def write_centred(
    pdf: FPDF,
    middle: float,
    y: float,
    text: str,
    weight: Weight,
    size: float,
    colour: Colour,
    *,
    spacing: float = 0,
) -> None:
    """Write one line in Windows-1252 with its baseline at y, centred on x = middle."""
    pdf.set_font("helvetica", weight, size)
    width = pdf.get_string_width(text) + spacing * POINT * (len(text) - 1)
    write(pdf, middle - width / 2, y, text, weight, size, colour, spacing=spacing)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with the widths of its grapheme clusters in 1/1000 em."""

    clusters: tuple[str, ...]
    widths: tuple[float, ...]
    ellipsis: float
    latin: bool
    rtl: bool


def write_block(
    pdf: TicketDocument,
    x: float,
    y: float,
    text: str,
    weight: Weight,
    sizes: tuple[float, ...],
    width: float,
    height: float,
    colour: Colour,
    *,
    flush_left: bool = False,
) -> float:
    """Write text in the largest size that fits the box; return the y of its end.

    Text that does not fit in the smallest size is truncated with an ellipsis. A paragraph from
    right to left is aligned to the right side of the box, unless it is `flush_left`.
    """
    measured = _measure(pdf, text, weight)
    lines, size = _fit(measured, sizes, width, height)
    for line in lines:
        y += size * POINT * _LEADING
        baseline = y - size * POINT * 0.3
        if measured.latin:
            write(pdf, x, baseline, line, weight, size, colour)
            continue
        glyphs = shape_line(line, weight, rtl=measured.rtl)
        used = sum(glyph.advance for glyph in glyphs) * size * POINT / UNITS_PER_EM
        left = x + width - used if measured.rtl and not flush_left else x
        pdf.place(left, baseline, line, glyphs, weight, size, colour)
    return y


def _fit(
    text: _Text, sizes: tuple[float, ...], width: float, height: float
) -> tuple[list[str], float]:
    """Return the lines and the size in which they fit the box."""
    for size in sizes:
        room = width / (size * POINT) * UNITS_PER_EM
        most = max(1, int(height / (size * POINT * _LEADING)))
        lines = wrap(text.clusters, text.widths, room)
        if len(lines) <= most:
            return ["".join(text.clusters[start:end]) for start, end in lines], size
    kept = ["".join(text.clusters[start:end]) for start, end in lines[: most - 1]]
    start = lines[most - 1][0]
    end = fitting(text.widths, start, room - text.ellipsis)
    return [*kept, "".join(text.clusters[start:end]).rstrip() + _ELLIPSIS], size


def _measure(pdf: FPDF, text: str, weight: Weight) -> _Text:
    if not in_windows_1252(text):
        return _measure_shaped(text, weight)
    pdf.set_font("helvetica", weight)
    font = pdf.current_font
    if not isinstance(font, CoreFont):
        raise TypeError("Helvetica is a core font")
    widths = font.cw
    coded = text.encode("cp1252").decode("latin-1")
    ellipsis = widths[_ELLIPSIS.encode("cp1252").decode("latin-1")]
    return _Text(tuple(text), tuple(widths[each] for each in coded), ellipsis, True, False)


@lru_cache(maxsize=_CACHED_TEXTS)
def _measure_shaped(text: str, weight: Weight) -> _Text:
    shown, _ = printable(text, weight)
    rtl = is_right_to_left(shown)
    advances = [0.0] * len(shown)
    for glyph in shape_line(shown, weight, rtl=rtl):
        advances[glyph.start] += glyph.advance
    clusters = tuple(clusters_of(shown))
    widths, start = [], 0
    for cluster in clusters:
        widths.append(sum(advances[start : start + len(cluster)]))
        start += len(cluster)
    (mark,) = shape_line(_ELLIPSIS, weight, rtl=False)
    return _Text(clusters, tuple(widths), mark.advance, False, rtl)
