"""The printed ticket: one page per admission, 210 x 105 mm, made in milliseconds."""

from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from fpdf import FPDF
from fpdf.enums import RenderStyle

from goticket_documents.fonts import Weight
from goticket_documents.money import price_text
from goticket_documents.pdf_template import Envelope
from goticket_documents.qr import QUIET_MODULES, dark_runs, qr_modules
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.times import clock_span_text, date_text, zone_text
from goticket_documents.typesetting import Colour, fitted, write, write_centred

# All lengths are in millimetres, all type sizes in points.
PAGE = (210.0, 105.0)
_MARGIN = 12.0
_BAND = 17.0
_STUB_LEFT = 142.0
_COLUMN = _STUB_LEFT - 2 * _MARGIN
_STUB_MIDDLE = (_STUB_LEFT + PAGE[0]) / 2
_FOOT = 3.2
_NOTCH = 3.0
_QR = 54.0
_STAMP = (76.0, 24.0)
_STAMP_TILT = 14.0

_CORE_WEIGHTS: tuple[Weight, ...] = ("B", "")
_REMEMBERED_SHEETS = 256
"""Ticket types whose common part is kept, some 3 kB each, and pdf_template, some 1 kB."""

_INK: Colour = (30, 27, 75)
_ACCENT: Colour = (225, 29, 72)
_BODY: Colour = (31, 41, 55)
_FAINT: Colour = (107, 114, 128)
_RULE: Colour = (209, 213, 219)
_PALE: Colour = (199, 210, 254)
_WHITE: Colour = (255, 255, 255)


def render_ticket(ticket: PrintableTicket, made_at: datetime) -> bytes:
    """The ticket as a PDF of one page. Pure computing: keep it off the event loop."""
    pdf = _blank_sheet()
    alike = replace(ticket, id="", code="", booking_reference="", holder="", numbered=None)
    printed = _printed(alike)
    if printed is None:
        _draw_common(pdf, alike)
    else:
        pdf._out(printed)  # noqa: SLF001 - what every public way to draw ends in
    _draw_own(pdf, ticket)
    if ticket.void:
        _draw_stamp(pdf)
    title = f"{_count_text(ticket) or 'Ticket'}: {ticket.event_name}"
    if _embeds_fonts(pdf):
        return _finished(pdf, title, made_at)
    return _envelope(title, made_at.replace(microsecond=0)).around(_content(pdf))


def _finished(pdf: FPDF, title: str, made_at: datetime) -> bytes:
    pdf.set_creation_date(made_at)
    pdf.set_title(title)
    return bytes(pdf.output())


@lru_cache(maxsize=_REMEMBERED_SHEETS)
def _envelope(title: str, made_at: datetime) -> Envelope:
    """What documents of this title and second have in common."""
    pdf = _blank_sheet()
    for weight in _CORE_WEIGHTS:  # what is not used is not in the document
        write(pdf, 0, 0, "", weight, 1, _INK)
    return Envelope(_finished(pdf, title, made_at))


def _embeds_fonts(pdf: FPDF) -> bool:
    return len(pdf.fonts) > len(_CORE_WEIGHTS)


def _content(pdf: FPDF) -> bytes:
    contents = pdf.pages[1].contents
    if not isinstance(contents, bytearray):
        raise TypeError(f"a page that is {type(contents).__name__} cannot be copied")
    return bytes(contents)


def _blank_sheet() -> FPDF:
    pdf = FPDF(orientation="landscape", unit="mm", format=(PAGE[1], PAGE[0]))
    # The page count is never printed; a holder named "{nb}" keeps that name.
    pdf.alias_nb_pages(None)  # type: ignore[arg-type]  # its documented way to turn this off
    pdf.core_fonts_encoding = "cp1252"
    pdf.set_auto_page_break(auto=False)
    pdf.set_creator("GoTicket")
    pdf.set_producer("GoTicket")
    pdf.set_lang("en")
    # Always in this order: what is printed ahead calls them by number.
    for weight in _CORE_WEIGHTS:
        pdf.set_font("helvetica", weight)
    pdf.add_page()
    return pdf


@lru_cache(maxsize=_REMEMBERED_SHEETS)
def _printed(alike: PrintableTicket) -> bytes | None:
    """What is drawn on all tickets like this one, to be copied onto each.

    None when a text needs an embedded font: of that each document has its own cut.
    """
    pdf = _blank_sheet()
    _draw_common(pdf, alike)
    return None if _embeds_fonts(pdf) else b"q\n" + _content(pdf) + b"Q"


def _draw_common(pdf: FPDF, ticket: PrintableTicket) -> None:
    """Draw what the tickets of one type have in common."""
    _draw_frame(pdf, ticket)
    _draw_event(pdf, ticket)
    _draw_admission(pdf, ticket)
    _draw_advice(pdf, ticket)


def _draw_own(pdf: FPDF, ticket: PrintableTicket) -> None:
    """Draw what no other ticket has."""
    _draw_value(pdf, _MARGIN, ticket.holder, _holder_width(ticket))
    reference = f"Booking {ticket.booking_reference}"
    write(pdf, _MARGIN, 97.8, reference, "", 6.5, _FAINT)
    if not ticket.void:
        _draw_qr(pdf, ticket.code, _STUB_MIDDLE - _QR / 2, 22.5)
    write_centred(pdf, _STUB_MIDDLE, 84.0, _count_text(ticket), "B", 12, _INK)
    write_centred(pdf, _STUB_MIDDLE, 97.8, ticket.id, "", 6, _FAINT)


def _count_text(ticket: PrintableTicket) -> str:
    return "Ticket {} of {}".format(*ticket.numbered) if ticket.numbered else ""


def _draw_frame(pdf: FPDF, ticket: PrintableTicket) -> None:
    pdf.set_fill_color(*_INK)
    pdf.rect(0, 0, PAGE[0], _BAND, style=RenderStyle.F)
    pdf.rect(0, PAGE[1] - _FOOT, PAGE[0], _FOOT, style=RenderStyle.F)
    pdf.set_fill_color(*_ACCENT)
    pdf.rect(0, _BAND, PAGE[0], 1.2, style=RenderStyle.F)
    write(pdf, _MARGIN, 11.2, "GOTICKET", "B", 15, _WHITE, spacing=2.2)
    admits = "VOID" if ticket.void else "ADMIT ONE"
    write_centred(pdf, _STUB_MIDDLE, 10.9, admits, "", 9, _PALE, spacing=1.6)
    pdf.set_draw_color(*_RULE)
    pdf.set_line_width(0.35)
    pdf.set_dash_pattern(dash=1.6, gap=1.6)
    pdf.line(_STUB_LEFT, _BAND + 2, _STUB_LEFT, PAGE[1] - _FOOT)
    pdf.set_dash_pattern()
    pdf.set_fill_color(*_WHITE)
    for y in (0.0, PAGE[1]):
        pdf.circle(_STUB_LEFT, y, _NOTCH, style=RenderStyle.F)


def _draw_event(pdf: FPDF, ticket: PrintableTicket) -> None:
    y = _block(pdf, 24, ticket.event_name, "B", (30, 24, 20, 16, 13, 10, 8.5), 22, _INK)
    start = ticket.starts_at.astimezone(ticket.zone)
    y = _block(pdf, y + 2.4, date_text(start), "B", (11.5,), 6, _ACCENT)
    span = clock_span_text(ticket.starts_at, ticket.ends_at, ticket.zone)
    y = _block(pdf, y + 0.4, span, "", (10.5,), 5, _BODY)
    _block(pdf, y + 0.2, zone_text(ticket.starts_at, ticket.zone), "", (7.5,), 4, _FAINT)
    if ticket.place:
        _block(pdf, y + 6.2, ticket.place, "", (12, 10.5, 9, 8, 7), 12.5, _BODY)


def _draw_admission(pdf: FPDF, ticket: PrintableTicket) -> None:
    """Draw the row that names the holder, without the name."""
    pdf.set_draw_color(*_RULE)
    pdf.set_line_width(0.25)
    pdf.line(_MARGIN, 79.5, _STUB_LEFT - _MARGIN, 79.5)
    x = _MARGIN
    _draw_label(pdf, x, "HOLDER")
    x += _holder_width(ticket)
    width = 42.0 if ticket.price else 57.0
    _draw_label(pdf, x, "TICKET TYPE")
    _draw_value(pdf, x, ticket.ticket_type, width)
    if ticket.price:
        x += width
        _draw_label(pdf, x, "PRICE")
        _draw_value(pdf, x, price_text(ticket.price), 30.0)


def _holder_width(ticket: PrintableTicket) -> float:
    return 46.0 if ticket.price else 61.0


def _draw_label(pdf: FPDF, x: float, text: str) -> None:
    write(pdf, x, 84.0, text, "", 6, _FAINT, spacing=0.5)


def _draw_value(pdf: FPDF, x: float, text: str, width: float) -> None:
    fitted(pdf, x, 85.4, text, "B", (10, 8.5, 7, 6), width - 4, 8.6, _BODY)


def _draw_advice(pdf: FPDF, ticket: PrintableTicket) -> None:
    advice = ("Show this code at the entrance.", "It admits one person, once.")
    if ticket.void:
        advice = ("This ticket is void.", "It admits nobody any more.")
    for line, y in zip(advice, (89.2, 92.8), strict=True):
        write_centred(pdf, _STUB_MIDDLE, y, line, "", 7.5, _BODY)


def _draw_qr(pdf: FPDF, code: str, x: float, y: float) -> None:
    """Draw code as vectors, quiet zone included.

    One path in units of modules: some eight hundred `rect` calls would take longer than
    the rest of the ticket.
    """
    rows = qr_modules(code)
    module = _QR / (len(rows) + 2 * QUIET_MODULES) * pdf.k
    left, top = x * pdf.k, (pdf.h - y) * pdf.k
    path = [f"q 0 0 0 rg {module:.5f} 0 0 {-module:.5f} {left:.5f} {top:.5f} cm"]
    for row, modules in enumerate(rows, start=QUIET_MODULES):
        path += map(_bars_in(row).__getitem__, dark_runs(modules))
    path.append("f Q")
    pdf._out("\n".join(path))  # noqa: SLF001 - what every public way to draw ends in


class _Bars(dict[tuple[int, int], str]):
    """Rectangles over runs of modules in one row: most are drawn again and again."""

    def __init__(self, row: int) -> None:
        self._row = row

    def __missing__(self, run: tuple[int, int]) -> str:
        start, length = run
        # A hair taller than a module: viewers leave no seam between rows.
        bar = self[run] = f"{start + QUIET_MODULES} {self._row} {length} 1.02 re"
        return bar


# As many as the largest symbol has rows; together they come to some 2 MB.
_bars_in = lru_cache(maxsize=185)(_Bars)


def _draw_stamp(pdf: FPDF) -> None:
    """Stamp VOID across the perforation, so that neither part passes for a ticket."""
    (width, height), middle = _STAMP, (_STUB_LEFT - 8, 52.0)
    pdf.set_draw_color(*_ACCENT)
    pdf.set_line_width(1.6)
    with pdf.rotation(_STAMP_TILT, *middle):
        pdf.rect(middle[0] - width / 2, middle[1] - height / 2, width, height)
        write_centred(pdf, middle[0], middle[1] + 8.2, "VOID", "B", 66, _ACCENT, spacing=6)


def _block(
    pdf: FPDF,
    y: float,
    text: str,
    weight: Weight,
    sizes: tuple[float, ...],
    height: float,
    colour: Colour,
) -> float:
    """Print a block over the main column with its top at y; return where it ends."""
    return fitted(pdf, _MARGIN, y, text, weight, sizes, _COLUMN, height, colour)
