"""The printed ticket: one page per admission, 210 x 105 mm, made in milliseconds."""

from datetime import datetime

import segno
from fpdf import FPDF
from fpdf.enums import RenderStyle

from notification.bookings import Booking, Event, Ticket
from notification.money import price_text
from notification.times import clock_span_text, date_text, zone_text
from notification.typefaces import Weight, set_font

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
# ISO/IEC 18004 asks for a quiet zone of four modules around the code.
_QUIET_MODULES = 4
_QR_MASK = 2
_POINT = 25.4 / 72
_LEADING = 1.18

Colour = tuple[int, int, int]
_INK: Colour = (30, 27, 75)
_ACCENT: Colour = (225, 29, 72)
_BODY: Colour = (31, 41, 55)
_FAINT: Colour = (107, 114, 128)
_RULE: Colour = (209, 213, 219)
_PALE: Colour = (199, 210, 254)
_WHITE: Colour = (255, 255, 255)


def render_ticket(booking: Booking, ticket: Ticket, made_at: datetime) -> bytes:
    """The ticket as a PDF of one page."""
    pdf = FPDF(orientation="landscape", unit="mm", format=(PAGE[1], PAGE[0]))
    # The page count is never printed; a holder named "{nb}" keeps that name.
    pdf.alias_nb_pages(None)  # type: ignore[arg-type]  # its documented way to turn this off
    pdf.core_fonts_encoding = "cp1252"
    pdf.set_auto_page_break(auto=False)
    pdf.set_creation_date(made_at)
    pdf.set_creator("GoTicket")
    pdf.set_producer("GoTicket")
    pdf.set_title(f"Ticket {ticket.number} of {ticket.count}: {booking.event.name}")
    pdf.set_lang("en")
    pdf.add_page()
    _draw_frame(pdf)
    _draw_event(pdf, booking.event)
    _draw_admission(pdf, booking, ticket)
    _draw_stub(pdf, ticket)
    return bytes(pdf.output())


def _draw_frame(pdf: FPDF) -> None:
    pdf.set_fill_color(*_INK)
    pdf.rect(0, 0, PAGE[0], _BAND, style=RenderStyle.F)
    pdf.rect(0, PAGE[1] - _FOOT, PAGE[0], _FOOT, style=RenderStyle.F)
    pdf.set_fill_color(*_ACCENT)
    pdf.rect(0, _BAND, PAGE[0], 1.2, style=RenderStyle.F)
    _write(pdf, _MARGIN, 11.2, "GOTICKET", "B", 15, _WHITE, spacing=2.2)
    _write_centred(pdf, _STUB_MIDDLE, 10.9, "ADMIT ONE", "", 9, _PALE, spacing=1.6)
    pdf.set_draw_color(*_RULE)
    pdf.set_line_width(0.35)
    pdf.set_dash_pattern(dash=1.6, gap=1.6)
    pdf.line(_STUB_LEFT, _BAND + 2, _STUB_LEFT, PAGE[1] - _FOOT)
    pdf.set_dash_pattern()
    pdf.set_fill_color(*_WHITE)
    for y in (0.0, PAGE[1]):
        pdf.circle(_STUB_LEFT, y, _NOTCH, style=RenderStyle.F)


def _draw_event(pdf: FPDF, event: Event) -> None:
    y = _block(pdf, 24, event.name, "B", (30, 24, 20, 16, 13, 10, 8.5), 22, _INK)
    start = event.starts_at.astimezone(event.zone)
    y = _block(pdf, y + 2.4, date_text(start), "B", (11.5,), 6, _ACCENT)
    span = clock_span_text(event.starts_at, event.ends_at, event.zone)
    y = _block(pdf, y + 0.4, span, "", (10.5,), 5, _BODY)
    _block(pdf, y + 0.2, zone_text(event.starts_at, event.zone), "", (7.5,), 4, _FAINT)
    if event.place:
        _block(pdf, y + 6.2, event.place, "", (12, 10.5, 9, 8, 7), 12.5, _BODY)


def _draw_admission(pdf: FPDF, booking: Booking, ticket: Ticket) -> None:
    pdf.set_draw_color(*_RULE)
    pdf.set_line_width(0.25)
    pdf.line(_MARGIN, 79.5, _STUB_LEFT - _MARGIN, 79.5)
    fields = (
        ("HOLDER", ticket.holder, 46.0),
        ("TICKET TYPE", ticket.ticket_type, 42.0),
        ("PRICE", price_text(ticket.price), 30.0),
    )
    x = _MARGIN
    for label, value, width in fields:
        _write(pdf, x, 84.0, label, "", 6, _FAINT, spacing=0.5)
        _fitted(pdf, x, 85.4, value, "B", (10, 8.5, 7, 6), width - 4, 8.6, _BODY)
        x += width
    reference = f"Booking {booking.id}"
    _write(pdf, _MARGIN, 97.8, reference, "", 6.5, _FAINT)


def _draw_stub(pdf: FPDF, ticket: Ticket) -> None:
    _draw_qr(pdf, ticket.code, _STUB_MIDDLE - _QR / 2, 22.5)
    count = f"Ticket {ticket.number} of {ticket.count}"
    _write_centred(pdf, _STUB_MIDDLE, 84.0, count, "B", 12, _INK)
    _write_centred(pdf, _STUB_MIDDLE, 89.2, "Show this code at the entrance.", "", 7.5, _BODY)
    _write_centred(pdf, _STUB_MIDDLE, 92.8, "It admits one person, once.", "", 7.5, _BODY)
    _write_centred(pdf, _STUB_MIDDLE, 97.8, str(ticket.id), "", 6, _FAINT)


def _draw_qr(pdf: FPDF, code: str, x: float, y: float) -> None:
    """Draw code as vectors, quiet zone included, at least error correction M."""
    # Weighing all eight masks would take longer than the rest of the ticket; a
    # signed code is as good as random, so that any mask suits it.
    symbol = segno.make_qr(code, error="m", mask=_QR_MASK)
    rows = [bytes(row) for row in symbol.matrix]
    module = _QR / (len(rows) + 2 * _QUIET_MODULES)
    x, y = x + _QUIET_MODULES * module, y + _QUIET_MODULES * module
    pdf.set_fill_color(0, 0, 0)
    for row, modules in enumerate(rows):
        for start, length in _runs(modules):
            # A hair taller than a module: viewers leave no seam between rows.
            left, top = x + start * module, y + row * module
            pdf.rect(left, top, length * module, module * 1.02, style=RenderStyle.F)


def _runs(modules: bytes) -> list[tuple[int, int]]:
    """Where dark modules start in a row and how many follow each other."""
    runs: list[tuple[int, int]] = []
    for column, dark in enumerate(modules):
        if dark and column and modules[column - 1]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((column, 1))
    return runs


def _write(
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
    """Print one line with its baseline at y."""
    shown = set_font(pdf, text, weight, size)
    pdf.set_text_color(*colour)
    pdf.set_char_spacing(spacing)
    pdf.text(x, y, shown)
    pdf.set_char_spacing(0)


def _write_centred(
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
    width = _width(pdf, text, weight, size) + spacing * _POINT * (len(text) - 1)
    _write(pdf, middle - width / 2, y, text, weight, size, colour, spacing=spacing)


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
    return _fitted(pdf, _MARGIN, y, text, weight, sizes, _COLUMN, height, colour)


def _fitted(
    pdf: FPDF,
    x: float,
    y: float,
    text: str,
    weight: Weight,
    sizes: tuple[float, ...],
    width: float,
    height: float,
    colour: Colour,
) -> float:
    """Print text in the largest size whose lines fit, cut with an ellipsis if none does."""
    lines, size = [text], sizes[-1]
    for candidate in sizes:
        size = candidate
        room = max(1, int(height / (size * _POINT * _LEADING)))
        lines = _wrap(pdf, text, weight, size, width)
        if len(lines) <= room:
            break
    else:
        last = _ellipsis(pdf, lines[room - 1] + " " + lines[room], weight, size, width)
        lines = [*lines[: room - 1], last]
    for line in lines:
        y += size * _POINT * _LEADING
        _write(pdf, x, y - size * _POINT * 0.3, line, weight, size, colour)
    return y


def _wrap(pdf: FPDF, text: str, weight: Weight, size: float, width: float) -> list[str]:
    """Break text into lines no wider than width, inside words where they are wider."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if _width(pdf, longer, weight, size) <= width:
            lines[-1] = longer
            continue
        rest = word
        while _width(pdf, rest, weight, size) > width:
            head = _longest_head(pdf, rest, weight, size, width)
            lines.append(head)
            rest = rest[len(head) :]
        lines.append(rest)
    return [line for line in lines if line]


def _longest_head(pdf: FPDF, text: str, weight: Weight, size: float, width: float) -> str:
    """The longest beginning of text that fits, at least one character."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _width(pdf, text[:middle], weight, size) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _ellipsis(pdf: FPDF, text: str, weight: Weight, size: float, width: float) -> str:
    mark = "\N{HORIZONTAL ELLIPSIS}"
    room = width - _width(pdf, mark, weight, size)
    return _longest_head(pdf, text, weight, size, room).rstrip() + mark


def _width(pdf: FPDF, text: str, weight: Weight, size: float) -> float:
    return pdf.get_string_width(set_font(pdf, text, weight, size))
