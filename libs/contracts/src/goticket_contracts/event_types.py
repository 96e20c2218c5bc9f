"""The CloudEvents types of GoTicket and the payload message of each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from google.protobuf.message import Message
from goticket.booking.v1 import events_pb2 as booking
from goticket.catalog.v1 import events_pb2 as catalog
from goticket.identity.v1 import events_pb2 as identity

EVENT_PUBLISHED: Final = "goticket.catalog.event.published.v1"
EVENT_UPDATED: Final = "goticket.catalog.event.updated.v1"
EVENT_CANCELLED: Final = "goticket.catalog.event.cancelled.v1"

BOOKING_HELD: Final = "goticket.booking.booking.held.v1"
BOOKING_CONFIRMED: Final = "goticket.booking.booking.confirmed.v1"
BOOKING_CANCELLED: Final = "goticket.booking.booking.cancelled.v1"
BOOKING_EXPIRED: Final = "goticket.booking.booking.expired.v1"

USER_REGISTERED: Final = "goticket.identity.user.registered.v1"

PAYLOADS: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {
        EVENT_PUBLISHED: catalog.EventPublished,
        EVENT_UPDATED: catalog.EventUpdated,
        EVENT_CANCELLED: catalog.EventCancelled,
        BOOKING_HELD: booking.BookingHeld,
        BOOKING_CONFIRMED: booking.BookingConfirmed,
        BOOKING_CANCELLED: booking.BookingCancelled,
        BOOKING_EXPIRED: booking.BookingExpired,
        USER_REGISTERED: identity.UserRegistered,
    }
)
"""Maps each type, which is also the routing key, to the protobuf message of its JSON body."""
