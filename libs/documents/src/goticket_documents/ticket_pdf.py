"""The printed ticket as a PDF: one page of 210 x 105 mm per admission."""

from dataclasses import replace
from datetime import datetime

from fpdf.enums import RenderStyle

from goticket_documents.fast.drawing_cache import DrawingCache
from goticket_documents.fonts import Weight, in_windows_1252
from goticket_documents.money import price_text
from goticket_documents.qr import QUIET_MODULES, dark_runs, qr_modules
from goticket_documents.shaping import printable
from goticket_documents.text_layout import write, write_block, write_centred
from goticket_documents.ticket_document import Colour, TicketDocument
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.times import period_text

# Lengths are in millimetres, type sizes in points.
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
_CACHED_DRAWING_BYTES = 8 * 1024 * 1024

_INK: Colour = (30, 27, 75)
_ACCENT: Colour = (225, 29, 72)
_BODY: Colour = (31, 41, 55)
_FAINT: Colour = (107, 114, 128)
_RULE: Colour = (209, 213, 219)
_PALE: Colour = (199, 210, 254)
_WHITE: Colour = (255, 255, 255)


def render_ticket(ticket: PrintableTicket, created_at: datetime) -> bytes:
    """Return the ticket as a PDF of one page.

    It takes about 2 ms of CPU time, and less than twice as much in any script.
    """
    pdf = _blank_page()
    _common.draw(
        pdf, replace(ticket, id="", code="", booking_reference="", holder="", numbered=None)
    )
    _draw_individual(pdf, ticket)
    if ticket.void:
        _draw_stamp(pdf)
    pdf.set_creation_date(created_at)
    pdf.set_title(f"{_count_text(ticket) or 'Ticket'}: {ticket.event_name}")
    pdf.finish_drawing()
    return pdf.content()


def print_ticket(ticket: PrintableTicket, created_at: datetime) -> tuple[bytes, int]:
    """Return the ticket as a PDF, and how many of its characters no font has."""
    return render_ticket(ticket, created_at), missing_characters(ticket)


def missing_characters(ticket: PrintableTicket) -> int:
    """Return how many characters of its texts no font has; they are printed as "□"."""
    texts = (ticket.event_name, ticket.place, ticket.holder, ticket.ticket_type)
    return sum(printable(text, "")[1] for text in texts if not in_windows_1252(text))


def _blank_page() -> TicketDocument:
    pdf = TicketDocument(*PAGE)
    # Otherwise fpdf2 replaces "{nb}", also in a holder's name, by the page count.
    pdf.alias_nb_pages(None)  # type: ignore[arg-type]  # the documented way to turn this off
    pdf.core_fonts_encoding = "cp1252"
    pdf.set_auto_page_break(auto=False)
    pdf.set_creator("GoTicket")
    pdf.set_producer("GoTicket")
    pdf.set_lang("en")
    # Always in this order: cached drawings name fonts by number.
    for weight in _CORE_WEIGHTS:
        pdf.set_font("helvetica", weight)
    pdf.add_page()
    return pdf


def _draw_common(pdf: TicketDocument, ticket: PrintableTicket) -> None:
    """Draw what the tickets of one type have in common."""
    _draw_frame(pdf, ticket)
    _draw_event(pdf, ticket)
    _draw_admission(pdf, ticket)
    _draw_advice(pdf, ticket)


_common = DrawingCache(_blank_page, _draw_common, _CACHED_DRAWING_BYTES)


def _draw_individual(pdf: TicketDocument, ticket: PrintableTicket) -> None:
    """Draw what differs between tickets of one type."""
    _draw_value(pdf, _MARGIN, ticket.holder, _holder_width(ticket))
    reference = f"Booking {ticket.booking_reference}"
    write(pdf, _MARGIN, 97.8, reference, "", 6.5, _FAINT)
    if not ticket.void:
        _draw_qr(pdf, ticket.code, _STUB_MIDDLE - _QR / 2, 22.5)
    write_centred(pdf, _STUB_MIDDLE, 84.0, _count_text(ticket), "B", 12, _INK)
    write_centred(pdf, _STUB_MIDDLE, 97.8, ticket.id, "", 6, _FAINT)


def _count_text(ticket: PrintableTicket) -> str:
    return "Ticket {} of {}".format(*ticket.numbered) if ticket.numbered else ""


def _draw_frame(pdf: TicketDocument, ticket: PrintableTicket) -> None:
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


def _draw_event(pdf: TicketDocument, ticket: PrintableTicket) -> None:
    y = _block(pdf, 24, ticket.event_name, "B", (30, 24, 20, 16, 13, 10, 8.5), 22, _INK)
    period = period_text(ticket.starts_at, ticket.ends_at, ticket.zone)
    y = _block(pdf, y + 2.4, period.date, "B", (11.5,), 6, _ACCENT)
    y = _block(pdf, y + 0.4, period.hours, "", (10.5, 9, 8, 7), 5, _BODY)
    _block(pdf, y + 0.2, period.zone, "", (7.5,), 4, _FAINT)
    if ticket.place:
        _block(pdf, y + 6.2, ticket.place, "", (12, 10.5, 9, 8, 7), 12.5, _BODY)


def _draw_admission(pdf: TicketDocument, ticket: PrintableTicket) -> None:
    """Draw the row with ticket type and price, and the holder's label without the name."""
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


def _draw_label(pdf: TicketDocument, x: float, text: str) -> None:
    write(pdf, x, 84.0, text, "", 6, _FAINT, spacing=0.5)


def _draw_value(pdf: TicketDocument, x: float, text: str, width: float) -> None:
    """Write a value below its label, on the label's side for every script."""
    sizes = (10, 8.5, 7, 6)
    write_block(pdf, x, 85.4, text, "B", sizes, width - 4, 8.6, _BODY, flush_left=True)


def _draw_advice(pdf: TicketDocument, ticket: PrintableTicket) -> None:
    advice = ("Show this code at the entrance.", "It admits one person, once.")
    if ticket.void:
        advice = ("This ticket is void.", "It is no longer valid for entry.")
    for line, y in zip(advice, (89.2, 92.8), strict=True):
        write_centred(pdf, _STUB_MIDDLE, y, line, "", 7.5, _BODY)


def _draw_qr(pdf: TicketDocument, code: str, x: float, y: float) -> None:
    """Draw the QR code as one vector path in units of modules, quiet zone included."""
    rows = qr_modules(code)
    module = _QR / (len(rows) + 2 * QUIET_MODULES) * pdf.k
    left, top = x * pdf.k, (pdf.h - y) * pdf.k
    path = [f"q 0 0 0 rg {module:.5f} 0 0 {-module:.5f} {left:.5f} {top:.5f} cm"]
    # Rectangles overlap the next row by 2 %, so that viewers leave no seam between rows.
    path += [
        f"{start + QUIET_MODULES} {row} {length} 1.02 re"
        for row, modules in enumerate(rows, start=QUIET_MODULES)
        for start, length in dark_runs(modules)
    ]
    path.append("f Q")
    pdf._out("\n".join(path))  # noqa: SLF001 - hundreds of calls of `rect` would take 10 ms


def _draw_stamp(pdf: TicketDocument) -> None:
    """Stamp VOID across the perforation, so that both parts show it."""
    (width, height), middle = _STAMP, (_STUB_LEFT - 8, 52.0)
    pdf.set_draw_color(*_ACCENT)
    pdf.set_line_width(1.6)
    with pdf.rotation(_STAMP_TILT, *middle):
        pdf.rect(middle[0] - width / 2, middle[1] - height / 2, width, height)
        write_centred(pdf, middle[0], middle[1] + 8.2, "VOID", "B", 66, _ACCENT, spacing=6)


def _block(
    pdf: TicketDocument,
    y: float,
    text: str,
    weight: Weight,
    sizes: tuple[float, ...],
    height: float,
    colour: Colour,
) -> float:
    """Write a block in the main column with its top at y; return the y of its end."""
    return write_block(pdf, _MARGIN, y, text, weight, sizes, _COLUMN, height, colour)
