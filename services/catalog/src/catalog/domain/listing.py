"""Which events a list may show, and in which order."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from catalog.domain.actor import Actor
from catalog.domain.errors import FieldError, InvalidQuery
from catalog.domain.event import EventStatus
from catalog.domain.field_rules import MAX_LOCATION, Problems, checked_text

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_QUERY = 200
MAX_BATCH = 200


class EventSort(StrEnum):
    """Order of a list; ties are broken by id."""

    STARTS_AT_ASC = "startsAtAsc"
    STARTS_AT_DESC = "startsAtDesc"
    CREATED_AT_DESC = "createdAtDesc"
    RELEVANCE = "relevance"


@dataclass(frozen=True)
class EventFilter:
    """Which events; an empty text or None does not filter.

    `starts_from` is inclusive, `starts_before` exclusive. `location` is contained in
    the event's, any case. `query` matches words, and near misses of them, in name,
    place and description. Accents matter in neither. `once_published` leaves out drafts
    that were cancelled.
    """

    status: EventStatus = EventStatus.PUBLISHED
    query: str = ""
    location: str = ""
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    organizer_id: UUID | None = None
    once_published: bool = False


@dataclass(frozen=True)
class EventListing:
    """A question for one page of events."""

    filter: EventFilter
    sort: EventSort
    limit: int
    cursor: str = ""


def checked_listing(
    filter_: EventFilter, sort: EventSort | None, limit: int, cursor: str
) -> EventListing:
    """Check what is asked for. No sort means relevance with a query, else soonest first.

    Raises:
        InvalidQuery: naming every parameter that is wrong.
    """
    with Problems.raised_as(InvalidQuery) as problems:
        query = checked_text(problems, "q", filter_.query, most=MAX_QUERY)
        location = checked_text(problems, "location", filter_.location, most=MAX_LOCATION)
        problems.check("limit", 1 <= limit <= MAX_LIMIT, f"must be from 1 to {MAX_LIMIT}")
        if sort is EventSort.RELEVANCE and not query:
            problems.add("sort", "by relevance needs q")
    default = EventSort.RELEVANCE if query else EventSort.STARTS_AT_ASC
    return EventListing(
        replace(filter_, query=query, location=location), sort or default, limit, cursor
    )


def seen_by(actor: Actor | None, listing: EventListing) -> EventListing | None:
    """Narrow a listing to what `actor` may see; None when that is nothing.

    What was never published is private: an admin sees all of it, anybody else their own.
    """
    wanted = listing.filter
    own = actor is not None and wanted.organizer_id == actor.user_id
    if wanted.status is EventStatus.PUBLISHED or own or (actor is not None and actor.is_admin):
        return listing
    if wanted.status is EventStatus.CANCELLED:
        return replace(listing, filter=replace(wanted, once_published=True))
    if actor is None or wanted.organizer_id is not None:
        return None
    return replace(listing, filter=replace(wanted, organizer_id=actor.user_id))


def check_batch(event_ids: int) -> None:
    """Check how many events are asked for at once.

    Raises:
        InvalidQuery: more than MAX_BATCH.
    """
    if event_ids > MAX_BATCH:
        raise InvalidQuery([FieldError("eventIds", f"must have at most {MAX_BATCH} entries")])
