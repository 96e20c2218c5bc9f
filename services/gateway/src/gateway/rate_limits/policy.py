"""Which limits a request has: one table of routes, with numbers from the settings."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from gateway.rate_limits.buckets import Charge, Limit

_RATE = re.compile(r"(\d{1,9})/(\d{1,6})(?:/(\d{1,7}))?")


class RouteClass(Enum):
    """Routes with the same limits."""

    PROBE = auto()
    """Answered always: an orchestrator ends a process that does not answer."""
    CACHED_READ = auto()
    """Public reads and documents. Counted by each process alone, so that they cost no call."""
    LOGIN = auto()
    """Failures are counted, by address and by e-mail address: see `RequestLimits.login`."""
    SIGN_UP = auto()
    """Creates an account, and sends an e-mail."""
    BOOKING = auto()
    """Counted when a batch is sent, with one call for all its requests."""
    DOCUMENT = auto()
    """Draws a ticket."""
    OTHER = auto()


PROBES = frozenset({"/health", "/health/db", "/livez", "/readyz", "/metrics"})
_READS = re.compile(
    r"/api/v1/events(?:/[^/]+(?:/availability)?)?|/openapi\.json|/docs(?:/[^/]*)?|/\.well-known/.+"
)
_DOCUMENTS = re.compile(r"/api/v1/tickets/[^/]+/(?:ticket\.pdf|qr\.svg)")
_BOOKINGS = re.compile(r"/api/v1/events/[^/]+/bookings")
_POSTS = {
    "/api/v1/auth/login": RouteClass.LOGIN,
    "/api/v1/auth/register": RouteClass.SIGN_UP,
}


def route_class(method: str, path: str) -> RouteClass:
    """Return the class of a request's route, known or unknown."""
    if method == "POST":
        if path.endswith("/bookings") and _BOOKINGS.fullmatch(path):
            return RouteClass.BOOKING
        return _POSTS.get(path, RouteClass.OTHER)
    if method in {"GET", "HEAD"}:
        if path in PROBES:
            return RouteClass.PROBE
        if _READS.fullmatch(path):
            return RouteClass.CACHED_READ
        if _DOCUMENTS.fullmatch(path):
            return RouteClass.DOCUMENT
    return RouteClass.OTHER


def parse_limit(name: str, rate: str) -> Limit:
    """Parse a rate: "10/900" is 10 units in 900 seconds, "10/900/3600" blocks for an hour.

    Raises:
        ValueError: it has another form, or a number that makes no limit.
    """
    found = _RATE.fullmatch(rate)
    if found is None:
        raise ValueError(f"{rate!r} is not like 10/900 or 10/900/3600")
    quota, window, block = (int(number or 0) for number in found.groups())
    return Limit(name, quota, window, block)


@dataclass(frozen=True)
class RateLimitPolicy:
    """The limits, each with the client that it counts."""

    reads_per_address: Limit
    requests_per_address: Limit
    requests_per_user: Limit
    bookings_per_address: Limit
    bookings_per_user: Limit
    documents_per_address: Limit
    documents_per_user: Limit
    sign_ups_per_address: Limit
    failed_logins_per_address: Limit
    failed_logins_per_email: Limit
    unknown_routes_per_address: Limit

    def charges(self, kind: RouteClass, address: str, user_id: str | None) -> list[Charge]:
        """Return the charges of a request; those of logins and cached reads are not here."""
        match kind:
            case RouteClass.BOOKING:
                limits = (self.bookings_per_user, self.bookings_per_address)
            case RouteClass.DOCUMENT:
                limits = (self.documents_per_user, self.documents_per_address)
            case RouteClass.SIGN_UP:
                return [Charge(self.sign_ups_per_address, address)]
            case _:
                limits = (self.requests_per_user, self.requests_per_address)
        of_user, of_address = limits
        if not user_id:
            return [Charge(of_address, address)]
        return [Charge(of_user, user_id), Charge(of_address, address)]
