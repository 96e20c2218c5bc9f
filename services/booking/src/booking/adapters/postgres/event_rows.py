"""Events in a transaction."""

from datetime import datetime
from uuid import UUID

from booking.adapters.postgres.connection import Connection
from booking.adapters.postgres.queries import QUERIES
from booking.domain.event import Event, EventStatus


class PostgresEventRows:
    """Implements the port `EventRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self, event_id: UUID) -> None:
        """See the port."""
        await self._connection.fetch(QUERIES["lock_event"], event_id)

    async def save(self, event: Event, read_at: datetime | None) -> bool:
        """See the port."""
        stored = await self._connection.fetchval(
            QUERIES["save_event"],
            event.id,
            event.organizer_id,
            event.name,
            event.location,
            event.timezone,
            event.starts_at,
            event.ends_at,
            event.currency,
            event.status.value,
            event.version,
            event.status is EventStatus.CANCELLED,
            read_at,
            event.max_per_buyer,
        )
        return stored is not None

    async def finish_closing(self, event_id: UUID) -> None:
        """See the port."""
        await self._connection.execute(QUERIES["finish_closing"], event_id)
