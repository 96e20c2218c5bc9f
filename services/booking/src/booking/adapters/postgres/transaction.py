"""One transaction on the schema `booking`, with an adapter per aggregate."""

from uuid import UUID

from goticket_platform.messaging.inbox import record_once

from booking.adapters.postgres.booking_rows import PostgresBookingRows
from booking.adapters.postgres.commit_effects import CommitEffects
from booking.adapters.postgres.connection import Connection
from booking.adapters.postgres.creation import PostgresBookingCreation
from booking.adapters.postgres.event_rows import PostgresEventRows
from booking.adapters.postgres.inventory_rows import PostgresInventoryRows

SCHEMA = "booking"
CONSUMER = "booking.catalog-events"


class PostgresTransaction:
    """Implements the port `Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self.effects = CommitEffects()
        self.bookings = PostgresBookingRows(connection, self.effects)
        self.inventory = PostgresInventoryRows(connection, self.effects)
        self.creation = PostgresBookingCreation(
            connection, self.effects, self.bookings, self.inventory
        )
        self.events = PostgresEventRows(connection)
        self.inbox = PostgresInbox(connection)


class PostgresInbox:
    """Implements the port `Inbox`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record_once(self, message_id: UUID) -> bool:
        """See the port."""
        return await record_once(self._connection, SCHEMA, CONSUMER, message_id)
