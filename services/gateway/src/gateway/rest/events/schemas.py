"""Events as JSON, and their way to and from the catalog's messages."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Self

from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.common.v1.common_pb2 import Actor
from pydantic import Field

from gateway.cache.availability_reader import Availability
from gateway.rest.schemas import (
    MAX_INT32,
    Answer,
    Body,
    Count,
    Currency,
    Description,
    EventName,
    Id,
    Instant,
    Location,
    Money,
    Page,
    Text,
    TicketTypeName,
    Timezone,
    to_instant,
    to_timestamp,
)


class EventStatus(StrEnum):
    """Life of an event."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"

    @property
    def message(self) -> "pb.EventStatus.ValueType":
        """The value of the catalog's enum."""
        return pb.EventStatus.Value(f"EVENT_STATUS_{self.name}")

    @classmethod
    def of(cls, status: "pb.EventStatus.ValueType") -> "EventStatus":
        """Translate from the catalog's enum."""
        return cls[pb.EventStatus.Name(status).removeprefix("EVENT_STATUS_")]


class ListStatus(StrEnum):
    """Which events a list has."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"
    ENDED = "ended"

    @property
    def message(self) -> "pb.EventStatus.ValueType":
        """The value of the catalog's enum. Events that have ended are published ones."""
        if self is ListStatus.ENDED:
            return pb.EVENT_STATUS_PUBLISHED
        return EventStatus(self).message


class EventSort(StrEnum):
    """Order of a list; "-" for descending."""

    SOONEST = "startAt"
    LATEST = "-startAt"
    NEWEST = "-createdAt"

    @property
    def message(self) -> "pb.EventSort.ValueType":
        """The value of the catalog's enum."""
        return _SORTS[self]


_SORTS = {
    EventSort.SOONEST: pb.EVENT_SORT_STARTS_AT_ASC,
    EventSort.LATEST: pb.EVENT_SORT_STARTS_AT_DESC,
    EventSort.NEWEST: pb.EVENT_SORT_CREATED_AT_DESC,
}


_MAX_PER_BUYER = Field(
    default=None,
    strict=True,
    ge=0,
    le=MAX_INT32,
    examples=[4],
    description="Most tickets of one buyer over all bookings; 0 for no limit.",
)


class TicketTypeIn(Body):
    """A priced, counted kind of admission."""

    id: Text | None = Field(
        default=None, max_length=36, description="The ticket type to change; absent for a new one."
    )
    name: TicketTypeName = Field(examples=["Golden circle"])
    price: Money = Field(examples=[45000])
    capacity: Count = Field(examples=[200])
    max_per_booking: int | None = Field(
        default=None, strict=True, ge=1, le=MAX_INT32, description="10 when absent."
    )
    max_per_buyer: int | None = _MAX_PER_BUYER

    def draft(self) -> pb.TicketTypeDraft:
        """Translate to the catalog's message."""
        return pb.TicketTypeDraft(
            id=self.id or "",
            name=self.name,
            price=self.price,
            capacity=self.capacity,
            max_per_booking=self.max_per_booking or 0,
            max_per_buyer=self.max_per_buyer or 0,
        )


_NAME = Field(examples=["Metallica Live"])
_START = Field(examples=["2027-06-01T19:00:00+02:00"])
_END = Field(examples=["2027-06-01T23:00:00+02:00"], description="After startAt.")
_PRICE = Field(
    default=None, examples=[25000], description="Price of the only ticket type, in minor units."
)
_CAPACITY = Field(default=None, examples=[1000], description="Capacity of the only ticket type.")
_TICKET_TYPES = Field(
    default=None,
    max_length=50,
    description="All ticket types, in order; instead of price and capacity.",
)


class EventIn(Body):
    """An event as its organizer writes it.

    `price` with `capacity` makes one ticket type, "General Admission"; with
    `ticketTypes` they are not needed.
    """

    name: EventName = _NAME
    start_at: Instant = _START
    end_at: Instant = _END
    price: Money | None = _PRICE
    capacity: Count | None = _CAPACITY
    ticket_types: list[TicketTypeIn] | None = _TICKET_TYPES
    description: Description | None = Field(default=None, description="May have several lines.")
    location: Location | None = Field(default=None, examples=["PGE Narodowy, Warsaw"])
    currency: Currency | None = None
    timezone: Timezone | None = None
    status: EventStatus | None = Field(
        default=None, description="draft or published; published when absent."
    )
    max_per_buyer: int | None = _MAX_PER_BUYER

    def missing(self) -> Sequence[str]:
        """Return the missing fields that are required without `ticketTypes`."""
        if self.ticket_types:
            return ()
        needed = {"price": self.price, "capacity": self.capacity}
        return [name for name, value in needed.items() if value is None]

    def create_request(self, actor: Actor) -> pb.CreateEventRequest:
        """Translate to the catalog's message."""
        return pb.CreateEventRequest(
            actor=actor,
            name=self.name,
            description=self.description or "",
            location=self.location or "",
            currency=self.currency or "",
            timezone=self.timezone or "",
            starts_at=to_timestamp(self.start_at),
            ends_at=to_timestamp(self.end_at),
            status=self.status.message if self.status else pb.EVENT_STATUS_UNSPECIFIED,
            ticket_types=[item.draft() for item in self.ticket_types or ()],
            max_per_buyer=self.max_per_buyer or 0,
            price=None if self.ticket_types else self.price,
            capacity=None if self.ticket_types else self.capacity,
        )

    def replacement(self) -> "EventChange":
        """Return the change that replaces text, place, time, limit and ticket types.

        Absent currency, timezone and status stay: they have no empty value.
        """
        return EventChange.model_construct(
            **{
                **dict(self),
                "description": self.description or "",
                "location": self.location or "",
                "max_per_buyer": self.max_per_buyer or 0,
                "ticket_types": self.ticket_types or None,
            }
        )


class EventChange(Body):
    """Some fields of an event; absent ones, and null ones, stay as they are."""

    name: EventName | None = Field(default=None, examples=["Metallica Live"])
    start_at: Instant | None = None
    end_at: Instant | None = None
    price: Money | None = _PRICE
    capacity: Count | None = _CAPACITY
    ticket_types: list[TicketTypeIn] | None = _TICKET_TYPES
    description: Description | None = Field(default=None, description="May have several lines.")
    location: Location | None = None
    currency: Currency | None = None
    timezone: Timezone | None = None
    status: EventStatus | None = Field(
        default=None, description="published puts a draft on sale, cancelled is final."
    )
    max_per_buyer: int | None = _MAX_PER_BUYER

    def update_request(
        self, event_id: str, actor: Actor, expected_version: int | None
    ) -> pb.UpdateEventRequest:
        """Translate to the catalog's message."""
        drafts = None
        if self.ticket_types is not None:
            drafts = pb.TicketTypeDrafts(items=[item.draft() for item in self.ticket_types])
        return pb.UpdateEventRequest(
            actor=actor,
            event_id=event_id,
            expected_version=expected_version,
            name=self.name,
            description=self.description,
            location=self.location,
            currency=self.currency,
            timezone=self.timezone,
            starts_at=to_timestamp(self.start_at),
            ends_at=to_timestamp(self.end_at),
            status=self.status.message if self.status else pb.EVENT_STATUS_UNSPECIFIED,
            ticket_types=drafts,
            max_per_buyer=self.max_per_buyer,
            price=None if drafts else self.price,
            capacity=None if drafts else self.capacity,
        )


class TicketTypeOut(Answer):
    """A ticket type and its availability."""

    id: Id
    name: str = Field(examples=["General Admission"])
    price: int = Field(examples=[25000], description="Minor units (cents).")
    capacity: int = Field(examples=[1000])
    max_per_booking: int = Field(examples=[10])
    max_per_buyer: int = Field(
        examples=[4], description="Most tickets of one buyer over all bookings; 0 for no limit."
    )
    available: int | None = Field(examples=[998], description="Null while it is unknown.")


class EventOut(Answer):
    """An event as the public sees it."""

    id: Id
    name: str = Field(examples=["Metallica Live"])
    description: str
    location: str = Field(examples=["PGE Narodowy, Warsaw"])
    price: int = Field(
        examples=[25000], description="Price of the cheapest ticket type, in minor units."
    )
    currency: str = Field(examples=["EUR"])
    capacity: int = Field(examples=[1000], description="All ticket types together.")
    available_spots: int | None = Field(
        examples=[998], description="Available tickets; null while unknown."
    )
    start_at: datetime
    end_at: datetime
    timezone: str = Field(examples=["Europe/Warsaw"])
    status: EventStatus
    max_per_buyer: int = Field(
        examples=[6],
        description="Tickets of all types for one buyer over all bookings; 0 for no limit.",
    )
    organizer_id: Id
    version: int = Field(examples=[1], description="The ETag; grows with every change.")
    ticket_types: Sequence[TicketTypeOut]

    @classmethod
    def of(cls, event: pb.Event, availability: Availability | None) -> Self:
        """Compose from the catalog's event and its availability, None when unknown."""
        kinds = [_ticket_type(kind, availability) for kind in event.ticket_types]
        return cls(
            id=event.id,
            name=event.name,
            description=event.description,
            location=event.location,
            price=min((kind.price for kind in kinds), default=0),
            currency=event.currency,
            capacity=sum(kind.capacity for kind in kinds),
            available_spots=None
            if availability is None
            else sum(kind.available or 0 for kind in kinds),
            start_at=to_instant(event.starts_at),
            end_at=to_instant(event.ends_at),
            timezone=event.timezone,
            status=EventStatus.of(event.status),
            max_per_buyer=event.max_per_buyer,
            organizer_id=event.organizer_id,
            version=event.version,
            ticket_types=kinds,
        )


def _ticket_type(kind: pb.TicketType, availability: Availability | None) -> TicketTypeOut:
    # Booking does not know the type yet, so no ticket of it was sold.
    available = (
        None if availability is None else availability.ticket_types.get(kind.id, kind.capacity)
    )
    return TicketTypeOut(
        id=kind.id,
        name=kind.name,
        price=kind.price,
        capacity=kind.capacity,
        max_per_booking=kind.max_per_booking,
        max_per_buyer=kind.max_per_buyer,
        available=available,
    )


class EventPage(Page):
    """A page of events."""

    items: Sequence[EventOut]


class TicketTypeAvailability(Answer):
    """Available tickets of one type."""

    id: Id
    available: int = Field(examples=[998])


class AvailabilityOut(Answer):
    """Available tickets of an event."""

    event_id: Id
    available: int = Field(examples=[998])
    ticket_types: Sequence[TicketTypeAvailability]

    @classmethod
    def of(cls, event_id: str, availability: Availability) -> Self:
        """Translate."""
        kinds = [
            TicketTypeAvailability(id=type_id, available=available)
            for type_id, available in availability.ticket_types.items()
        ]
        return cls(event_id=event_id, available=availability.total, ticket_types=kinds)
