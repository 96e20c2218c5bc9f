"""The ports of the use cases, one module per aggregate."""

from booking.application.ports.bookings import (
    BookingDetailsQueries,
    BookingKey,
    BookingOfEvent,
    BookingQueries,
    BookingRows,
    ConfirmedBookings,
    EventBuyer,
    EventBuyerQueries,
    TicketOfBooking,
    TicketPageQuery,
)
from booking.application.ports.catalog import Catalog
from booking.application.ports.check_in import CheckInPosition, CheckInQueries, CheckInTicket
from booking.application.ports.creation import (
    BookingCreation,
    BuyerOfEvent,
    CreationStore,
    LockedSnapshot,
    MessageHeaders,
    NewBooking,
    Snapshot,
)
from booking.application.ports.environment import Clock, NewId
from booking.application.ports.events import EventRows
from booking.application.ports.idempotency import IdempotencyRecord, KeyTaken, RequestKey
from booking.application.ports.inbox import Inbox
from booking.application.ports.inventory import (
    AvailabilityPublisher,
    InventoryQueries,
    InventoryRows,
)
from booking.application.ports.maintenance import FIRST_ID, DueHold, MaintenanceQueries
from booking.application.ports.transaction import BookingStore, Transaction

__all__ = [
    "FIRST_ID",
    "AvailabilityPublisher",
    "BookingCreation",
    "BookingDetailsQueries",
    "BookingKey",
    "BookingOfEvent",
    "BookingQueries",
    "BookingRows",
    "BookingStore",
    "BuyerOfEvent",
    "Catalog",
    "CheckInPosition",
    "CheckInQueries",
    "CheckInTicket",
    "Clock",
    "ConfirmedBookings",
    "CreationStore",
    "DueHold",
    "EventBuyer",
    "EventBuyerQueries",
    "EventRows",
    "IdempotencyRecord",
    "Inbox",
    "InventoryQueries",
    "InventoryRows",
    "KeyTaken",
    "LockedSnapshot",
    "MaintenanceQueries",
    "MessageHeaders",
    "NewBooking",
    "NewId",
    "RequestKey",
    "Snapshot",
    "TicketOfBooking",
    "TicketPageQuery",
    "Transaction",
]
