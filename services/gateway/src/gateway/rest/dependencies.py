"""Dependencies of routes: the components, and the parts of a request that several share.

Every dependency is `async def`: FastAPI sends the others to a thread pool one by one.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from goticket_platform.ids import parse_id
from pydantic import AfterValidator

from gateway.booking_submission.pipeline import BookingPipeline
from gateway.clients import Backends
from gateway.clients.booking import BookingClient
from gateway.clients.catalog import CatalogClient
from gateway.clients.identity import IdentityClient
from gateway.components import Components
from gateway.http.etags import is_any, strong_tags
from gateway.http.exchange import SCOPE_KEY, HttpExchange
from gateway.http.problems import Problem
from gateway.rate_limits.request_limits import RequestLimits
from gateway.rest.events.public_reads import PublicReads
from gateway.rest.schemas import MAX_INT64, QueryInteger, Text
from gateway.rest.tickets.ticket_pdf import TicketPrinter
from gateway.security.authentication import Caller
from gateway.security.key_ring import KeyRing

_EXAMPLE_ID = "0197c0de-7a11-7b00-8a00-000000000001"
_ETAG = re.compile(r'"(\d{1,19})(?:-[0-9a-f]{16})?"')


def _components(request: Request) -> Components:
    components: Components = request.app.state.components
    return components


async def _backends(request: Request) -> Backends:
    return _components(request).backends


async def _identity(request: Request) -> IdentityClient:
    return _components(request).backends.identity


async def _catalog(request: Request) -> CatalogClient:
    return _components(request).backends.catalog


async def _booking(request: Request) -> BookingClient:
    return _components(request).backends.booking


async def _booking_pipeline(request: Request) -> BookingPipeline:
    return _components(request).booking_pipeline


async def _public_reads(request: Request) -> PublicReads:
    return _components(request).public_reads


async def _ticket_printer(request: Request) -> TicketPrinter:
    return _components(request).ticket_printer


async def _limits(request: Request) -> RequestLimits:
    return _components(request).limits


async def exchange_of(request: Request) -> HttpExchange:
    """Return the exchange that a request belongs to."""
    exchange: HttpExchange = request.scope[SCOPE_KEY]
    return exchange


async def _keys(request: Request) -> KeyRing:
    return _components(request).keys


AllBackends = Annotated[Backends, Depends(_backends)]
Identity = Annotated[IdentityClient, Depends(_identity)]
Catalog = Annotated[CatalogClient, Depends(_catalog)]
Booking = Annotated[BookingClient, Depends(_booking)]
Pipeline = Annotated[BookingPipeline, Depends(_booking_pipeline)]
Reads = Annotated[PublicReads, Depends(_public_reads)]
Printer = Annotated[TicketPrinter, Depends(_ticket_printer)]
Limits = Annotated[RequestLimits, Depends(_limits)]
Exchange = Annotated[HttpExchange, Depends(exchange_of)]
Keys = Annotated[KeyRing, Depends(_keys)]


def _id_of(resource: str) -> object:
    """Return a dependency that parses `{<resource>_id}`; any other text is an unknown id."""
    name = f"{resource}_id"

    async def parse(
        text: Annotated[
            str,
            Path(alias=name, json_schema_extra={"format": "uuid"}, examples=[_EXAMPLE_ID]),
        ],
    ) -> str:
        try:
            return str(parse_id(text))
        except ValueError:
            raise Problem(f"{resource}_not_found") from None

    return Depends(parse)


EventId = Annotated[str, _id_of("event")]
BookingId = Annotated[str, _id_of("booking")]
TicketId = Annotated[str, _id_of("ticket")]
UserId = Annotated[str, _id_of("user")]

Limit = Annotated[QueryInteger, Query(ge=1, le=100, description="Size of a page.")]
Cursor = Annotated[
    Text | None, Query(max_length=1000, description="`nextCursor` of the page before.")
]

IDEMPOTENCY_KEY = r"[\x21-\x7e]{1,255}"


def _is_idempotency_key(text: str) -> str:
    if not re.fullmatch(IDEMPOTENCY_KEY, text):
        raise ValueError("Should have 1 to 255 visible ASCII characters, without spaces.")
    return text


IdempotencyKey = Annotated[
    Annotated[str, AfterValidator(_is_idempotency_key)] | None,
    Header(
        alias="Idempotency-Key",
        json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
        description="Makes a repeat safe for 24 hours: the same key and body return the same"
        " booking, as it is by then.",
        examples=["5f0c2a4e-order-17"],
    ),
]


def _whole_field(request: Request, name: str) -> str | None:
    """Return a list header as one: a sender may split it over fields (RFC 9110, 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


@dataclass(frozen=True)
class VersionCondition:
    """The versions that If-Match accepts; None accepts any."""

    versions: frozenset[int] | None

    async def among_current(
        self, catalog: CatalogClient, caller: Caller, event_id: str
    ) -> int | None:
        """Return the version that the event must have, None for no condition.

        Of several it is the one that the catalog has now. The catalog checks it again when it
        saves, so a change in between is rejected. Called after the body was validated, because
        only a request that may succeed is worth a call.

        Raises:
            Problem: stale_version, for tags that match nothing.
            RemoteError: several versions were named, and the catalog cannot be read.
        """
        named = self.versions
        if named is None:
            return None
        if len(named) > 1:
            named &= {(await catalog.get(event_id, caller.actor)).version}
        if not named:
            raise Problem("stale_version")
        return next(iter(named))


async def _expected_version(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="ETags of acceptable versions, or `*`; 412 if none is the current one."
            " A weak ETag never matches.",
            examples=['"3"'],
        ),
    ] = None,
) -> VersionCondition:
    field = _whole_field(request, "If-Match")
    if field is None or is_any(field):
        return VersionCondition(None)
    found = (_version(tag) for tag in strong_tags(field))
    return VersionCondition(frozenset(version for version in found if version is not None))


def _version(tag: str) -> int | None:
    """Return the version in one of our ETags; its availability does not matter to a change."""
    found = _ETAG.fullmatch(tag)
    version = int(found[1]) if found else None
    return version if version is not None and version <= MAX_INT64 else None


ExpectedVersion = Annotated[VersionCondition, Depends(_expected_version)]


async def _if_none_match(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="ETags of cached answers; 304 when the answer is still one of them.",
            examples=['"3-9f86d081884c7d65"'],
        ),
    ] = None,
) -> str | None:
    return _whole_field(request, "If-None-Match")


IfNoneMatch = Annotated[str | None, Depends(_if_none_match)]
