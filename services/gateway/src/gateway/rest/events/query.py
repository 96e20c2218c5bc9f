"""The query parameters of the event list, for FastAPI's route and the fast path."""

import functools
from urllib.parse import parse_qsl

from goticket.catalog.v1 import catalog_pb2 as pb
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.rest.events.schemas import EventSort, ListStatus
from gateway.rest.schemas import (
    Location,
    QueryId,
    QueryInstant,
    QueryInteger,
    SearchText,
    Text,
    to_timestamp,
)

_CACHED_QUERIES = 1024
_MAX_CACHED_CHARACTERS = 256
QUERIES_BYTES = _CACHED_QUERIES * 2048
"""Memory of all cached queries at most."""


class EventQuery(BaseModel):
    """Filter, order and page of a list of events."""

    model_config = ConfigDict(frozen=True, validate_by_name=False, validate_by_alias=True)

    limit: QueryInteger = Field(default=20, ge=1, le=100, description="Size of a page.")
    cursor: Text | None = Field(
        default=None, max_length=1000, description="`nextCursor` of the page before."
    )
    q: SearchText | None = Field(
        default=None,
        description="Search: any part of a name or a location, words of a description, and"
        " similar words. Case and accents are ignored.",
    )
    starts_from: QueryInstant | None = Field(
        default=None,
        alias="from",
        description="Only events that start at or after this time; with it, those that have ended"
        " are listed too.",
    )
    starts_before: QueryInstant | None = Field(
        default=None, alias="to", description="Only events that start before this time."
    )
    location: Location | None = Field(
        default=None, description="Part of the location; ignores case and accents."
    )
    status: ListStatus | None = Field(
        default=None,
        description="published when absent: events that have not ended, unless `from` is given."
        " ended: published ones whose `endAt` has come. draft: the caller's own.",
    )
    sort: EventSort | None = Field(
        default=None,
        description="By relevance when absent and `q` has three characters or more; otherwise"
        " the soonest first, of ended events the latest.",
    )
    organizer_id: QueryId | None = Field(default=None, alias="organizerId")


def list_request(query: EventQuery) -> pb.ListEventsRequest:
    """Return the request to the catalog, without an actor."""
    return pb.ListEventsRequest(
        limit=query.limit,
        cursor=query.cursor or "",
        query=query.q or "",
        location=query.location or "",
        status=query.status.message if query.status else pb.EVENT_STATUS_UNSPECIFIED,
        sort=query.sort.message if query.sort else pb.EVENT_SORT_UNSPECIFIED,
        organizer_id=query.organizer_id or "",
        ended=query.status is ListStatus.ENDED,
        to=to_timestamp(query.starts_before),
        actor=None,  # named only where it makes a difference
        **{"from": to_timestamp(query.starts_from)},  # "from" is a keyword
    )


def parse_query(query_string: bytes) -> pb.ListEventsRequest | None:
    """Return the request of a query string; None when it is invalid. Not to be changed."""
    if len(query_string) > _MAX_CACHED_CHARACTERS:
        return _parse(query_string)
    return _cached_parse(query_string)


def _parse(query_string: bytes) -> pb.ListEventsRequest | None:
    try:
        # As Starlette reads it; of a repeated parameter the last value counts.
        given = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
        return list_request(EventQuery.model_validate(given))
    except (ValidationError, ValueError):
        return None


_cached_parse = functools.lru_cache(_CACHED_QUERIES)(_parse)
