"""What a printed ticket says."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from goticket_documents.money import Money


@dataclass(frozen=True)
class PrintableTicket:
    """One admission. Texts are one line each (see sanitize.sanitize_text); the place may be empty.

    Times carry their zone; zone is the one they are printed in.
    """

    id: str
    code: str
    booking_reference: str
    event_name: str
    place: str
    zone: ZoneInfo
    starts_at: datetime
    ends_at: datetime
    holder: str
    ticket_type: str
    price: Money | None = None
    """None when whoever prints does not know it: it is left out then."""
    numbered: tuple[int, int] | None = None
    """Number n of m in its booking; None when unknown: it is left out then."""
    void: bool = False
    """Whether it admits nobody any more: it is stamped, and has no code to scan."""
