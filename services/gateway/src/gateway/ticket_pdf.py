"""A ticket as a one-page PDF to download."""

import unicodedata
from datetime import UTC
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import segno
from fpdf import FPDF
from goticket.booking.v1 import booking_pb2 as pb

_MARGIN = 18.0
_QR_MM = 70.0
_INK = (30, 27, 75)
_FAINT = (107, 114, 128)


def render_ticket(ticket: pb.Ticket) -> bytes:
    """Draw the event, its time in its own zone, the holder and the QR code on A5."""
    pdf = FPDF(format=(148, 210))
    # The page count is never printed; a holder named "{nb}" keeps that name.
    pdf.alias_nb_pages(None)  # type: ignore[arg-type]  # its documented way to turn this off
    pdf.core_fonts_encoding = "cp1252"
    pdf.set_auto_page_break(auto=False)
    pdf.set_margin(_MARGIN)
    pdf.set_title(_printable(f"Ticket: {ticket.event.name}"))
    pdf.add_page()
    _band(pdf)
    _line(pdf, ticket.event.name, size=20, bold=True)
    _line(pdf, _when(ticket.event), size=12)
    _line(pdf, ticket.event.location, size=12)
    pdf.ln(4)
    _line(pdf, f"{ticket.holder_name} - {ticket.ticket_type_name}", size=13, bold=True)
    if ticket.status == pb.TICKET_STATUS_VOID:
        _line(pdf, "VOID: this ticket no longer admits anybody.", size=13, bold=True)
    _qr(pdf, ticket.code)
    pdf.set_y(pdf.h - _MARGIN)
    pdf.set_text_color(*_FAINT)
    pdf.set_font("helvetica", size=7)
    pdf.cell(0, 4, f"Ticket {ticket.id}", align="C")
    return bytes(pdf.output())


def _band(pdf: FPDF) -> None:
    pdf.set_fill_color(*_INK)
    pdf.rect(0, 0, pdf.w, 16, style="F")
    pdf.set_text_color(255, 255, 255)
    pdf.set_font("helvetica", "B", 14)
    pdf.set_xy(_MARGIN, 5)
    pdf.cell(0, 6, "GoTicket")
    pdf.set_text_color(*_INK)
    pdf.set_xy(_MARGIN, 26)


def _line(pdf: FPDF, text: str, *, size: int, bold: bool = False) -> None:
    if text:
        pdf.set_font("helvetica", "B" if bold else "", size)
        pdf.multi_cell(0, size * 0.5, _printable(text), new_x="LMARGIN", new_y="NEXT")


def _qr(pdf: FPDF, code: str) -> None:
    """Draw the code as squares: sharp at every size, quiet zone of 4 modules included."""
    rows = list(segno.make(code, error="m", micro=False).matrix_iter(border=4))
    module = _QR_MM / len(rows)
    left, top = (pdf.w - _QR_MM) / 2, pdf.h - _MARGIN - _QR_MM - 4
    pdf.set_fill_color(0, 0, 0)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                pdf.rect(left + x * module, top + y * module, module, module, style="F")


def _when(event: pb.EventSnapshot) -> str:
    try:
        zone = ZoneInfo(event.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    start = event.starts_at.ToDatetime(tzinfo=UTC).astimezone(zone)
    return f"{start:%A, %d %B %Y, %H:%M} ({event.timezone})"


def _printable(text: str) -> str:
    """Reduce text to what the PDF's built-in fonts can show, letters before question marks."""
    return "".join(
        character
        if character.encode("cp1252", "ignore")
        else unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
        for character in text
    )
