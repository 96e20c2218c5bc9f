"""What routes are given: the backends, and the parts of a request that many share."""

import re
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from gateway.availability import Availability
from gateway.clients import Backends
from gateway.clients.booking import BookingClient
from gateway.clients.catalog import CatalogClient
from gateway.clients.identity import IdentityClient
from gateway.event_reads import EventReads
from gateway.jwks import KeyRing
from gateway.problems import Problem
from gateway.schemas.common import MAX_INT64, QueryInteger, Text, canonical_id
from gateway.sold_out import BookingDesk

_EXAMPLE_ID = "0197c0de-7a11-7b00-8a00-000000000001"
_ETAG = re.compile(r'(?:W/)?"(\d{1,19})(?:-[0-9a-f]{16})?"')


def _backends(request: Request) -> Backends:
    backends: Backends = request.app.state.backends
    return backends


def _identity(request: Request) -> IdentityClient:
    return _backends(request).identity


def _catalog(request: Request) -> CatalogClient:
    return _backends(request).catalog


def _booking(request: Request) -> BookingClient:
    return _backends(request).booking


def _availability(request: Request) -> Availability:
    availability: Availability = request.app.state.availability
    return availability


def _desk(request: Request) -> BookingDesk:
    desk: BookingDesk = request.app.state.desk
    return desk


def _event_reads(request: Request) -> EventReads:
    event_reads: EventReads = request.app.state.event_reads
    return event_reads


def _keys(request: Request) -> KeyRing:
    keys: KeyRing = request.app.state.keys
    return keys


AllBackends = Annotated[Backends, Depends(_backends)]
Identity = Annotated[IdentityClient, Depends(_identity)]
Catalog = Annotated[CatalogClient, Depends(_catalog)]
Booking = Annotated[BookingClient, Depends(_booking)]
Desk = Annotated[BookingDesk, Depends(_desk)]
Events = Annotated[EventReads, Depends(_event_reads)]
WhatIsLeft = Annotated[Availability, Depends(_availability)]
Keys = Annotated[KeyRing, Depends(_keys)]


def _id_of(what: str) -> object:
    """Return a dependency that reads `{<what>_id}`; text that is no UUID names nothing."""
    name = f"{what}_id"

    def read(
        text: Annotated[
            str,
            Path(alias=name, json_schema_extra={"format": "uuid"}, examples=[_EXAMPLE_ID]),
        ],
    ) -> str:
        found = canonical_id(text)
        if found is None:
            raise Problem(f"{what}_not_found")
        return found

    return Depends(read)


EventId = Annotated[str, _id_of("event")]
BookingId = Annotated[str, _id_of("booking")]
TicketId = Annotated[str, _id_of("ticket")]
UserId = Annotated[str, _id_of("user")]

Limit = Annotated[QueryInteger, Query(ge=1, le=100, description="Size of a page.")]
Cursor = Annotated[
    Text | None, Query(max_length=1000, description="`nextCursor` of the page before.")
]

IDEMPOTENCY_KEY = r"[\x21-\x7e]{1,255}"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Makes a repeat harmless: same key and body, same answer.",
        examples=["5f0c2a4e-order-17"],
    ),
]


def _expected_version(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="ETag of the version the change is based on; 412 when it is not the last.",
            examples=['"3"'],
        ),
    ] = None,
) -> int | None:
    """Return the version in If-Match, None for no condition.

    Raises:
        Problem: stale_version, for a tag that is none of ours and so matches nothing.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _ETAG.fullmatch(if_match.strip())
    if tag is None or int(tag[1]) > MAX_INT64:
        raise Problem("stale_version")
    return int(tag[1])


ExpectedVersion = Annotated[int | None, Depends(_expected_version)]

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="ETag of an answer that was kept; 304 when it would be the same again.",
        examples=['"3-9f86d081884c7d65"'],
    ),
]
