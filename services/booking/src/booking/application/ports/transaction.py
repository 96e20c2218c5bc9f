"""One transaction, with a port per aggregate."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from booking.application.ports.bookings import BookingOfEvent, BookingRows
from booking.application.ports.events import EventRows
from booking.application.ports.inbox import Inbox
from booking.application.ports.inventory import InventoryRows

if TYPE_CHECKING:  # that module builds on this one
    from booking.application.ports.creation import BookingCreation


class Transaction(Protocol):
    """One commit. Creation may be for many events; everything else is for one.

    Every transaction takes row locks in this order, so that no two wait for each other:
    bookings (by id), the event, ticket types (by id), idempotency keys (by user and key).
    Creation for several events never waits for ticket types. The event is read after its
    ticket types are locked. A transaction that changes the event locks them too, so the
    event stays as it was read.
    """

    @property
    def bookings(self) -> BookingRows:
        """Bookings and tickets."""
        ...

    @property
    def inventory(self) -> InventoryRows:
        """Inventory."""
        ...

    @property
    def creation(self) -> BookingCreation:
        """Creation of bookings."""
        ...

    @property
    def events(self) -> EventRows:
        """Events."""
        ...

    @property
    def inbox(self) -> Inbox:
        """Inbox of the catalog's messages."""
        ...


class BookingStore(Protocol):
    """Opens transactions and reads single bookings."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits at the end of the block.

        After the commit the new availability is published and the relay is notified.

        Raises:
            Busy: a lock was not granted in time; nothing has changed.
        """
        ...

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """Read a booking."""
        ...
