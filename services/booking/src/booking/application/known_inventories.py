"""The inventories that the latest commands saw: whether signing in advance is worth it."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from goticket_kernel.errors import DomainError

from booking.domain.booking_creation import CommandLine, CreateBookingCommand, require_grantable
from booking.domain.inventory import EventInventory

MAX_TICKET_TYPES = 10_000
"""Ticket types of all known events; beyond that the oldest event is dropped. Together they
use about 5 MB, and as much for the remembered answers. A missing event only costs time."""


MAX_PREDICTIONS = 32
"""Remembered predictions for each inventory: most commands for an event have the same lines."""


class _KnownInventory:
    """An inventory, and the predictions for commands that were asked for since it was recorded."""

    __slots__ = ("_predictions", "inventory")

    def __init__(self, inventory: EventInventory) -> None:
        self.inventory = inventory
        self._predictions: dict[tuple[CommandLine, ...], bool] = {}

    def probably_grants(self, command: CreateBookingCommand, now: datetime) -> bool:
        prediction = self._predictions.get(command.lines)
        if prediction is None:
            prediction = self._grants(command, now)
            if len(self._predictions) < MAX_PREDICTIONS and len(command.lines) == 1:
                self._predictions[command.lines] = prediction
        return prediction

    def _grants(self, command: CreateBookingCommand, now: datetime) -> bool:
        if self.inventory.has_buyer_limits:
            return False
        try:
            require_grantable(command, self.inventory, now)
        except DomainError:
            return False
        return True


class KnownInventories:
    """A hint that saves work. No command is rejected or granted because of it.

    An inventory is as it was after the transaction that decided the latest commands.
    """

    def __init__(self, max_ticket_types: int = MAX_TICKET_TYPES) -> None:
        self._max_ticket_types = max_ticket_types
        self._ticket_types = 0
        self._events: dict[UUID, _KnownInventory] = {}

    def record(self, inventories: Iterable[EventInventory]) -> None:
        """Remember inventories as they are now; they must not be changed afterwards."""
        for inventory in inventories:
            self._drop(inventory.event.id)
            self._events[inventory.event.id] = _KnownInventory(inventory)
            self._ticket_types += len(inventory.ticket_types)
        while self._ticket_types > self._max_ticket_types:
            self._drop(next(iter(self._events)))

    def probably_grants(self, command: CreateBookingCommand, now: datetime) -> bool:
        """Return whether a well-formed command will probably be granted.

        Not if the event is unknown here, nor if it limits the tickets of a buyer, because
        only the transaction counts those.
        """
        known = self._events.get(command.event_id)
        return known is not None and known.probably_grants(command, now)

    def _drop(self, event_id: UUID) -> None:
        dropped = self._events.pop(event_id, None)
        if dropped is not None:
            self._ticket_types -= len(dropped.inventory.ticket_types)
