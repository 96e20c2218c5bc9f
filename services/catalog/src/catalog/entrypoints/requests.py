"""Parses protobuf requests into the input of the use cases."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.common.v1 import common_pb2
from goticket_kernel.actor import ANONYMOUS, Actor
from goticket_kernel.errors import FieldError
from goticket_platform.ids import parse_id

from catalog.application.change_event import ChangeEventCommand
from catalog.domain.create_event import CreateEventCommand
from catalog.domain.errors import EventNotFound, InvalidEvent, InvalidQuery
from catalog.domain.event import EventStatus
from catalog.domain.list_events import (
    DEFAULT_LIMIT,
    EventFilter,
    EventPageRequest,
    EventSort,
    select_by_end,
    validate_page_request,
)
from catalog.domain.update_event import EventPatch
from catalog.domain.validation import DEFAULT_MAX_PER_BOOKING, TicketTypeDraft
from catalog.entrypoints.responses import STATUSES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# One day inside the range of datetime, so that any time zone's offset can be added.
_EARLIEST = int((datetime(1, 1, 2, tzinfo=UTC) - _EPOCH).total_seconds())
_LATEST = int((datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH).total_seconds())

_NIL_ID = UUID(int=0)

_STATUSES = {number: status for status, number in STATUSES.items()}
_SORTS = {
    pb.EVENT_SORT_STARTS_AT_ASC: EventSort.STARTS_AT_ASC,
    pb.EVENT_SORT_STARTS_AT_DESC: EventSort.STARTS_AT_DESC,
    pb.EVENT_SORT_CREATED_AT_DESC: EventSort.CREATED_AT_DESC,
}


def parse_actor(actor: common_pb2.Actor) -> Actor:
    """Parse the actor of a call; ANONYMOUS without one, and for a user id that is not a UUID."""
    try:
        return Actor(parse_id(actor.user_id), frozenset(actor.roles))
    except ValueError:
        return ANONYMOUS


def parse_event_id(text: str) -> UUID:
    """Parse the id of an event.

    Raises:
        EventNotFound: the text is not a UUID, so no event has this id.
    """
    try:
        return parse_id(text)
    except ValueError:
        raise EventNotFound from None


def parse_event_ids(texts: Iterable[str]) -> list[UUID]:
    """Parse the ids of many events; texts that are not UUIDs are left out."""
    event_ids = []
    for text in texts:
        try:
            event_ids.append(parse_id(text))
        except ValueError:
            continue
    return event_ids


def parse_change(request: pb.UpdateEventRequest | pb.CancelEventRequest) -> ChangeEventCommand:
    """Parse the event's id, the actor and the expected version of a change.

    Raises:
        EventNotFound: the event's id is not a UUID.
    """
    expected = request.expected_version if request.HasField("expected_version") else None
    return ChangeEventCommand(
        parse_event_id(request.event_id), parse_actor(request.actor), expected
    )


def parse_create_event(request: pb.CreateEventRequest) -> CreateEventCommand:
    """Parse a new event.

    Raises:
        InvalidEvent: the status is unknown.
    """
    return CreateEventCommand(
        name=request.name,
        starts_at=_parse_time(request, "starts_at", request.starts_at),
        ends_at=_parse_time(request, "ends_at", request.ends_at),
        description=request.description,
        location=request.location,
        currency=request.currency or "EUR",
        timezone=request.timezone or "UTC",
        status=_parse_status(request.status) or EventStatus.PUBLISHED,
        ticket_types=_parse_drafts(request.ticket_types),
        price=request.price if request.HasField("price") else None,
        capacity=request.capacity if request.HasField("capacity") else None,
        max_per_buyer=request.max_per_buyer,
    )


def parse_patch(request: pb.UpdateEventRequest) -> EventPatch:
    """Parse the new values of an event; absent fields become None.

    Raises:
        InvalidEvent: the status is unknown.
    """
    has = request.HasField
    return EventPatch(
        name=request.name if has("name") else None,
        description=request.description if has("description") else None,
        location=request.location if has("location") else None,
        currency=request.currency if has("currency") else None,
        timezone=request.timezone if has("timezone") else None,
        starts_at=_parse_time(request, "starts_at", request.starts_at),
        ends_at=_parse_time(request, "ends_at", request.ends_at),
        status=_parse_status(request.status),
        ticket_types=_parse_drafts(request.ticket_types.items) if has("ticket_types") else None,
        price=request.price if has("price") else None,
        capacity=request.capacity if has("capacity") else None,
        max_per_buyer=request.max_per_buyer if has("max_per_buyer") else None,
    )


def parse_page_request(request: pb.ListEventsRequest, now: datetime) -> EventPageRequest:
    """Parse the parameters of a list that is read at `now`.

    Raises:
        InvalidQuery: names the parameters that are wrong.
    """
    filter_ = EventFilter(
        status=_parse_status(request.status) or EventStatus.PUBLISHED,
        query=request.query,
        location=request.location,
        starts_from=_parse_time(request, "from", getattr(request, "from")),
        starts_before=_parse_time(request, "to", request.to),
        organizer_id=_parse_organizer_id(request.organizer_id),
    )
    return validate_page_request(
        select_by_end(filter_, ended=request.ended, now=now),
        _SORTS.get(request.sort),
        request.limit or DEFAULT_LIMIT,
        request.cursor,
    )


def _parse_drafts(drafts: Iterable[pb.TicketTypeDraft]) -> tuple[TicketTypeDraft, ...]:
    return tuple(
        TicketTypeDraft(
            name=draft.name,
            price=draft.price,
            capacity=draft.capacity,
            max_per_booking=draft.max_per_booking or DEFAULT_MAX_PER_BOOKING,
            id=_parse_ticket_type_id(draft.id) if draft.id else None,
            max_per_buyer=draft.max_per_buyer,
        )
        for draft in drafts
    )


def _parse_ticket_type_id(text: str) -> UUID:
    # No ticket type has the nil UUID. So the domain reports an id that is no UUID as
    # unknown, together with all other field errors.
    try:
        return parse_id(text)
    except ValueError:
        return _NIL_ID


def _parse_status(number: int) -> EventStatus | None:
    if number == pb.EVENT_STATUS_UNSPECIFIED:
        return None
    if number not in _STATUSES:
        raise InvalidEvent(fields=[FieldError("status", "is not known")])
    return _STATUSES[pb.EventStatus.ValueType(number)]


def _parse_organizer_id(text: str) -> UUID | None:
    try:
        return parse_id(text) if text else None
    except ValueError:
        raise InvalidQuery(fields=[FieldError("organizer_id", "is not a UUID")]) from None


def _parse_time(request: Message, field: str, timestamp: Timestamp) -> datetime | None:
    """Parse a time to the microsecond; one out of datetime's range becomes the nearest inside."""
    if not request.HasField(field):
        return None
    seconds = min(max(timestamp.seconds, _EARLIEST), _LATEST)
    nanos = min(max(timestamp.nanos, 0), 999_999_999)
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
