"""Creation of bookings: the one path whose statements span several aggregates.

Each round trip keeps a hot event's inventory locked for longer. So one statement reads
inventory and idempotency records, and one statement writes everything.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from booking.application.ports.idempotency import IdempotencyRecord, RequestKey
from booking.application.ports.transaction import BookingStore
from booking.domain.booking import BookingConfirmed, BookingHeld
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.inventory import EventInventory

BuyerOfEvent = tuple[UUID, UUID]
"""Id of an event and user id of a buyer."""
MessageHeaders = Callable[[], Mapping[str, str]]
"""Returns the headers that the messages caused by the current request shall carry."""


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A granted booking and all that is stored with it."""

    granted: BookingHeld | BookingConfirmed
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    message_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LockedSnapshot:
    """Locked inventory of events, and the records of idempotency keys that were used.

    `contended` are events that another transaction has locked. An event that is neither
    there nor in `inventories` is unknown to booking.
    """

    inventories: Mapping[UUID, EventInventory]
    records: dict[RequestKey, IdempotencyRecord]
    contended: Collection[UUID] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Inventory of events and the idempotency keys that were used, as of one moment."""

    inventories: Mapping[UUID, EventInventory]
    used_keys: Collection[RequestKey]


class BookingCreation(Protocol):
    """Creation of bookings in a transaction."""

    async def lock_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> LockedSnapshot:
        """Lock and read the inventory of events; read the keys' records.

        For one event it waits for the locks. For several events it skips those that
        another transaction has locked, so that the others do not wait for it.
        """
        ...

    async def find_buyer_usage(
        self, buyers: Collection[BuyerOfEvent]
    ) -> defaultdict[BuyerOfEvent, BuyerUsage]:
        """Read what these buyers hold and have bought of locked events."""
        ...

    async def add(
        self, new_bookings: Sequence[NewBooking], inventories: Collection[EventInventory]
    ) -> None:
        """Store new bookings, the inventories' changes, and outbox messages.

        Raises:
            KeyTaken: another transaction, for another event, used one of the keys first.
            RequestInProgress: another transaction uses one of the keys and does not finish.
            SoldOut: the database's counts contradict `inventories`.
        """
        ...


class CreationStore(BookingStore, Protocol):
    """Bookings, and what can be sold."""

    async def read_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> Snapshot:
        """Read the inventory of events and which keys were used, without locks."""
        ...
