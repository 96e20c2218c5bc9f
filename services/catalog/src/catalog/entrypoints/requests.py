"""Protobuf requests as what the use cases take; what is absent becomes None or a default."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.common.v1 import common_pb2

from catalog.application.change_event import ChangeRequest
from catalog.domain.actor import Actor
from catalog.domain.create_event import NewEvent
from catalog.domain.errors import FieldError, InvalidEvent, InvalidQuery
from catalog.domain.event import EventStatus
from catalog.domain.field_rules import DEFAULT_MAX_PER_BOOKING, TicketTypeDraft
from catalog.domain.listing import (
    DEFAULT_LIMIT,
    EventFilter,
    EventListing,
    EventSort,
    checked_listing,
)
from catalog.domain.update_event import EventEdit
from catalog.wire import STATUSES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A day off either end of what datetime can hold: room for any zone's offset.
_EARLIEST = int((datetime(1, 1, 2, tzinfo=UTC) - _EPOCH).total_seconds())
_LATEST = int((datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH).total_seconds())

_STATUSES = {number: status for status, number in STATUSES.items()}
_SORTS = {
    pb.EVENT_SORT_STARTS_AT_ASC: EventSort.STARTS_AT_ASC,
    pb.EVENT_SORT_STARTS_AT_DESC: EventSort.STARTS_AT_DESC,
    pb.EVENT_SORT_CREATED_AT_DESC: EventSort.CREATED_AT_DESC,
}


def actor_of(request: Message, actor: common_pb2.Actor) -> Actor | None:
    """Read who asks; None for the public and for an id that is nobody's."""
    if not request.HasField("actor"):
        return None
    try:
        return Actor(UUID(actor.user_id), frozenset(actor.roles))
    except ValueError:
        return None


def change_request_of(
    request: pb.UpdateEventRequest | pb.PublishEventRequest | pb.CancelEventRequest,
) -> ChangeRequest:
    """Read who wants to change what."""
    expected = request.expected_version if request.HasField("expected_version") else None
    return ChangeRequest(request.event_id, actor_of(request, request.actor), expected)


def new_event_of(request: pb.CreateEventRequest) -> NewEvent:
    """Read an event to be."""
    return NewEvent(
        name=request.name,
        starts_at=_time_of(request, "starts_at", request.starts_at),
        ends_at=_time_of(request, "ends_at", request.ends_at),
        description=request.description,
        location=request.location,
        currency=request.currency or "EUR",
        timezone=request.timezone or "UTC",
        status=_status_of(request.status) or EventStatus.PUBLISHED,
        ticket_types=_drafts_of(request.ticket_types),
        price=request.price if request.HasField("price") else None,
        capacity=request.capacity if request.HasField("capacity") else None,
        max_per_buyer=request.max_per_buyer,
    )


def edit_of(request: pb.UpdateEventRequest) -> EventEdit:
    """Read the new values of an update."""
    given = request.HasField
    return EventEdit(
        name=request.name if given("name") else None,
        description=request.description if given("description") else None,
        location=request.location if given("location") else None,
        currency=request.currency if given("currency") else None,
        timezone=request.timezone if given("timezone") else None,
        starts_at=_time_of(request, "starts_at", request.starts_at),
        ends_at=_time_of(request, "ends_at", request.ends_at),
        status=_status_of(request.status),
        ticket_types=_drafts_of(request.ticket_types.items) if given("ticket_types") else None,
        price=request.price if given("price") else None,
        capacity=request.capacity if given("capacity") else None,
        max_per_buyer=request.max_per_buyer if given("max_per_buyer") else None,
    )


def listing_of(request: pb.ListEventsRequest) -> EventListing:
    """Read which page is wanted.

    Raises:
        InvalidQuery: naming the parameters that are wrong.
    """
    return checked_listing(
        EventFilter(
            status=_status_of(request.status) or EventStatus.PUBLISHED,
            query=request.query,
            location=request.location,
            starts_from=_time_of(request, "from", getattr(request, "from")),
            starts_before=_time_of(request, "to", request.to),
            organizer_id=_organizer_of(request.organizer_id),
        ),
        _SORTS.get(request.sort),
        request.limit or DEFAULT_LIMIT,
        request.cursor,
    )


def _drafts_of(drafts: Iterable[pb.TicketTypeDraft]) -> tuple[TicketTypeDraft, ...]:
    return tuple(
        TicketTypeDraft(
            name=draft.name,
            price=draft.price,
            capacity=draft.capacity,
            max_per_booking=draft.max_per_booking or DEFAULT_MAX_PER_BOOKING,
            id=draft.id,
            max_per_buyer=draft.max_per_buyer,
        )
        for draft in drafts
    )


def _status_of(number: int) -> EventStatus | None:
    if number == pb.EVENT_STATUS_UNSPECIFIED:
        return None
    if number not in _STATUSES:
        raise InvalidEvent([FieldError("status", "is not known")])
    return _STATUSES[pb.EventStatus.ValueType(number)]


def _organizer_of(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidQuery([FieldError("organizerId", "is not a UUID")]) from None


def _time_of(request: Message, field: str, timestamp: Timestamp) -> datetime | None:
    """Read an instant, to the microsecond; what no calendar holds becomes the nearest it does."""
    if not request.HasField(field):
        return None
    seconds = min(max(timestamp.seconds, _EARLIEST), _LATEST)
    nanos = min(max(timestamp.nanos, 0), 999_999_999)
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
