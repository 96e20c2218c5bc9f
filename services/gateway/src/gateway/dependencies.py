"""What routes are given: the backends, and the parts of a request that many share."""

import re
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from gateway.auth import Organizer
from gateway.availability import Availability
from gateway.clients import Backends
from gateway.clients.booking import BookingClient
from gateway.clients.catalog import CatalogClient
from gateway.clients.identity import IdentityClient
from gateway.entity_tags import is_any, strong_tags
from gateway.event_reads import EventReads
from gateway.jwks import KeyRing
from gateway.problems import Problem
from gateway.schemas.common import MAX_INT64, QueryInteger, Text, canonical_id
from gateway.sold_out import BookingDesk

_EXAMPLE_ID = "0197c0de-7a11-7b00-8a00-000000000001"
_ETAG = re.compile(r'"(\d{1,19})(?:-[0-9a-f]{16})?"')


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
        description="Makes a repeat harmless for 24 hours: same key and body, same booking, as it"
        " is by then.",
        examples=["5f0c2a4e-order-17"],
    ),
]


def _whole_field(request: Request, name: str) -> str | None:
    """Return a list header whole: a sender may spread it over lines (RFC 9110, 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


async def _expected_version(
    request: Request,
    caller: Organizer,
    event_id: EventId,
    catalog: Catalog,
    _: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="ETags of the versions the change may be based on, or `*`; 412 when none"
            " is the last. A weak one never is.",
            examples=['"3"'],
        ),
    ] = None,
) -> int | None:
    """Return the version that If-Match asks for, None for no condition.

    Of several it is the one that the catalog has now, which checks it again when it
    saves: what changes in between is refused.

    Raises:
        Problem: stale_version, for tags that match nothing.
        RemoteError: several versions were named, and the catalog cannot say which it has.
    """
    field = _whole_field(request, "If-Match")
    if field is None or is_any(field):
        return None
    named = {version for tag in strong_tags(field) if (version := _version(tag)) is not None}
    if len(named) > 1:
        named &= {(await catalog.get(event_id, caller.actor)).version}
    if not named:
        raise Problem("stale_version")
    return named.pop()


def _version(tag: str) -> int | None:
    """Return the version in a tag of ours; what was left then does not matter to a change."""
    found = _ETAG.fullmatch(tag)
    version = int(found[1]) if found else None
    return version if version is not None and version <= MAX_INT64 else None


ExpectedVersion = Annotated[int | None, Depends(_expected_version)]


def _if_none_match(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="ETags of answers that were kept; 304 when one would be the same again.",
            examples=['"3-9f86d081884c7d65"'],
        ),
    ] = None,
) -> str | None:
    return _whole_field(request, "If-None-Match")


IfNoneMatch = Annotated[str | None, Depends(_if_none_match)]
