"""Frequent reads without FastAPI: the same steps as its routes, with the same answers.

A request that is invalid or unusual is left to FastAPI's route of the same address, so that
only one place explains what is wrong with a request.
"""

import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from goticket_platform.rpc.errors import RemoteError
from starlette.types import Scope

from gateway.clients.booking import BookingClient
from gateway.http.disconnect import is_disconnected
from gateway.http.exchange import HttpExchange
from gateway.http.problems import Problem
from gateway.http.responses import HttpResponse, json_response
from gateway.rest.bookings.reads import read_booking
from gateway.rest.events.public_reads import PublicReads, RenderedAnswer, render_answer
from gateway.rest.events.query import parse_query
from gateway.rest.read_pacing import ReadPacer
from gateway.rest.tickets.reads import (
    read_ticket,
    read_ticket_pdf,
    read_ticket_qr,
    read_tickets,
)
from gateway.rest.tickets.ticket_pdf import TicketPrinter
from gateway.security.authentication import Caller, TokenVerifier, authenticate

_API = "/api/v1/"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DEFAULT_LIMIT = 20
_LIVE = json_response(b'{"status":"ok"}')
_CACHED_PATHS = 8192
_MAX_PATH_LENGTH = 96
PATHS_BYTES = _CACHED_PATHS * 512
"""Memory of all cached paths at most."""

Read = Callable[[HttpExchange, str, Caller | None], Awaitable[HttpResponse | None]]


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    template: str
    read: Read
    personal: bool


class ReadFastPath:
    """Answers reads of events, own bookings and own tickets, and liveness probes."""

    def __init__(
        self,
        verifier: TokenVerifier,
        public_reads: PublicReads,
        booking: BookingClient,
        printer: TicketPrinter,
        pacer: ReadPacer,
    ) -> None:
        self._verifier = verifier
        self._reads = public_reads
        self._booking = booking
        self._printer = printer
        self._pacer = pacer
        self._routes = (
            _route("events/{event_id}", self._event),
            _route("events", self._page),
            _route("events/{event_id}/availability", self._availability),
            _route("bookings/{booking_id}", self._own_booking, personal=True),
            _route("tickets", self._own_tickets, personal=True),
            _route("tickets/{ticket_id}", self._own_ticket, personal=True),
            _route("tickets/{ticket_id}/qr.svg", self._ticket_qr, personal=True),
            _route("tickets/{ticket_id}/ticket.pdf", self._ticket_pdf, personal=True),
        )
        self._find = functools.lru_cache(_CACHED_PATHS)(self._match)

    def matches(self, scope: Scope) -> bool:
        """Return whether the request may be for one of these routes."""
        method = scope["method"]
        path: str = scope["path"]
        return method in {"GET", "HEAD"} and (path.startswith(_API) or path == "/livez")

    async def respond(self, exchange: HttpExchange) -> HttpResponse | None:
        """Return the response; None leaves the request to FastAPI.

        Raises:
            Problem: the resource's state does not allow it.
            RemoteError: a backend rejected the request or is unavailable.
        """
        path = exchange.scope["path"]
        if path == "/livez":
            exchange.route = path
            return _LIVE
        # Longer paths match no route, and must not fill the cache of matches.
        found = self._find(path) if len(path) <= _MAX_PATH_LENGTH else None
        if found is None or exchange.has_repeated_headers:
            return None
        await self._pacer.admit()
        route, resource_id = found
        caller = None
        if b"authorization" in exchange.headers:
            caller = await self._authenticate(exchange)
            if caller is None:
                return None
            exchange.user_id = caller.user_id
        elif route.personal:
            return None
        exchange.route = route.template
        return await route.read(exchange, resource_id, caller)

    def _match(self, path: str) -> tuple[_Route, str] | None:
        for route in self._routes:
            if found := route.pattern.fullmatch(path):
                return route, (found[1].lower() if found.re.groups else "")
        return None

    async def _authenticate(self, exchange: HttpExchange) -> Caller | None:
        header = exchange.headers[b"authorization"].decode("latin-1")
        try:
            return await authenticate(self._verifier, header)
        except (Problem, RemoteError):
            return None

    async def _event(
        self, exchange: HttpExchange, event_id: str, caller: Caller | None
    ) -> HttpResponse:
        answer = await self._reads.event(event_id, caller, exchange.context)
        return self._render(exchange, answer, caller)

    async def _page(
        self, exchange: HttpExchange, _id: str, caller: Caller | None
    ) -> HttpResponse | None:
        request = parse_query(exchange.scope["query_string"])
        if request is None:
            return None
        answer = await self._reads.page(request, caller, exchange.context)
        return self._render(exchange, answer, caller)

    async def _availability(
        self, exchange: HttpExchange, event_id: str, caller: Caller | None
    ) -> HttpResponse:
        answer = await self._reads.event_availability(event_id, caller, exchange.context)
        return self._render(exchange, answer, caller)

    def _render(
        self, exchange: HttpExchange, answer: RenderedAnswer, caller: Caller | None
    ) -> HttpResponse:
        condition = exchange.headers.get(b"if-none-match")
        if_none_match = None if condition is None else condition.decode("latin-1")
        return render_answer(answer, caller, if_none_match, self._reads.clock())

    async def _own_booking(
        self, exchange: HttpExchange, booking_id: str, caller: Caller | None
    ) -> HttpResponse | None:
        if caller is None:
            return None
        return await read_booking(self._booking, caller, booking_id, exchange.context)

    async def _own_tickets(
        self, exchange: HttpExchange, _id: str, caller: Caller | None
    ) -> HttpResponse | None:
        if caller is None or exchange.scope["query_string"]:
            return None
        return await read_tickets(self._booking, caller, _DEFAULT_LIMIT, None, exchange.context)

    async def _own_ticket(
        self, exchange: HttpExchange, ticket_id: str, caller: Caller | None
    ) -> HttpResponse | None:
        if caller is None:
            return None
        return await read_ticket(self._booking, caller, ticket_id, exchange.context)

    async def _ticket_qr(
        self, exchange: HttpExchange, ticket_id: str, caller: Caller | None
    ) -> HttpResponse | None:
        if caller is None:
            return None
        return await read_ticket_qr(self._booking, caller, ticket_id, exchange.context)

    async def _ticket_pdf(
        self, exchange: HttpExchange, ticket_id: str, caller: Caller | None
    ) -> HttpResponse | None:
        if caller is None:
            return None
        disconnected = functools.partial(is_disconnected, exchange.receive)
        return await read_ticket_pdf(
            self._booking, self._printer, caller, ticket_id, exchange.context, disconnected
        )


def _route(path: str, read: Read, *, personal: bool = False) -> _Route:
    template = _API + path
    pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return _Route(re.compile(re.sub(r"{\w+}", f"({_UUID})", pattern)), template, read, personal)
