"""The components that the routes use; `bootstrap` constructs them."""

from dataclasses import dataclass

from goticket_platform.ops import Health

from gateway.booking_submission.pipeline import BookingPipeline
from gateway.clients import Backends
from gateway.http.access_log_writer import AccessLogWriter
from gateway.http.client_address import ClientAddresses
from gateway.rate_limits.request_limits import RequestLimits
from gateway.rest.events.public_reads import PublicReads
from gateway.rest.tickets.ticket_pdf import TicketPrinter
from gateway.security.authentication import TokenVerifier
from gateway.security.key_ring import KeyRing


@dataclass(frozen=True)
class Components:
    """The parts of a gateway that requests share."""

    backends: Backends
    booking_pipeline: BookingPipeline
    public_reads: PublicReads
    keys: KeyRing
    verifier: TokenVerifier
    health: Health
    access_log: AccessLogWriter
    addresses: ClientAddresses
    limits: RequestLimits
    ticket_printer: TicketPrinter
