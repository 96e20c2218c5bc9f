"""A ticket as a one-page PDF to download, drawn in a process beside the event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar, TypeVarTuple

from goticket.booking.v1 import booking_pb2 as pb
from goticket_documents.sanitize import sanitize_text
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.ticket_pdf import print_ticket
from goticket_kernel.time_zones import UTC_ZONE, find_time_zone
from goticket_platform.caching import CacheBudget, Entry, TTLCache
from goticket_platform.worker_pool.pool import CallFailed, PoolBusy, WorkerPool
from prometheus_client import Counter

from gateway.http.problems import Problem

IsDisconnected = Callable[[], bool]
ResultT = TypeVar("ResultT")
ArgumentsT = TypeVarTuple("ArgumentsT")

CACHED_SECONDS = 600.0
"""Lifetime of a cached document. A ticket is read before each answer, so a cached document is
sent only to callers who may see it, and only while it shows what was read."""
_ENTRY_BYTES = 4096
"""Memory of a cached document besides its content, at most."""
MAX_WAITING = 8
"""Documents that wait for the drawing process; it draws some hundred per second."""

MISSING = Counter(
    "goticket_gateway_missing_characters", "Characters of drawn tickets that no font has"
)


class Pool(Protocol):
    """Runs functions beside the event loop."""

    async def run_unless(
        self,
        is_abandoned: Callable[[], bool],
        function: Callable[[*ArgumentsT], ResultT],
        *arguments: *ArgumentsT,
    ) -> ResultT:
        """Return the function's result, or refuse the call if too many wait."""
        ...


@dataclass(eq=False)
class _Drawing:
    """A document that is being drawn, and the clients that wait for it."""

    clients: list[IsDisconnected] = field(default_factory=list)
    document: asyncio.Future[bytes] | None = None

    def is_abandoned(self) -> bool:
        """Whether no client waits any more."""
        return all(is_disconnected() for is_disconnected in self.clients)


class TicketPrinter:
    """Draws tickets as PDFs; concurrent requests of the same ticket share one drawing."""

    def __init__(self, pool: Pool, budget: CacheBudget) -> None:
        self._pool = pool
        self._clock = budget.clock
        self._documents: TTLCache[tuple[PrintableTicket, bytes]] = TTLCache(
            budget, "ticket_pdfs", size_of=lambda cached: _ENTRY_BYTES + len(cached[1])
        )
        self._drawings: dict[PrintableTicket, _Drawing] = {}

    async def print(self, ticket: pb.Ticket, is_disconnected: IsDisconnected) -> bytes:
        """Draw the ticket as in the e-mail, without its price and its number in the booking.

        Times of an unknown time zone are shown in UTC.

        Raises:
            Problem: busy, if too many documents wait; unavailable, if drawing fails.
        """
        printable = _printable(ticket)
        cached = self._documents.get(printable.id)
        if cached is not None and cached.value[0] == printable:
            return cached.value[1]
        drawing = self._drawings.setdefault(printable, _Drawing())
        drawing.clients.append(is_disconnected)
        if drawing.document is None:
            drawing.document = asyncio.ensure_future(self._draw(printable, drawing))
            drawing.document.add_done_callback(_retrieve)
        try:
            # A cancelled request must not cancel the drawing of the others.
            return await asyncio.shield(drawing.document)
        except PoolBusy:
            raise Problem("busy") from None
        except CallFailed:
            raise Problem("unavailable") from None

    async def _draw(self, ticket: PrintableTicket, drawing: _Drawing) -> bytes:
        try:
            document, missing = await self._pool.run_unless(
                drawing.is_abandoned, print_ticket, ticket, datetime.now(UTC)
            )
        finally:
            del self._drawings[ticket]
        MISSING.inc(missing)
        now = self._clock()
        self._documents.put(ticket.id, Entry((ticket, document), now, now + CACHED_SECONDS))
        return document


def open_pool() -> WorkerPool:
    """Return the pool with the process that draws; closing it finishes the documents."""
    return WorkerPool("tickets", max_waiting=MAX_WAITING, modules=(print_ticket.__module__,))


def _retrieve(document: asyncio.Future[bytes]) -> None:
    """Mark the exception as seen: every client may have been cancelled."""
    if not document.cancelled():
        document.exception()


def _printable(ticket: pb.Ticket) -> PrintableTicket:
    event = ticket.event
    return PrintableTicket(
        id=ticket.id,
        code=ticket.code,
        booking_reference=ticket.booking_id,
        event_name=sanitize_text(event.name),
        place=sanitize_text(event.location),
        zone=find_time_zone(event.timezone) or UTC_ZONE,
        starts_at=event.starts_at.ToDatetime(tzinfo=UTC),
        ends_at=event.ends_at.ToDatetime(tzinfo=UTC),
        holder=sanitize_text(ticket.holder_name),
        ticket_type=sanitize_text(ticket.ticket_type_name),
    )
