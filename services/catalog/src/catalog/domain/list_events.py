"""Filter, order and visibility of event lists."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import FieldError
from goticket_kernel.permissions import Permission, is_permitted

from catalog.domain.errors import InvalidQuery
from catalog.domain.event import EventStatus
from catalog.domain.validation import MAX_LOCATION, FieldErrors, validate_text

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_QUERY = 200
MAX_BATCH = 200


class EventSort(StrEnum):
    """Order of a list. Events with equal keys are ordered by id."""

    STARTS_AT_ASC = "starts_at_asc"
    STARTS_AT_DESC = "starts_at_desc"
    CREATED_AT_DESC = "created_at_desc"
    RELEVANCE = "relevance"


@dataclass(frozen=True)
class EventFilter:
    """Conditions of a list; an empty text or None does not filter.

    `starts_from` is inclusive, `starts_before` exclusive. `location` must be part of the
    event's location. `query` matches words and similar words in name, location and
    description. Both ignore case and accents. `once_published` excludes drafts that were
    cancelled.
    """

    status: EventStatus = EventStatus.PUBLISHED
    query: str = ""
    location: str = ""
    starts_from: datetime | None = None
    starts_before: datetime | None = None
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
    filter_: EventFilter, sort: EventSort | None, limit: int, cursor: str
) -> EventPageRequest:
    """Validate the parameters of a list.

    The default order is by relevance if there is a query, else by start time.

    Raises:
        InvalidQuery: names every parameter that is wrong.
    """
    with FieldErrors.raised_as(InvalidQuery) as errors:
        query = validate_text(errors, "query", filter_.query, max_length=MAX_QUERY)
        location = validate_text(errors, "location", filter_.location, max_length=MAX_LOCATION)
        errors.require(1 <= limit <= MAX_LIMIT, "limit", f"must be from 1 to {MAX_LIMIT}")
        if sort is EventSort.RELEVANCE and not query:
            errors.add("sort", "by relevance needs a query")
    default = EventSort.RELEVANCE if query else EventSort.STARTS_AT_ASC
    return EventPageRequest(
        replace(filter_, query=query, location=location), sort or default, limit, cursor
    )


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
