"""Filter, order and visibility of event lists."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import FieldError
from goticket_kernel.permissions import Permission, is_permitted
from goticket_kernel.text import LOCATION, SEARCH

from catalog.domain.errors import InvalidQuery
from catalog.domain.event import EventStatus
from catalog.domain.validation import FieldErrors, validate_text

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_BATCH = 200
MIN_RANKED_QUERY = 3
"""Characters. A shorter query matches too many events, and says too little to rank them."""


class EventSort(StrEnum):
    """Order of a list. Events with equal keys are ordered by id."""

    STARTS_AT_ASC = "starts_at_asc"
    STARTS_AT_DESC = "starts_at_desc"
    CREATED_AT_DESC = "created_at_desc"
    RELEVANCE = "relevance"


@dataclass(frozen=True)
class EventFilter:
    """Conditions of a list; an empty text or None does not filter.

    `starts_from` is inclusive, `starts_before` exclusive. An event has ended at its end:
    `ends_after` excludes those that have by then, `ended_at` includes only those.
    `location` must be part of the event's location. `query` must be part of the name or the
    location, or match words of any text, or similar words of these two. Both ignore case and
    accents. `once_published` excludes drafts that were cancelled.
    """

    status: EventStatus = EventStatus.PUBLISHED
    query: str = ""
    location: str = ""
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    ends_after: datetime | None = None
    ended_at: datetime | None = None
    organizer_id: UUID | None = None
    once_published: bool = False


@dataclass(frozen=True)
class EventPageRequest:
    """A request for one page of a list of events."""

    filter: EventFilter
    sort: EventSort
    limit: int
    cursor: str = ""


def validate_page_request(
    filter_: EventFilter,
    sort: EventSort | None,
    limit: int,
    cursor: str,
) -> EventPageRequest:
    """Validate the parameters of a list, and choose its order unless `sort` does.

    Raises:
        InvalidQuery: names every parameter that is wrong.
    """
    with FieldErrors.raised_as(InvalidQuery) as errors:
        query = validate_text(errors, "query", filter_.query, SEARCH)
        location = validate_text(errors, "location", filter_.location, LOCATION)
        errors.require(1 <= limit <= MAX_LIMIT, "limit", f"must be from 1 to {MAX_LIMIT}")
        if sort is EventSort.RELEVANCE and not query:
            errors.add("sort", "by relevance needs a query")
    filter_ = replace(filter_, query=query, location=location)
    return EventPageRequest(filter_, sort or _default_sort(filter_), limit, cursor)


def select_by_end(filter_: EventFilter, *, ended: bool, now: datetime) -> EventFilter:
    """Select events that have ended, or exclude them from a list of published ones.

    A list with `starts_from` has all events since then: a caller that names a time in the past
    wants to see it.

    Raises:
        InvalidQuery: events that have ended are published ones.
    """
    if ended and filter_.status is not EventStatus.PUBLISHED:
        message = "cannot be draft or cancelled in a list of ended events"
        raise InvalidQuery(fields=[FieldError("status", message)])
    if ended:
        return replace(filter_, ended_at=now)
    if filter_.status is EventStatus.PUBLISHED and filter_.starts_from is None:
        return replace(filter_, ends_after=now)
    return filter_


def _default_sort(filter_: EventFilter) -> EventSort:
    if len(filter_.query) >= MIN_RANKED_QUERY:
        return EventSort.RELEVANCE
    return EventSort.STARTS_AT_ASC if filter_.ended_at is None else EventSort.STARTS_AT_DESC


def restrict_to_visible(request: EventPageRequest, actor: Actor) -> EventPageRequest | None:
    """Restrict a list to the events that `actor` may see; None when there are none.

    Events that were never published are private. Admins see all of them, organizers only
    their own.
    """
    filter_ = request.filter
    if filter_.status is EventStatus.PUBLISHED or is_permitted(
        actor, Permission.READ_DRAFT, organizer_id=filter_.organizer_id
    ):
        return request
    if filter_.status is EventStatus.CANCELLED:
        return replace(request, filter=replace(filter_, once_published=True))
    own = is_permitted(actor, Permission.READ_DRAFT, organizer_id=actor.user_id)
    if not own or filter_.organizer_id is not None:
        return None
    return replace(request, filter=replace(filter_, organizer_id=actor.user_id))


def validate_batch_size(size: int) -> None:
    """Check the number of events of one batch.

    Raises:
        InvalidQuery: more than MAX_BATCH.
    """
    if size > MAX_BATCH:
        message = f"must have at most {MAX_BATCH} entries"
        raise InvalidQuery(fields=[FieldError("event_ids", message)])
