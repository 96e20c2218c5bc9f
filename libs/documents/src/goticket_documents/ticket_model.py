"""The data of a printed ticket."""

from dataclasses import dataclass
from datetime import datetime

from goticket_kernel.time_zones import TimeZone

from goticket_documents.money import Money


@dataclass(frozen=True)
class PrintableTicket:
    """One admission. Texts are sanitized to one line each; the place may be empty.

    Times are aware; they are printed in `zone`.
    """

    id: str
    code: str
    booking_reference: str
    event_name: str
    place: str
    zone: TimeZone
    starts_at: datetime
    ends_at: datetime
    holder: str
    ticket_type: str
    price: Money | None = None
    """None if unknown; it is not printed then."""
    numbered: tuple[int, int] | None = None
    """Number n of m in its booking; None if unknown, and not printed then."""
    void: bool = False
    """A void ticket is stamped and has no QR code."""
